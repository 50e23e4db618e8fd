"""Rules of ONNX's own operators that move elements: copies, or nothing at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from reluflow.edge.lowering.state import Cannot, Lowering
from reluflow.edge.maps import Maps, moved, nearest_maps, offsets_of, pad_maps, slice_maps
from reluflow.edge.program import ConcatStep, EdgeTensor, MoveStep
from reluflow.graph import Operation

_PAD_AXES, _SCALES, _SIZES, _SLICE_AXES, _SLICE_STEPS = 3, 2, 3, 3, 4
_MOST_AXES = 6
_LAST_BYTE = 255


def put(state: Lowering, operation: Operation, x: EdgeTensor, offsets: Maps, fill: int = 0) -> None:
    """Add a move, or a view where all elements stay in their order."""
    shape = tuple(len(each) for each in offsets)
    flat = np.arange(x.count)
    if math.prod(shape) == x.count and (moved(flat, offsets, -1).reshape(-1) == flat).all():
        state.view(operation, x, shape)
        return
    if len(shape) > _MOST_AXES:
        raise Cannot(f"it moves {len(shape)} axes; at most {_MOST_AXES} are accepted")
    made = EdgeTensor(operation.outputs[0], shape, x.is_bytes, x.exponent, x.zero, x.divisor)
    state.emit(MoveStep, operation, [x], made, offsets=tuple(offsets), fill=fill)


def _identity(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    state.view(operation, x, x.shape)


def _cast(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    if x.is_bytes or x.exponent or x.divisor != 1:
        raise Cannot("it changes the type of numbers with a scale")
    state.view(operation, x, x.shape)


def _reshape(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    sizes = state.numbers(operation, 1, "shape")
    if sizes is None:
        raise Cannot("its shape is missing")
    if not operation.attributes.get("allowzero", 0):
        known = list(x.shape) + [0] * len(sizes)
        sizes = [known[k] if size == 0 else size for k, size in enumerate(sizes)]
    if -1 in sizes:
        rest = math.prod(size for size in sizes if size != -1)
        sizes = [x.count // max(rest, 1) if size == -1 else size for size in sizes]
    state.view(operation, x, sizes)


def _flatten(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    axis = int(operation.attributes.get("axis", 1))  # type: ignore[arg-type]
    axis += len(x.shape) if axis < 0 else 0
    state.view(operation, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def _squeeze(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    given = state.numbers(operation, 1, "axes")
    axes = {k % len(x.shape) for k in given} if given is not None else None
    kept = [
        size for k, size in enumerate(x.shape) if (k not in axes if axes is not None else size != 1)
    ]
    state.view(operation, x, kept)


def _unsqueeze(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    given = state.numbers(operation, 1, "axes") or []
    rank = len(x.shape) + len(given)
    sizes = iter(x.shape)
    axes = {k % rank for k in given}
    state.view(operation, x, [1 if k in axes else next(sizes) for k in range(rank)])


def _transpose(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    given = operation.attributes.get("perm")
    order = [int(k) for k in given] if isinstance(given, tuple) else []
    order = order or list(range(len(x.shape)))[::-1]
    put(state, operation, x, offsets_of(x.shape, _whole(x.shape), order))


def _whole(shape: Sequence[int]) -> Maps:
    return [np.arange(size, dtype=np.int64) for size in shape]


def _pad(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    pads = state.numbers(operation, 1, "pads")
    if pads is None:
        raise Cannot("its sizes are missing")
    axes = state.numbers(operation, _PAD_AXES, "axes")
    mode = str(operation.attributes.get("mode", "constant"))
    if axes is not None:
        full = [0] * (2 * len(x.shape))
        for k, axis in enumerate(axes):
            at = axis % len(x.shape)
            full[at], full[at + len(x.shape)] = pads[k], pads[k + len(axes)]
        pads = full
    fill = 0
    if mode == "constant":
        value = state.numbers(operation, 2, "value")
        fill = value[0] if value else 0
    if len(pads) != 2 * len(x.shape) or not 0 <= fill <= _LAST_BYTE:
        raise Cannot(f"its sizes {pads} do not fit {x.shape}")
    put(state, operation, x, offsets_of(x.shape, pad_maps(x.shape, pads, mode)), fill)


def _resize(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    attributes = operation.attributes
    mode = str(attributes.get("mode", "nearest"))
    how = str(attributes.get("coordinate_transformation_mode", "half_pixel"))
    if mode != "nearest" or how == "tf_crop_and_resize" or attributes.get("axes") is not None:
        raise Cannot(f"it resizes in mode {mode}, {how}")
    if str(attributes.get("keep_aspect_ratio_policy", "stretch")) != "stretch":
        raise Cannot("it keeps the ratio of the sizes")
    scales = _scales(state, operation)
    sizes = state.numbers(operation, _SIZES, "sizes") or []
    if not sizes and scales is not None:
        factors = scales.astype(np.float32)
        sizes = [math.floor(np.float32(n) * f) for n, f in zip(x.shape, factors, strict=True)]
    if len(sizes) != len(x.shape) or min(sizes) < 1:
        raise Cannot(f"its sizes {sizes} do not fit {x.shape}")
    given = None if scales is None else [float(f) for f in scales]
    put(state, operation, x, offsets_of(x.shape, nearest_maps(x.shape, sizes, given, attributes)))


def _scales(state: Lowering, operation: Operation) -> NDArray[np.float32] | None:
    name = operation.inputs[_SCALES] if len(operation.inputs) > _SCALES else ""
    value = state.constants.get(name) if name else None
    if name and value is None:
        raise Cannot("its scales are computed from data")
    return None if value is None or not value.size else value.reshape(-1)


def _slice(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    starts, ends = (state.numbers(operation, k, n) for k, n in ((1, "starts"), (2, "ends")))
    axes = state.numbers(operation, _SLICE_AXES, "axes")
    steps = state.numbers(operation, _SLICE_STEPS, "steps")
    if starts is None or ends is None:
        raise Cannot("its bounds are missing")
    axes = list(range(len(starts))) if axes is None else [axis % len(x.shape) for axis in axes]
    maps = slice_maps(x.shape, starts, ends, axes, steps or [1] * len(starts))
    if min(map(len, maps)) < 1:
        raise Cannot("it leaves nothing")
    put(state, operation, x, offsets_of(x.shape, maps))


def _concat(state: Lowering, operation: Operation) -> None:
    parts = [state.tensor(name) for name in operation.inputs]
    first = parts[0]
    axis = int(operation.attributes.get("axis", 0)) % len(first.shape)  # type: ignore[arg-type]
    rest = {(*p.shape[:axis], *p.shape[axis + 1 :]) for p in parts}
    if len(rest) != 1 or not all(p.is_bytes for p in parts):
        raise Cannot("it joins other tensors than bytes of one shape")
    shape = list(first.shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    made = EdgeTensor(operation.outputs[0], tuple(shape))
    state.emit(ConcatStep, operation, parts, made, axis=axis)


MOVE_RULES: dict[str, Callable[[Lowering, Operation], None]] = {
    "Identity": _identity,
    "Dropout": _identity,
    "Cast": _cast,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Pad": _pad,
    "Resize": _resize,
    "Slice": _slice,
    "Concat": _concat,
}
"""Operator -> its rule."""
