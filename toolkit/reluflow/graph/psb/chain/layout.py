"""Operators that move values without changing them: ONNX's own, on the bytes of a chain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto

from reluflow.graph.psb.chain.steps import LAST_BYTE, Planned, Step
from reluflow.graph.psb.chain.write import ChainWriter
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import attribute
from reluflow.psb.fixed import FixedFormat, to_fixed

_CHANNELS = 1
_PAD_FROM_OPSET = 11
"""From here on Pad takes its sizes as an input."""
_AXES_PLACE = 3
"""Of the axes that a Pad names."""
_PAD_MODES = ("constant", "reflect", "edge")
_ROWS = 2
"""Axes of rows: inputs and features."""


def last(values: Sequence[Any]) -> list[Any]:
    """Return one value per axis in the order of bytes: channels last."""
    return [values[0], *values[2:], values[1]]


class ConcatStep(Step):
    """Channels of several tensors side by side, all in one format."""

    becomes = "Concat"

    def write(self, writer: ChainWriter) -> None:
        """Write a Concat along the last axis."""
        inputs = [self._bytes(writer, tensor) for tensor in self.node.input]
        axis = attribute(self.node, "axis", _CHANNELS)
        moved = last(range(self.rank)).index(int(str(axis)) % self.rank)
        writer.make(self, "Concat", inputs, {"axis": moved}, own=False)

    def _bytes(self, writer: ChainWriter, tensor: str) -> str:
        value = None if tensor in self.reads else writer.editor.constant(tensor)
        if value is None:
            return writer.bytes_of(tensor, form=self.form)[0]
        stored = to_fixed(value.astype(np.float32), self.form)
        return writer.editor.add_initializer(tensor, "bytes", stored)


class MoveStep(Step):
    """One tensor, padded or resized: constant inputs are given anew."""

    becomes = ""

    def __init__(
        self,
        node: NodeProto,
        form: FixedFormat,
        rank: int,
        constants: list[np.ndarray | None],
        attributes: dict[str, Any],
    ) -> None:
        super().__init__(node, (node.input[0],), form, rank)
        self.becomes = node.op_type
        self._constants, self._attributes = constants, attributes

    def write(self, writer: ChainWriter) -> None:
        """Write the operator on bytes."""
        inputs = [writer.bytes_of(self.reads[0])[0]]
        for value in self._constants:
            inputs.append(
                "" if value is None else writer.editor.add_initializer(self.name, "moved", value)
            )
        while inputs[-1] == "":
            inputs.pop()
        writer.make(self, self.node.op_type, inputs, self._attributes, own=False)


def join_concat(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a Concat, or why it cannot take bytes."""
    if not any(tensor in plan.makers for tensor in node.input):
        return Reason("what it reads is not in a chain")
    computed = [name for name in node.input if plan.editor.constant(name) is None]
    found = plan.forms(*computed)
    if isinstance(found, Reason):
        return found
    ranks = {plan.rank(tensor) for tensor in computed}
    if len(ranks) != 1 or None in ranks:
        return Reason("the ranks of what it joins are unknown")
    (rank,) = ranks
    assert rank is not None
    form = plan.formats.get(node.output[0], _widest(found))
    for tensor in node.input:
        maker = plan.makers.get(tensor)
        if maker is not None and maker.retargets and plan.editor.sole_reader(tensor) is node:
            maker.form = form
    return ConcatStep(node, tuple(dict.fromkeys(computed)), form, rank)


def _widest(forms: Sequence[FixedFormat]) -> FixedFormat:
    """Return a format that holds the values of all."""
    zero = max(form.zero for form in forms)
    # A format without negative values has one bit more: with the other zero it is one coarser.
    return FixedFormat(min(f.exponent - (f.zero != zero) for f in forms), zero)


