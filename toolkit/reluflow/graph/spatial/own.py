"""What the operators of converted models read along the axes of pixels: floats and chains."""

from __future__ import annotations

from dataclasses import replace

from onnx import NodeProto
from scipy.sparse import csr_array

from reluflow.graph.proto import own_domain as own
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import attribute
from reluflow.graph.spatial import axis, steps
from reluflow.graph.spatial.steps import Frame, Reads

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
"""Of FixedResize, by number (docs/psb-ops.md)."""


def product(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a convolution of floats or of a chain, with what it adds to its sum."""
    first = node.op_type == own.PSB_CONV
    found = _windows(frame, node, "weight_shape", to_last=node.op_type != own.FROM_FIXED_CONV)
    if isinstance(found, Reason):
        return found
    place = own.ADDEND_PLACE.get(node.op_type)
    added = node.input[place] if place is not None and len(node.input) > place else ""
    if added and frame.has_pixels(added):
        if frame.axes[added] != frame.axes[node.output[0]]:
            layout = "channels first" if first else "channels last"
            return Reason(f"what it adds does not have its {layout}")
        found.append(steps.mapped(frame, added, node.output[0], axis.same))
    return found


def pooling(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a pooling of a chain."""
    return _windows(frame, node, "kernel_shape", to_last=True)


def global_pooling(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a pooling of all pixels of a chain."""
    to_last = node.op_type == own.FIXED_GLOBAL_AVERAGE_POOL
    if reason := _give(frame, node, from_last=True, to_last=to_last):
        return reason
    return [steps.mapped(frame, node.input[0], node.output[0], axis.everything)]


def entrance(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read what makes integers of floats: channels first become channels last."""
    if reason := _give(frame, node, from_last=False, to_last=True):
        return reason
    return [steps.mapped(frame, node.input[0], node.output[0], axis.same)]


def exit_(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read what makes floats of integers: channels last become channels first."""
    if reason := _give(frame, node, from_last=True, to_last=False):
        return reason
    return [steps.mapped(frame, node.input[0], node.output[0], axis.same)]


def resize(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a linear Resize of a chain."""
    if reason := _give(frame, node, from_last=True, to_last=True):
        return reason
    where = _COORDINATES[int(str(attribute(node, "coordinates", 0)))]

    def how(n_out: int, n_in: int) -> csr_array:
        if n_out == n_in:
            return axis.same(n_out, n_in)
        return axis.resized(n_out, n_in, n_out / n_in, "linear", where)

    read = steps.mapped(frame, node.input[0], node.output[0], how)
    sizes = zip(frame.sizes(read.target), frame.sizes(read.source), strict=True)
    rule = tuple(f"linear {where} {axis.spacing(n, m, n / m, where)}" for n, m in sizes)
    return [replace(read, rule=rule)]


HANDLERS: dict[str, steps.Handler] = {
    **dict.fromkeys(
        (own.PSB_CONV, own.FIXED_CONV, own.FIXED_CONV_16, own.FROM_FIXED_CONV), product
    ),
    **dict.fromkeys((own.FIXED_MAX_POOL, own.FIXED_MAX_POOL_16, own.FIXED_AVERAGE_POOL), pooling),
    **dict.fromkeys(
        (own.FIXED_GLOBAL_POOL, own.FIXED_GLOBAL_POOL_16, own.FIXED_GLOBAL_AVERAGE_POOL),
        global_pooling,
    ),
    **dict.fromkeys((own.FIXED_ADD, own.FIXED_MUL), steps.elementwise),
    own.FIXED_TABLE: steps.first_only,
    **dict.fromkeys((own.FIXED_RESIZE, own.FIXED_RESIZE_16), resize),
    **dict.fromkeys((own.TO_FIXED, own.TO_FIXED_16), entrance),
    **dict.fromkeys((own.FROM_FIXED, own.FROM_FIXED_16), exit_),
}
"""Operators of converted models that keep pixels apart -> how they are read."""


def _windows(frame: Frame, node: NodeProto, size: str, *, to_last: bool) -> list[Reads] | Reason:
    """Read windows whose size is at the end of an attribute."""
    from_last = node.op_type != own.PSB_CONV
    if reason := _give(frame, node, from_last=from_last, to_last=to_last and from_last):
        return reason
    given, rank = attribute(node, size), len(frame.axes[node.input[0]])
    if not given:
        return Reason("the size of its window is not told")
    return [steps.windows(frame, node, tuple(list(given)[-rank:]))]  # type: ignore[call-overload]


def _give(frame: Frame, node: NodeProto, *, from_last: bool, to_last: bool) -> Reason | None:
    """Say where the pixels of the result lie; return why they are not known."""
    source = node.input[0]
    rank = len(frame.shape(source) or ())
    last, first = tuple(range(1, rank - 1)), tuple(range(2, rank))
    if frame.axes[source] != (last if from_last else first):
        return Reason(f"its input does not have its channels {'last' if from_last else 'second'}")
    if not frame.give(node.output[0], last if to_last else first):
        return Reason(steps.SIZE_UNKNOWN)
    return None
