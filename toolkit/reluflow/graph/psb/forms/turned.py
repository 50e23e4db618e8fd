"""Products whose input lies the other way round: Gemm with transA, and a constant left factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.external import is_float
from reluflow.graph.psb.forms.emit import Emitter
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import read_linear
from reluflow.graph.rewrite.reader import attribute, name_of


@dataclass(eq=False, slots=True)
class Turned:
    """A product to turn round.

    Attributes:
        node: Gemm with transA, or MatMul with a constant left factor.
        weight: that factor, or the Gemm's.
        rank: number of axes of the computed factor.
    """

    node: NodeProto
    weight: np.ndarray
    rank: int


def read_turned(editor: Editor, node: NodeProto) -> Turned | Reason:
    """Read a product to turn round, or say why it cannot be."""
    if node.op_type == "Gemm":
        linear = read_linear(editor, node)
        return linear if isinstance(linear, Reason) else Turned(node, linear.weight, 2)
    left = editor.constant(node.input[0])
    rank = editor.rank(node.input[1])
    if left is None or not is_float(left.dtype) or left.ndim != 2:
        axes = "computed" if left is None else f"{left.dtype} with {left.ndim} axes"
        return Reason(f"its left factor is {axes}")
    if rank is None:
        return Reason("its constant is the left factor, and the axes of the other are not known")
    return Turned(node, left, rank)


def write_turned(editor: Editor, found: Turned) -> str:
    """Replace a product by one with the computed factor on the left, (A x)' = x' A'."""
    emit, node = Emitter(editor, found.node), found.node
    swap = [*range(found.rank - 2), found.rank - 1, found.rank - 2]
    into = f"{node.op_type} with its input transposed"
    if node.op_type == "Gemm":
        x = emit.add("Transpose", [node.input[0]], perm=swap)
        given = {entry.name: attribute(node, entry.name) for entry in node.attribute}
        given.pop("transA")
        made = emit.add("Gemm", [x, *node.input[1:]], name_of(node), **given)
        emit.finish(emit.switched(made))
        return into
    weights = emit.constant(found.weight.T, "turned")
    if found.rank == 1:
        emit.finish(emit.switched(emit.add("MatMul", [node.input[1], weights], name_of(node))))
        return into
    x = emit.add("Transpose", [node.input[1]], perm=swap)
    made = emit.switched(emit.add("MatMul", [x, weights], name_of(node)))
    emit.finish(emit.add("Transpose", [made], perm=swap))
    return into
