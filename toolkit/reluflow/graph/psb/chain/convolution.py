"""PSB operators in a chain: products of bytes and drawn weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.own_domain import ADDEND_PLACE, PsbPlace
from reluflow.graph.psb.chain.steps import LAST_BYTE, Planned, Step
from reluflow.graph.psb.chain.write import ChainWriter
from reluflow.graph.psb.nodes import code_of
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import attribute
from reluflow.psb import LARGEST_NIBBLE, PsbCode
from reluflow.psb.fixed import GRID_BITS, FixedFormat

_KEPT = ("p_bits", "sampler", "stream")
_WINDOW = ("weight_shape", "strides", "dilations", "pads", "group", "auto_pad")
_ROWS = 2
"""Axes of rows: inputs and features."""
_MOST_SUM = 1 << 29
"""Bound of a sum of products, which the operator demands."""
_QUAD = 4
"""Channels that a kernel multiplies at a time: it copies pixels of any other number."""
_REGION = 6
"""Place of PsbConv's input `region`."""
_MOST_WEIGHT = (1 << (GRID_BITS + 1)) - 1


class FixedConvStep(Step):
    """A PsbConv that takes and gives bytes."""

    stays = True
    retargets = True
    clamps = True
    becomes = ""

    def __init__(
        self, node: NodeProto, x: str, z: str, forms: tuple[FixedFormat, ...], rank: int
    ) -> None:
        super().__init__(node, (x, z) if z else (x,), forms[0], rank)
        self.becomes = "FixedConv"
        self.x, self.z = x, z
        self.fills_quads = _fills_quads(node)

    def _ends(self, writer: ChainWriter) -> bool:
        """Tell whether nobody takes its bytes, so that its exact sums may become floats.

        Bytes are added to bytes alone, and no kernel gives the sums of depthwise convolutions.
        """
        shape = attribute(self.node, "weight_shape")
        single = shape[1] == 1 and attribute(self.node, "group", 1) != 1  # type: ignore[index]
        return self.output not in writer.needed and not self.z and not single

    def write(self, writer: ChainWriter) -> None:
        """Write a FixedConv."""
        node = self.node
        x, x_form = writer.bytes_of(self.x, fills_quads=self.fills_quads)
        inputs = [x, *node.input[PsbPlace.W : PsbPlace.SEED + 1]]
        kept: dict[str, Any] = {key: attribute(node, key) for key in (*_KEPT, *_WINDOW)}
        attributes = {key: value for key, value in kept.items() if value is not None}
        attributes |= writer.format("x", x_form)
        if self._ends(writer):
            self.becomes = "FromFixedConv"
            writer.end(self, self.becomes, inputs, attributes)
            return
        attributes |= writer.format("y", self.form) | self.byte_bounds()
        if self.z:
            z, z_form = writer.bytes_of(self.z)
            inputs.append(z)
            attributes |= writer.format("z", z_form)
        writer.make(self, "FixedConv", inputs, attributes)


class MatMulStep(Step):
    """A PsbMatMul of rows: a convolution of one axis inside a chain, floats at its end."""

    stays = True
    retargets = True
    clamps = True
    becomes = ""

    def __init__(self, node: NodeProto, form: FixedFormat) -> None:
        super().__init__(node, (node.input[PsbPlace.X],), form, _ROWS)
        self.becomes = "FixedConv"
        self.bounds = _activation_bounds(node)

    def write(self, writer: ChainWriter) -> None:
        """Write a FixedConv whose pixels are the rows, or a FromFixedMatMul."""
        node = self.node
        x, x_form = writer.bytes_of(self.reads[0])
        shape = [int(size) for size in attribute(node, "weight_shape")]  # type: ignore[attr-defined]
        kept: dict[str, Any] = {key: attribute(node, key) for key in _KEPT}
        attributes = {key: value for key, value in kept.items() if value is not None}
        attributes |= writer.format("x", x_form)
        weights = node.input[PsbPlace.W : PsbPlace.SEED + 1]
        if self.output not in writer.needed:
            self.becomes = "FromFixedMatMul"
            attributes["weight_shape"] = shape
            writer.end(self, self.becomes, [x, *weights], attributes)
            return
        attributes |= {"weight_shape": [*shape, 1], **writer.format("y", self.form)}
        line = writer.reshape(x, self.output, [1, -1, shape[1]])
        sums = writer.editor.fresh(self.output, "sums")
        writer.emit("FixedConv", [line, *weights], sums, self.name, attributes | self.byte_bounds())
        writer.give(self, writer.reshape(sums, self.output, [-1, shape[0]]))


