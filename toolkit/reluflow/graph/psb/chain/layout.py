"""Operators that move values without changing them: ONNX's own, on the bytes of a chain."""

from __future__ import annotations

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
_SCALES_PLACE, _SIZES_PLACE = 2, 3
"""Of what a Resize takes."""
_PAD_MODES = ("constant", "reflect", "edge")


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


def join_resize(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a Resize to nearest pixels, or why it cannot take bytes."""
    maker = plan.makers.get(node.input[0])
    if maker is None:
        return Reason("what it reads is not in a chain")
    mode = attribute(node, "mode", "nearest")
    if mode != "nearest":
        return Reason(f"it interpolates ({mode}), for which chains have no exact rule")
    if node.op_type != "Resize" or plan.editor.opset < _PAD_FROM_OPSET:
        return Reason(f"it is {node.op_type} of opset {plan.editor.opset}")
    if attribute(node, "axes") is not None:
        return Reason("it names the axes that it resizes")
    parts: list[np.ndarray | None] = [None, None, None]
    for place in (_SCALES_PLACE, _SIZES_PLACE):
        name = node.input[place] if len(node.input) > place else ""
        if not name:
            continue
        value = plan.editor.constant(name)
        if value is None:
            return Reason("its sizes are computed")
        if value.size:
            parts[place - 1] = np.array(last(value.reshape(-1).tolist()), value.dtype)
    kept = {e.name for e in node.attribute} - {"mode"}
    attributes: dict[str, Any] = {name: attribute(node, name) for name in kept}
    if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return Reason("it crops while it resizes")
    return MoveStep(node, maker.form, maker.rank, parts, attributes | {"mode": "nearest"})
