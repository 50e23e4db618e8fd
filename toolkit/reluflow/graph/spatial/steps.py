"""What each operator reads along the axes of pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto
from scipy.sparse import csr_array

from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import Reader, attribute
from reluflow.graph.spatial import axis
from reluflow.graph.spatial.known import known_shape

Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reads:
    """What one tensor gives to another; `read_spatial` lists all of a graph.

    Attributes:
        source: the tensor that is read.
        target: the tensor that is made.
        maps: one sparse `(target pixels, source pixels)` 0-1 matrix for each axis of pixels; pixel
            (i, j) of the target reads all (k, l) with a 1 at [i, k] of the first, [j, l] of the
            second.
        node: name of the node that does it.
        op: its operator.
        rule: what, beside the maps, says how the pixels of a Resize are weighted: mode, coordinates
            and exact scales along each axis; () elsewhere.
    """

    source: str
    target: str
    maps: tuple[csr_array, ...]
    node: str = ""
    op: str = ""
    rule: tuple[str, ...] = ()


class Frame:
    """Where the pixels of each tensor lie, and how many there are.

    Attributes:
        reader: the index of the graph.
        axes: tensor -> its axes of pixels.
    """

    def __init__(self, reader: Reader, axes: dict[str, tuple[int, ...]]) -> None:
        self.reader = reader
        self.axes = axes

    def shape(self, tensor: str) -> Sizes | None:
        """Return a tensor's shape, None where the graph does not tell all of it."""
        return known_shape(self.reader, tensor)

    def sizes(self, tensor: str) -> Sizes:
        """Return the number of pixels along each axis."""
        shape = self.shape(tensor)
        assert shape is not None
        return tuple(shape[at] for at in self.axes[tensor])

    def has_pixels(self, tensor: str) -> bool:
        """Tell whether a tensor's pixels are known."""
        return tensor in self.axes

    def give(self, tensor: str, axes: tuple[int, ...]) -> bool:
        """Say where the pixels of a tensor lie; return whether its size is known."""
        if self.shape(tensor) is None:
            return False
        self.axes[tensor] = axes
        return True


Handler = Callable[[Frame, NodeProto], list[Reads] | Reason]
SIZE_UNKNOWN = "the graph does not tell the size of its result"
How = Callable[[int, int], csr_array]
"""A relation, by the numbers of pixels of the target and of the source."""