def _fills_quads(node: NodeProto) -> bool:
    shape = attribute(node, "weight_shape")
    channels = int(shape[1])  # type: ignore[index]
    return channels % _QUAD != 0 and attribute(node, "group", 1) == 1


def join_conv(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a PsbConv, or why it cannot take and give bytes."""
    reason = _other_draws(node)
    if reason is not None:
        return reason
    if len(node.input) > _REGION and node.input[_REGION]:
        return Reason("it has an input region")
    x, y = node.input[PsbPlace.X], node.output[0]
    z = _addend(plan, node)
    found = plan.forms(x, *([z] if z else []))
    if isinstance(found, Reason):
        return found
    form = plan.form(y)
    if isinstance(form, Reason):
        return form
    reason = _too_large(plan, node)
    if reason is not None:
        return reason
    rank = len(attribute(node, "weight_shape"))  # type: ignore[arg-type]
    step = FixedConvStep(node, x, z, (form, *found), rank)
    step.bounds = _activation_bounds(node)
    return step


def _other_draws(node: NodeProto) -> Reason | None:
    """Return that a PSB operator draws in a way that chains do not have."""
    sampler, draws = attribute(node, "sampler", "systematic"), attribute(node, "draws", "run")
    if sampler not in ("systematic", "nearest"):
        return Reason(f"its sampler is {sampler}; chains draw systematically or round to nearest")
    if draws != "run":
        return Reason("it draws for every product; chains draw once per run")
    return None


def _activation_bounds(node: NodeProto) -> tuple[float, float] | None:
    """Return the bounds that a PSB operator gives its output itself."""
    kind = attribute(node, "activation", "none")
    if kind == "relu":
        return 0.0, np.inf
    if kind == "clip":
        low, high = (attribute(node, key, end) for key, end in _CLIP)
        return float(str(low)), float(str(high))
    return None


_CLIP = (("clip_min", -np.inf), ("clip_max", np.inf))


def _addend(plan: Planned, node: NodeProto) -> str:
    """Return the tensor that a PSB operator adds, "" for none."""
    place = ADDEND_PLACE[node.op_type]
    z: str = node.input[place] if len(node.input) > place else ""
    constant = plan.editor.constant(z) if z else None
    return "" if constant is not None and constant.size == 0 else z


def _too_large(plan: Planned, node: NodeProto) -> Reason | None:
    """Return that a channel's weights may exceed what 32-bit sums hold, over all draws."""
    planes, emax = (plan.editor.constant(n) for n in node.input[PsbPlace.W : PsbPlace.EMAX + 1])
    if planes is None or emax is None:
        return Reason("its weights are computed")
    sums = _largest_sums(code_of(node, planes, emax))
    if int(sums.max(initial=0)) * LAST_BYTE < _MOST_SUM:
        return None
    return Reason("the weights of a channel add up to more than 32-bit sums of bytes can hold")


def _largest_sums(code: PsbCode) -> np.ndarray:
    """Return a bound of the sum of a channel's magnitudes on the grid, `(channels,)`."""
    j = LARGEST_NIBBLE - code.nibble.astype(np.int64)
    # No draw lies beyond the next multiple of the largest step, that of one sample.
    most = np.minimum(2 << np.maximum(GRID_BITS - j, 0), _MOST_WEIGHT)
    found: np.ndarray = np.where(code.nibble == 0, 0, most).reshape(len(code.words), -1).sum(axis=1)
    return found


def join_matmul(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a PsbMatMul, or why it cannot take and give bytes."""
    reason = _other_draws(node)
    if reason is not None:
        return reason
    if _addend(plan, node):
        return Reason("it adds another computed tensor, which products of bytes cannot")
    x = node.input[PsbPlace.X]
    rank = plan.rank(x)
    if rank != _ROWS:
        axes = "an unknown number of" if rank is None else rank
        return Reason(f"its input has {axes} axes; products of bytes are of rows, of 2")
    found = plan.forms(x, node.output[0])
    if isinstance(found, Reason):
        return found
    return _too_large(plan, node) or MatMulStep(node, found[1])