def join_pad(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a Pad with constant sizes, or why it cannot take bytes."""
    maker = plan.makers.get(node.input[0])
    if maker is None:
        return Reason("what it reads is not in a chain")
    mode = str(attribute(node, "mode", "constant"))
    if plan.editor.opset < _PAD_FROM_OPSET or mode not in _PAD_MODES:
        return Reason(f"its mode is {mode} at opset {plan.editor.opset}")
    if len(node.input) > _AXES_PLACE and node.input[_AXES_PLACE]:
        return Reason("it names the axes that it pads")
    pads = plan.editor.constant(node.input[1])
    value = plan.editor.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else 0.0
    if pads is None or value is None:
        return Reason("its sizes are computed")
    rank = maker.rank
    sizes = pads.reshape(-1).tolist()
    moved = np.array(last(sizes[:rank]) + last(sizes[rank:]), np.int64)
    scaled = float(np.asarray(value).reshape(-1)[0]) * 2.0**maker.form.exponent + maker.form.zero
    if mode == "constant" and not (0 <= scaled <= LAST_BYTE and scaled == round(scaled)):
        return Reason(f"what it fills in, {value}, is no byte of the format")
    filled = np.array(round(scaled), np.uint8) if mode == "constant" else None
    return MoveStep(node, maker.form, rank, [moved, filled], {"mode": mode})


class ShapeStep(Step):
    """Each input's values in their order, as a tensor of another shape."""

    becomes = "Reshape"

    def __init__(
        self, node: NodeProto, form: FixedFormat, x: Sequence[Any], y: Sequence[Any]
    ) -> None:
        super().__init__(node, (node.input[0],), form, len(y))
        self._x, self._y = x, y

    def write(self, writer: ChainWriter) -> None:
        """Write a Reshape, with a Transpose wherever channels last is another order."""
        x, _ = writer.bytes_of(self.reads[0])
        rank = len(self._x)
        if not _is_one_order(self._x):
            x = _turned(writer, x, self.output, [0, rank - 1, *range(1, rank - 1)])
        rest = list(self._y[1:]) if len(self._y) > _ROWS else [-1]
        ordered = _is_one_order(self._y)
        sizes = [0, *(last([0, *rest])[1:] if ordered else rest)]
        stored = writer.editor.add_initializer(self.name, "sizes", np.array(sizes, np.int64))
        if ordered:
            writer.make(self, "Reshape", [x, stored], {}, own=False)
            return
        first = writer.editor.fresh(self.output, "first")
        writer.emit("Reshape", [x, stored], first, self.name, {}, own=False)
        writer.give(self, _turned(writer, first, self.output, last(range(len(self._y)))))


class TransposeStep(Step):
    """Axes in another order, those of the inputs in front."""

    becomes = "Transpose"

    def __init__(self, node: NodeProto, form: FixedFormat, order: Sequence[int]) -> None:
        super().__init__(node, (node.input[0],), form, len(order))
        self._order = order

    def write(self, writer: ChainWriter) -> None:
        """Write a Transpose of the axes that lie elsewhere, if there are any."""
        x, _ = writer.bytes_of(self.reads[0])
        stored = last(range(self.rank))
        order = [stored.index(axis) for axis in last(self._order)]
        if order == sorted(order):
            writer.give(self, x)
        else:
            writer.make(self, "Transpose", [x], {"perm": order}, own=False)


def _is_one_order(shape: Sequence[Any]) -> bool:
    """Tell whether channels first and channels last are the same order of a tensor's values."""
    return shape[1] == 1 or all(size == 1 for size in shape[2:])


def _turned(writer: ChainWriter, x: str, tensor: str, order: list[int]) -> str:
    made = writer.editor.fresh(tensor, "turned")
    writer.emit("Transpose", [x], made, made, {"perm": order}, own=False)
    return made


def join_shape(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a Flatten, Reshape, Squeeze or Unsqueeze that keeps inputs apart."""
    maker = plan.makers.get(node.input[0])
    if maker is None:
        return Reason("what it reads is not in a chain")
    x, y = plan.shape(node.input[0]), plan.shape(node.output[0])
    if x is None or len(x) != maker.rank or y is None or len(y) < _ROWS:
        return Reason("the shapes of what it reads and makes are unknown")
    if not _keeps_inputs(plan, node, x, y):
        return Reason("it may mix the values of several inputs")
    if len(y) > _ROWS and not all(isinstance(size, int) for size in y[1:]):
        return Reason("the shape of what it makes is computed")
    return ShapeStep(node, maker.form, x, y)


def _keeps_inputs(plan: Planned, node: NodeProto, x: tuple[Any, ...], y: tuple[Any, ...]) -> bool:
    """Tell whether the values of an input, and no others, become those of one of the output."""
    if node.op_type == "Flatten":
        return int(str(attribute(node, "axis", 1))) % len(x) == 1
    if x[0] is not None and x[0] == y[0]:
        return True
    sizes = (*x[1:], *y[1:])
    if all(isinstance(size, int) for size in sizes):
        return bool(math.prod(x[1:]) == math.prod(y[1:]))
    given = plan.editor.constant(node.input[1]) if node.op_type == "Reshape" else None
    return given is not None and given.reshape(-1).tolist() == [0, -1]


def join_transpose(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a Transpose that leaves the inputs in front."""
    maker = plan.makers.get(node.input[0])
    if maker is None:
        return Reason("what it reads is not in a chain")
    order = attribute(node, "perm") or list(range(maker.rank))[::-1]
    axes = [int(axis) for axis in order]  # type: ignore[attr-defined]
    if axes[0] != 0:
        return Reason("it moves the axis of the inputs")
    return TransposeStep(node, maker.form, axes)
