"""Writing linear operators that have no PSB operator in terms of those that have one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.external import BFLOAT16
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.psb.forms.conv3d import RANK, Conv3d, read_conv3d, write_conv3d
from reluflow.graph.psb.forms.conv_transpose import (
    Transposed,
    read_conv_transpose,
    write_conv_transpose,
)
from reluflow.graph.psb.forms.fused import FUSED, Fused, is_fused, read_fused, write_fused
from reluflow.graph.psb.forms.turned import Turned, read_turned, write_turned
from reluflow.graph.rewrite.contract import EXCLUDED, Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.opset.raise_opset import raise_opset
from reluflow.graph.rewrite.reader import attribute, name_of


@dataclass(frozen=True, slots=True)
class SpelledOut:
    """One operator that was written as others; part of what `spell_out` returns.

    Attributes:
        node: its name, else its output's.
        op: "ConvTranspose", "Conv", "Gemm" or "MatMul"; "FusedConv", "FusedGemm" or "FusedMatMul".
        into: what it became, a phrase.
    """

    node: str
    op: str
    into: str


def spell_out(model: Model) -> Rewritten[tuple[SpelledOut, ...]]:
    """Write linear operators that have no PSB operator exactly in terms of those that have one.

    A ConvTranspose becomes one Conv per phase of its strides, interleaved; a 3-D Conv becomes a 2-D
    one, whose channels are the planes under its window; a Gemm with transA and a MatMul whose left
    factor is constant are turned round. What ONNX Runtime's optimiser fused with an activation
    becomes the product and the activation again. All of them sum the same products as before. A
    Relu or Clip behind them moves in front of what only orders the results.

    Args:
        model: in floating point, not changed.

    Returns:
        The new model, of opset 13 or newer; the operators that were written as others, in graph
        order; and those that were not, with the reason.

    Raises:
        ModelError: its opset cannot be raised.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, spell_out
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[1,1,4] x) => (float[1,1,8] y) <float[1,1,2] w = {1,2}>
        ...     { y = ConvTranspose<strides = [2]>(x, w) }''')
        >>> result = spell_out(load(proto))
        >>> result.done[0].op, result.done[0].into
        ('ConvTranspose', 'one Conv for all phases')

    Reference: docs/psb.md, what is converted.
    """
    editor = Editor(model)
    raise_opset(editor)
    return editor.finish(*spell_out_linear(editor))


def spell_out_linear(
    editor: Editor, exclude: Collection[str] = ()
) -> tuple[tuple[SpelledOut, ...], tuple[Refused, ...]]:
    """Spell out a model on its editor, of opset 13, as `spell_out` does; it is committed.

    Args:
        editor: the model.
        exclude: names of nodes to leave alone.
    """
    done: list[SpelledOut] = []
    refused: list[Refused] = []
    # First what becomes others of them, which may have three axes and be spelled out themselves.
    for ops in (tuple(FUSED), ("ConvTranspose",), ("Conv", "Gemm", "MatMul")):
        before = len(done)
        for node in [each for each in editor.nodes if each.op_type in ops]:
            if not needs_spelling(editor, node):
                continue
            name = name_of(node)
            found = EXCLUDED if name in exclude else _spell(editor, node)
            if isinstance(found, Reason):
                editor.forget()
                refused.append(Refused(name, node.op_type, found.text))
            else:
                editor.settle()
                done.append(found)
        if len(done) > before:
            editor.commit()
    return tuple(done), tuple(refused)


def needs_spelling(editor: Editor, node: NodeProto) -> bool:
    """Tell whether a node has to be written as others to become a PSB operator."""
    if len(node.input) < 2:
        return False
    if domain_of(node.domain):
        return is_fused(node)
    if node.op_type == "Gemm":
        return bool(attribute(node, "transA", 0))
    if node.op_type == "MatMul":
        left, right = node.input
        return editor.constant(left) is not None and editor.constant(right) is None
    if node.op_type == "Conv":
        return RANK in (editor.rank(node.input[0]), editor.rank(node.input[1]))
    return bool(node.op_type == "ConvTranspose")


def why_not_spelled(editor: Editor, node: NodeProto) -> Reason | None:
    """Return why a node that needs it cannot be spelled out, None where it can."""
    found = _READ[node.op_type](editor, node)
    return found if isinstance(found, Reason) else unfit(found.weight)


def unfit(weights: np.ndarray, dtype: np.dtype[Any] | None = None) -> Reason | None:
    """Return why numbers cannot be weights of a PSB operator, None where they can.

    Args:
        weights: any shape.
        dtype: of the operator; by default that of the weights.
    """
    stored = weights.dtype if dtype is None else dtype
    if stored not in (np.float32, np.float16, BFLOAT16):
        return Reason(f"its numbers are {stored}; PSB operators work in float32")
    if weights.size == 0:
        return Reason("it has no weights")
    with np.errstate(over="ignore"):
        finite = np.isfinite(weights.astype(np.float32)).all()
    return None if finite else Reason("its weights hold NaN or infinite numbers")


_READ: dict[str, Callable[[Editor, NodeProto], Transposed | Conv3d | Turned | Fused | Reason]] = {
    **dict.fromkeys(FUSED, read_fused),
    "ConvTranspose": read_conv_transpose,
    "Conv": read_conv3d,
    "Gemm": read_turned,
    "MatMul": read_turned,
}


def _spell(editor: Editor, node: NodeProto) -> SpelledOut | Reason:
    name, op = name_of(node), node.op_type
    found = _READ[node.op_type](editor, node)
    if isinstance(found, Reason):
        return found
    reason = unfit(found.weight)
    if reason is not None:
        return reason
    if isinstance(found, Fused):
        return SpelledOut(name, op, write_fused(editor, node, found.switch, found.weight))
    if isinstance(found, Transposed):
        return SpelledOut(name, op, write_conv_transpose(editor, found))
    if isinstance(found, Conv3d):
        return SpelledOut(name, op, write_conv3d(editor, found))
    return SpelledOut(name, op, write_turned(editor, found))
