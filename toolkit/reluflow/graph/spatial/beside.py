"""What operators read beside pixels: constants, and numbers computed from sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from onnx import NodeProto

from reluflow.graph.rewrite.reader import Reader, name_of
from reluflow.graph.spatial.steps import Frame


@dataclass(frozen=True, slots=True)
class Beside:
    """An operand without pixels of an operator that has some; `read_spatial` lists them.

    Attributes:
        node: name of the operator's node.
        op: the operator.
        tensor: name of the operand.
        target: the tensor with pixels that the operator makes.
        extent: pixels along each axis of the target that have values of their own; 1: one for all.
        value: what tells equal values from others; "" where a graph without sizes determines it.
    """

    node: str
    op: str
    tensor: str
    target: str
    extent: tuple[int, ...]
    value: str


def read_beside(
    frame: Frame, node: NodeProto, computed: set[str], mixed: set[str]
) -> Iterator[Beside]:
    """Yield the operands of a node that have no pixels and may have a value for each.

    Args:
        frame: where the pixels of the node's result are known.
        node: an elementwise operator or a Concat.
        computed: tensors that come from sizes of tensors.
        mixed: tensors that depend on pixels and have none.
    """
    target = node.output[0]
    if not frame.has_pixels(target):
        return
    rank = len(frame.shape(target) or ())
    for name in filter(None, node.input):
        if frame.has_pixels(name) or name in mixed:
            continue
        shape = frame.shape(name) or ()
        back = [at - rank for at in frame.axes[target]]
        extent = tuple(shape[at] if -at <= len(shape) else 1 for at in back)
        value = _told(frame.reader, name) if name in computed else ""
        yield Beside(name_of(node), node.op_type, name, target, extent, value)


def _told(reader: Reader, name: str) -> str:
    value = reader.constant(name)
    if value is None:
        return f"unknown {name}"
    return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
