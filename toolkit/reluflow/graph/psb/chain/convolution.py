"""PsbConv in a chain: FixedConv."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.own_domain import ADDEND_PLACE, PSB_CONV, PsbPlace
from reluflow.graph.psb.chain.steps import LAST_BYTE, Planned, Step
from reluflow.graph.psb.chain.write import ChainWriter
from reluflow.graph.psb.nodes import code_of
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import attribute
from reluflow.psb import LARGEST_NIBBLE, PsbCode
from reluflow.psb.fixed import GRID_BITS, FixedFormat

_KEPT = ("weight_shape", "p_bits", "sampler", "stream", "strides", "dilations", "pads", "group")
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
    becomes = "FixedConv"

    def __init__(
        self, node: NodeProto, x: str, z: str, forms: tuple[FixedFormat, ...], rank: int
    ) -> None:
        super().__init__(node, (x, z) if z else (x,), forms[0], rank)
        self.x, self.z = x, z
        self.fills_quads = _fills_quads(node)

    def write(self, writer: ChainWriter) -> None:
        """Write a FixedConv."""
        node = self.node
        x, x_form = writer.bytes_of(self.x, fills_quads=self.fills_quads)
        inputs = [x, *node.input[PsbPlace.W : PsbPlace.SEED + 1]]
        kept: dict[str, Any] = {key: attribute(node, key) for key in (*_KEPT, "auto_pad")}
        attributes = {key: value for key, value in kept.items() if value is not None}
        attributes |= writer.format("x", x_form) | writer.format("y", self.form)
        attributes |= self.byte_bounds()
        if self.z:
            z, z_form = writer.bytes_of(self.z)
            inputs.append(z)
            attributes |= writer.format("z", z_form)
        writer.make(self, "FixedConv", inputs, attributes)


def _fills_quads(node: NodeProto) -> bool:
    shape = attribute(node, "weight_shape")
    channels = int(shape[1])  # type: ignore[index]
    return channels % _QUAD != 0 and attribute(node, "group", 1) == 1


def join_conv(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a PsbConv, or why it cannot take and give bytes."""
    if node.op_type != PSB_CONV:
        return Reason(f"there is no operator of chains for {node.op_type}")
    sampler, draws = attribute(node, "sampler", "systematic"), attribute(node, "draws", "run")
    if sampler not in ("systematic", "nearest"):
        return Reason(f"its sampler is {sampler}; chains draw systematically or round to nearest")
    if draws != "run":
        return Reason("it draws for every product; chains draw once per run")
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
    kind = attribute(node, "activation", "none")
    if kind == "relu":
        step.bounds = (0.0, np.inf)
    elif kind == "clip":
        low, high = (attribute(node, key, end) for key, end in _CLIP)
        step.bounds = (float(str(low)), float(str(high)))
    return step


_CLIP = (("clip_min", -np.inf), ("clip_max", np.inf))


def _addend(plan: Planned, node: NodeProto) -> str:
    """Return the tensor that a convolution adds, "" for none."""
    place = ADDEND_PLACE[PSB_CONV]
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