def elementwise(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read an operator whose output pixels read the same pixels of all inputs."""
    target = node.output[0]
    sources = [name for name in node.input if name and frame.has_pixels(name)]
    shape = frame.shape(target)
    if shape is None:
        return Reason(SIZE_UNKNOWN)
    placed = {_from_end(frame, name) for name in sources}
    if len(placed) != 1:
        return Reason("its inputs have their pixels on different axes")
    frame.axes[target] = tuple(len(shape) + at for at in placed.pop())
    return [mapped(frame, name, target, axis.same) for name in sources]


def first_only(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read an operator whose output has the pixels of its first input."""
    source, target = node.input[0], node.output[0]
    if not frame.give(target, frame.axes[source]):
        return Reason(SIZE_UNKNOWN)
    return [mapped(frame, source, target, axis.same)]


def normalisation(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a BatchNormalization, which in training mode reads all pixels."""
    if _integer(node, "training_mode", 0):
        return Reason("it takes its statistics from all pixels")
    return first_only(frame, node)


def over_channels(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a Softmax or a relative: along one axis, in old opsets along all from one on."""
    rank = len(frame.shape(node.input[0]) or ())
    new = frame.reader.opset >= _ONE_AXIS_SINCE
    first = _integer(node, "axis", -1 if new else 1) % rank
    if set(frame.axes[node.input[0]]) & set(range(first, first + 1 if new else rank)):
        return Reason("it works along an axis of pixels")
    return first_only(frame, node)


_ONE_AXIS_SINCE = 13
"""Opset from which on Softmax works along one axis."""


def convolution(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a Conv; its weights tell the size of the window where no attribute does."""
    source = node.input[0]
    if reason := _not_channels_first(frame, source):
        return reason
    if not frame.give(node.output[0], frame.axes[source]):
        return Reason(SIZE_UNKNOWN)
    rank = len(frame.axes[source])
    size = tuple(_list(node, "kernel_shape", 0) or _list(node, "weight_shape", 0)[-rank:])
    if not size and len(node.input) > 1:
        size = (frame.shape(node.input[1]) or ())[2:]
    if len(size) != rank:
        return Reason("the size of its window is computed")
    return [windows(frame, node, size)]


def pooling(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a MaxPool, AveragePool or LpPool; `ceil_mode` shows in the size of its result."""
    return convolution(frame, node)


def transposed_convolution(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a ConvTranspose."""
    source, target = node.input[0], node.output[0]
    if reason := _not_channels_first(frame, source):
        return reason
    weights = frame.shape(node.input[1])
    if weights is None or not frame.give(target, frame.axes[source]):
        return Reason(SIZE_UNKNOWN)
    size, rank = weights[2:], len(weights) - 2
    strides, dilations = _list(node, "strides", rank), _list(node, "dilations", rank)
    more = _list(node, "output_padding", rank, 0)
    mode, pads = attribute(node, "auto_pad", "NOTSET"), _list(node, "pads", 2 * rank, 0)
    found = []
    for i, (n_out, n_in) in enumerate(zip(frame.sizes(target), frame.sizes(source), strict=True)):
        begin = pads[i]
        if mode != "NOTSET" or attribute(node, "output_shape"):
            span = (size[i] - 1) * dilations[i] + 1
            total = max(0, strides[i] * (n_in - 1) + more[i] + span - n_out)
            begin = total // 2 if mode == "SAME_UPPER" else total - total // 2
            begin = 0 if mode == "VALID" else begin
        found.append(axis.transposed(n_out, n_in, size[i], strides[i], dilations[i], begin))
    return [Reads(source, target, tuple(found))]


def global_pooling(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a GlobalAveragePool and its relatives: one pixel that reads all."""
    if reason := _not_channels_first(frame, node.input[0]):
        return reason
    if not frame.give(node.output[0], frame.axes[node.input[0]]):
        return Reason(SIZE_UNKNOWN)
    return [mapped(frame, node.input[0], node.output[0], axis.everything)]


def reduction(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a ReduceMean and its relatives, along axes that stay with a size of 1."""
    source, target = node.input[0], node.output[0]
    rank = len(frame.shape(source) or ())
    given = attribute(node, "axes")
    if given is None and len(node.input) > 1 and node.input[1]:
        value = frame.reader.constant(node.input[1])
        if value is None:
            return Reason("its axes are computed")
        given = value.reshape(-1).tolist()
    axes = [at % rank for at in given] if given else list(range(rank))  # type: ignore[attr-defined]
    if not _integer(node, "keepdims", 1) and set(axes) & {0, *frame.axes[source]}:
        return Reason("it takes the axes of pixels away")
    if not _integer(node, "keepdims", 1):
        kept = tuple(at - sum(each < at for each in axes) for at in frame.axes[source])
    else:
        kept = frame.axes[source]
    if not frame.give(target, kept):
        return Reason(SIZE_UNKNOWN)
    maps = [
        (axis.everything if at in axes else axis.same)(n_out, n_in)
        for at, n_out, n_in in zip(
            frame.axes[source], frame.sizes(target), frame.sizes(source), strict=True
        )
    ]
    return [Reads(source, target, tuple(maps))]


def concatenation(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a Concat, of channels or of pixels."""
    target, sources = node.output[0], list(node.input)
    placed = {frame.axes[name] for name in sources if frame.has_pixels(name)}
    if len(placed) != 1:
        return Reason("its inputs have their pixels on different axes")
    axes = placed.pop()
    shapes = [frame.shape(name) for name in sources]
    if None in shapes or not frame.give(target, axes):
        return Reason(SIZE_UNKNOWN)
    along = _integer(node, "axis", 1) % len(shapes[0] or ())
    found, start = [], 0
    for name, shape in zip(sources, shapes, strict=True):
        assert shape is not None
        if frame.has_pixels(name):
            maps = tuple(
                axis.moved(n_out, n_in, -start if at == along else 0, 1)
                for at, n_out, n_in in zip(
                    axes, frame.sizes(target), frame.sizes(name), strict=True
                )
            )
            found.append(Reads(name, target, maps))
        start += shape[along]
    return found


def split(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a Split, of channels or of pixels."""
    source = node.input[0]
    along = _integer(node, "axis", 0) % len(frame.shape(source) or ())
    found, start = [], 0
    for target in filter(None, node.output):
        if not frame.give(target, frame.axes[source]):
            return Reason(SIZE_UNKNOWN)
        shape = frame.shape(target) or ()
        found.append(_moved(frame, source, target, {along: (start, 1)}))
        start += shape[along]
    return found


def slicing(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a Slice with constant places."""
    source, target = node.input[0], node.output[0]
    places = list(_slice_places(frame, node))
    if not places or any(place is None for place in places):
        return Reason("where it cuts is computed")
    if not frame.give(target, frame.axes[source]):
        return Reason(SIZE_UNKNOWN)
    return [_moved(frame, source, target, dict(filter(None, places)))]


def _slice_places(frame: Frame, node: NodeProto) -> Iterator[tuple[int, tuple[int, int]] | None]:
    """Yield (axis, (start, step)); None where something is computed."""
    shape = frame.shape(node.input[0]) or ()
    if attribute(node, "starts") is not None:
        starts = list(attribute(node, "starts"))  # type: ignore[call-overload]
        axes, steps = attribute(node, "axes"), [1] * len(starts)
    else:
        read = [
            frame.reader.constant(node.input[i]) if i < len(node.input) and node.input[i] else None
            for i in (1, *_SLICE_AXES_STEPS)
        ]
        needed = [i < len(node.input) and bool(node.input[i]) for i in (1, *_SLICE_AXES_STEPS)]
        if read[0] is None or any(n and r is None for n, r in zip(needed, read, strict=True)):
            yield None
            return
        first, along, step = read
        assert first is not None
        starts = first.reshape(-1).tolist()
        axes = None if along is None else along.reshape(-1).tolist()
        steps = [1] * len(starts) if step is None else step.reshape(-1).tolist()
    chosen = list(range(len(starts))) if axes is None else [at % len(shape) for at in axes]  # type: ignore[attr-defined]
    for at, start, by in zip(chosen, starts, steps, strict=True):
        place = start + shape[at] if start < 0 else start
        yield at, (int(np.clip(place, 0, shape[at] - (by < 0))), int(by))


_SLICE_AXES_STEPS = (3, 4)
"""Places of the inputs `axes` and `steps` of a Slice."""


def padding(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a Pad with constant sizes."""
    source, target = node.input[0], node.output[0]
    rank = len(frame.shape(source) or ())
    given = attribute(node, "pads")
    if given is None and len(node.input) > 1:
        value = frame.reader.constant(node.input[1])
        given = None if value is None else value.reshape(-1).tolist()
    if given is None:
        return Reason("how far it pads is computed")
    pads = list(given)  # type: ignore[call-overload]
    chosen = list(range(rank))
    if len(node.input) > _PAD_AXES and node.input[_PAD_AXES]:
        axes = frame.reader.constant(node.input[_PAD_AXES])
        if axes is None:
            return Reason("which axes it pads is computed")
        chosen = [int(at) % rank for at in axes.reshape(-1)]
    if not frame.give(target, frame.axes[source]):
        return Reason(SIZE_UNKNOWN)
    begins = dict(zip(chosen, pads[: len(chosen)], strict=True))
    mode = str(attribute(node, "mode", "constant"))
    maps = tuple(
        axis.padded(n_out, n_in, int(begins.get(at, 0)), mode)
        for at, n_out, n_in in zip(
            frame.axes[source], frame.sizes(target), frame.sizes(source), strict=True
        )
    )
    return [Reads(source, target, maps)]


_PAD_AXES = 3


_RESIZE_SINCE = 11
"""Opset from which on Resize has a region of interest, and coordinates of its own."""


def resize(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a Resize or an Upsample."""
    source, target = node.input[0], node.output[0]
    mode = str(attribute(node, "mode", "nearest"))
    default = (
        "half_pixel"
        if node.op_type == "Resize" and frame.reader.opset >= _RESIZE_SINCE
        else "asymmetric"
    )
    where = str(attribute(node, "coordinate_transformation_mode", default))
    rounding = str(attribute(node, "nearest_mode", "round_prefer_floor"))
    if node.op_type == "Upsample" or frame.reader.opset < _RESIZE_SINCE:
        rounding = "floor"
    if where not in axis.COORDINATES:
        return Reason(f"its coordinates are {where}")
    if _integer(node, "antialias", 0):
        return Reason("it filters before it makes smaller (antialias)")
    if attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return Reason("it keeps the aspect ratio")
    if not frame.give(target, frame.axes[source]):
        return Reason(SIZE_UNKNOWN)
    scales = _scales(frame, node)
    maps, rule = [], []
    for at, n_out, n_in in zip(
        frame.axes[source], frame.sizes(target), frame.sizes(source), strict=True
    ):
        scale = n_out / n_in if scales is None else scales.get(at, 1.0)
        rule.append(f"{mode} {where} {axis.spacing(n_out, n_in, scale, where)}")
        if scale == 1 and n_out == n_in:
            maps.append(axis.same(n_out, n_in))
        elif mode == "nearest":
            maps.append(axis.nearest(n_out, n_in, scale, rounding, where))
        else:
            maps.append(axis.resized(n_out, n_in, scale, mode, where))
    return [Reads(source, target, tuple(maps), rule=tuple(rule))]


def _scales(frame: Frame, node: NodeProto) -> dict[int, float] | None:
    """Return the scale of each axis, None where sizes are given instead."""
    given = attribute(node, "scales")
    place = 1 if node.op_type == "Upsample" or frame.reader.opset < _RESIZE_SINCE else 2
    if given is None and len(node.input) > place and node.input[place]:
        value = frame.reader.constant(node.input[place])
        given = None if value is None or not value.size else value.reshape(-1).tolist()
    if given is None:
        return None
    scales = [float(each) for each in given]  # type: ignore[attr-defined]
    axes = attribute(node, "axes")
    rank = len(frame.shape(node.input[0]) or ())
    chosen = range(rank) if axes is None else [at % rank for at in axes]  # type: ignore[attr-defined]
    return dict(zip(chosen, scales, strict=True))


def shuffle(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a DepthToSpace or a SpaceToDepth."""
    if reason := _not_channels_first(frame, node.input[0]):
        return reason
    if not frame.give(node.output[0], frame.axes[node.input[0]]):
        return Reason(SIZE_UNKNOWN)
    block = _integer(node, "blocksize", 1)
    how = axis.repeated if node.op_type == "DepthToSpace" else axis.gathered
    return [mapped(frame, node.input[0], node.output[0], lambda a, b: how(a, b, block))]


def transposition(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    """Read a Transpose that keeps the order of the axes of pixels."""
    source, target = node.input[0], node.output[0]
    rank = len(frame.shape(source) or ())
    perm = list(attribute(node, "perm") or reversed(range(rank)))  # type: ignore[call-overload]
    axes = tuple(perm.index(at) for at in frame.axes[source])
    if list(axes) != sorted(axes):
        return Reason("it exchanges the axes of pixels")
    if not frame.give(target, axes):
        return Reason(SIZE_UNKNOWN)
    return [mapped(frame, source, target, axis.same)]


def windows(frame: Frame, node: NodeProto, size: Sizes) -> Reads:
    """Return what windows of a size read, by the node's strides, dilations and padding."""
    source, target, rank = node.input[0], node.output[0], len(size)
    strides, dilations = _list(node, "strides", rank), _list(node, "dilations", rank)
    pads, mode = _list(node, "pads", 2 * rank, 0), str(attribute(node, "auto_pad", "NOTSET"))
    maps = []
    for i, (n_out, n_in) in enumerate(zip(frame.sizes(target), frame.sizes(source), strict=True)):
        begin = pads[i]
        if mode.startswith("SAME"):
            total = max(0, (n_out - 1) * strides[i] + (size[i] - 1) * dilations[i] + 1 - n_in)
            begin = total // 2 if mode == "SAME_UPPER" else total - total // 2
        elif mode == "VALID":
            begin = 0
        maps.append(axis.window(n_out, n_in, size[i], strides[i], dilations[i], begin))
    return Reads(source, target, tuple(maps))


def mapped(frame: Frame, source: str, target: str, how: How) -> Reads:
    """Return one relation for every axis of pixels."""
    pairs = zip(frame.sizes(target), frame.sizes(source), strict=True)
    return Reads(source, target, tuple(how(n_out, n_in) for n_out, n_in in pairs))


def _moved(frame: Frame, source: str, target: str, places: dict[int, tuple[int, int]]) -> Reads:
    """Return a relation that begins and steps elsewhere on some axes."""
    maps = tuple(
        axis.moved(n_out, n_in, *places.get(at, (0, 1)))
        for at, n_out, n_in in zip(
            frame.axes[source], frame.sizes(target), frame.sizes(source), strict=True
        )
    )
    return Reads(source, target, maps)


def _from_end(frame: Frame, tensor: str) -> tuple[int, ...]:
    """Return the axes of pixels counted from the last axis, as broadcasting does."""
    rank = len(frame.shape(tensor) or ())
    return tuple(at - rank for at in frame.axes[tensor])


def _not_channels_first(frame: Frame, tensor: str) -> Reason | None:
    rank = len(frame.shape(tensor) or ())
    if frame.axes[tensor] == tuple(range(2, rank)):
        return None
    return Reason("its input has the pixels on other axes than from the third on")


def _integer(node: NodeProto, name: str, default: int) -> int:
    return int(str(attribute(node, name, default)))


def _list(node: NodeProto, name: str, length: int, default: int = 1) -> list[int]:
    given = attribute(node, name)
    return [default] * length if not given else list(given)  # type: ignore[call-overload]
