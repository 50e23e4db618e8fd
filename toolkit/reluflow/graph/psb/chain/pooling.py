"""Pooling in a chain."""

from __future__ import annotations

from typing import Any

from onnx import NodeProto, helper

from reluflow.graph.psb.chain.steps import Planned, Step
from reluflow.graph.psb.chain.write import ChainWriter
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import attribute
from reluflow.psb.fixed import FixedFormat

_WINDOW = ("kernel_shape", "strides", "pads", "dilations", "auto_pad")
_SPATIAL_FROM = 2
"""Number of the first spatial axis."""


class PoolStep(Step):
    """MaxPool, which keeps the format, or AveragePool."""

    def __init__(self, node: NodeProto, form: FixedFormat, rank: int) -> None:
        super().__init__(node, (node.input[0],), form, rank)
        self.is_max = node.op_type == "MaxPool"
        # The largest value of a window is exact, and there are fewer of them than before.
        self.stays = self.is_max  # type: ignore[misc]

    @property
    def becomes(self) -> str:
        """The operator of the chain."""
        return "FixedMaxPool" if self.is_max else "FixedAveragePool"

    def write(self, writer: ChainWriter) -> None:
        """Write a pooling operator."""
        x, form = writer.bytes_of(self.reads[0])
        kept = {key: attribute(self.node, key) for key in _WINDOW}
        attributes: dict[str, Any] = {k: value for k, value in kept.items() if value is not None}
        if not self.is_max:
            attributes["count_include_pad"] = attribute(self.node, "count_include_pad", 0)
            attributes |= writer.format("x", form) | writer.format("y", self.form)
        writer.make(self, self.becomes, [x], attributes)


class GlobalPoolStep(Step):
    """The mean over all pixels: floats at the end of a chain, bytes inside."""

    stays = True
    becomes = ""

    def __init__(self, node: NodeProto, form: FixedFormat, rank: int, keeps_axes: bool) -> None:
        super().__init__(node, (node.input[0],), form, rank if keeps_axes else 2)
        self.becomes = "FixedGlobalPool"
        self.keeps_axes = keeps_axes

    def write(self, writer: ChainWriter) -> None:
        """Write the mean as whoever reads it needs it: in floats, in bytes or both."""
        x, form = writer.bytes_of(self.reads[0])
        attributes = writer.format("x", form)
        if self.output in writer.needed:
            self._bytes(writer, x, attributes)
        made = self.output if self.keeps_axes else writer.editor.fresh(self.output, "kept")
        name = writer.editor.fresh(self.name, "mean") if self.output in writer.needed else self.name
        writer.emit("FixedGlobalPool", [x], made, name, attributes)
        if not self.keeps_axes:
            writer.nodes.append(helper.make_node("Flatten", [made], [self.output], axis=1))
        writer.floats.add(self.output)

    def _bytes(self, writer: ChainWriter, x: str, attributes: dict[str, int]) -> None:
        self.becomes = "FixedGlobalAveragePool"
        attributes = attributes | writer.format("y", self.form)
        if self.keeps_axes:
            writer.make(self, "FixedGlobalAveragePool", [x], attributes)
            return
        kept = writer.editor.fresh(self.output, "kept")
        writer.emit("FixedGlobalAveragePool", [x], kept, self.name, attributes)
        writer.give(self, writer.reshape(kept, self.output, [0, -1]))


def join_pool(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a MaxPool or AveragePool, or why it cannot take bytes."""
    x = node.input[0]
    maker = plan.makers.get(x)
    if maker is None:
        return Reason("what it reads is not in a chain")
    if attribute(node, "ceil_mode", 0):
        return Reason("its last windows may hang over the edge (ceil_mode)")
    if any(name for name in node.output[1:] if plan.editor.readers(name)):
        return Reason("its indices are read")
    if node.op_type == "MaxPool":
        return PoolStep(node, maker.form, maker.rank)
    if _covers_all(plan, node):
        return GlobalPoolStep(node, _pooled(plan, node, maker), maker.rank, True)
    return PoolStep(node, _pooled(plan, node, maker), maker.rank)


def join_global_pool(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a GlobalAveragePool, or of a ReduceMean over all pixels."""
    maker = plan.makers.get(node.input[0])
    if maker is None:
        return Reason("what it reads is not in a chain")
    keeps = True
    if node.op_type == "ReduceMean":
        axes = _axes(plan, node)
        spatial = list(range(_SPATIAL_FROM, maker.rank))
        if axes is None or sorted(axis % maker.rank for axis in axes) != spatial:
            return Reason("it takes the mean over other axes than all spatial ones")
        keeps = bool(attribute(node, "keepdims", 1))
    return GlobalPoolStep(node, _pooled(plan, node, maker), maker.rank, keeps)


def _pooled(plan: Planned, node: NodeProto, maker: Step) -> FixedFormat:
    """Return the given format of a mean, else that of its terms: it lies between them."""
    return plan.formats.get(node.output[0], maker.form)


def _axes(plan: Planned, node: NodeProto) -> list[int] | None:
    given = attribute(node, "axes")
    if given is not None:
        return [int(axis) for axis in given]  # type: ignore[attr-defined]
    if len(node.input) > 1 and node.input[1]:
        value = plan.editor.constant(node.input[1])
        return None if value is None else [int(axis) for axis in value.reshape(-1)]
    return None


def _covers_all(plan: Planned, node: NodeProto) -> bool:
    """Tell whether the only window of an AveragePool is the whole plane."""
    shape = plan.shape(node.input[0])
    kernel, pads = attribute(node, "kernel_shape"), attribute(node, "pads")
    padded = any(each != 0 for each in pads or [])  # type: ignore[attr-defined]
    if shape is None or padded or attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return False
    return tuple(shape[_SPATIAL_FROM:]) == tuple(kernel)  # type: ignore[arg-type]
