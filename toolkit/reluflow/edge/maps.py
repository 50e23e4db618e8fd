"""Moves of elements, axis by axis: which of the input's indices each output index takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Maps = list[NDArray[np.int64]]
_LEAST_END = -(1 << 62)
"""What stands for the beginning, excluded, where a Slice runs backwards."""
_HALF = np.float32(0.5)


def pad_maps(shape: Sequence[int], pads: Sequence[int], mode: str) -> Maps:
    """Return the maps of ONNX Pad; -1 where the constant is filled in.

    Args:
        shape: of the input.
        pads: begins of all axes, then ends; negative ones cut.
        mode: "constant", "reflect", "edge" or "wrap".
    """
    rank = len(shape)
    maps = []
    for size, begin, end in zip(shape, pads[:rank], pads[rank:], strict=True):
        at = np.arange(-begin, size + end, dtype=np.int64)
        inside = (at >= 0) & (at < size)
        if mode == "constant":
            at = np.where(inside, at, -1)
        elif mode == "edge":
            at = np.clip(at, 0, size - 1)
        elif mode == "wrap":
            at = at % size
        else:
            period = max(2 * (size - 1), 1)
            at = np.abs(at) % period
            at = np.where(at >= size, period - at, at)
        maps.append(at)
    return maps


def nearest_maps(
    shape: Sequence[int],
    sizes: Sequence[int],
    scales: Sequence[float] | None,
    attributes: Mapping[str, Any],
) -> Maps:
    """Return the maps of ONNX Resize to nearest pixels, in the float32 of ONNX Runtime.

    Args:
        shape: of the input.
        sizes: of the output.
        scales: as the model gives them; None where it gives sizes.
        attributes: of the node.
    """
    how = str(attributes.get("coordinate_transformation_mode", "half_pixel"))
    rounding = str(attributes.get("nearest_mode", "round_prefer_floor"))
    maps = []
    for axis, (n, m) in enumerate(zip(shape, sizes, strict=True)):
        scale = np.float32(m / n if scales is None else scales[axis])
        x = _coordinates(n, m, scale, how)
        at = _rounded(x, rounding).astype(np.int64)
        if n == m and scale == 1:
            at = np.arange(n, dtype=np.int64)
        maps.append(np.clip(at, 0, n - 1))
    return maps


def _coordinates(n: int, m: int, scale: np.float32, how: str) -> NDArray[np.float32]:
    """Return where the output's pixels lie among the input's."""
    i = np.arange(m, dtype=np.float32)
    if how == "asymmetric":
        return i / scale
    if how == "align_corners":
        if m == 1:
            return np.zeros(1, np.float32)
        return i * np.float32(n - 1) / np.float32(m - 1)
    if how == "pytorch_half_pixel" and m == 1:
        return np.zeros(1, np.float32)
    if how == "half_pixel_symmetric":
        made = scale * np.float32(n)
        centre = np.float32(n) / np.float32(2)
        offset = centre * (np.float32(1) - np.float32(m) / made)
        return np.asarray(offset + (i + _HALF) / scale - _HALF, np.float32)
    return np.asarray((i + _HALF) / scale - _HALF, np.float32)


def _rounded(x: NDArray[np.float32], rounding: str) -> NDArray[np.float32]:
    if rounding == "floor":
        return np.asarray(np.floor(x))
    if rounding == "ceil":
        return np.asarray(np.ceil(x))
    if rounding == "round_prefer_ceil":
        return np.asarray(np.floor(x + _HALF))
    return np.asarray(np.ceil(x - _HALF))  # round_prefer_floor


def slice_maps(
    shape: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int],
) -> Maps:
    """Return the maps of ONNX Slice.

    Args:
        shape: of the input.
        starts: of each named axis.
        ends: of each named axis, excluded.
        axes: that are cut.
        steps: of each named axis, not 0.
    """
    maps = [np.arange(size, dtype=np.int64) for size in shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = shape[axis]
        bound = slice(int(start), int(end) if end > _LEAST_END else None, int(step))
        if step < 0 and end < -size:
            bound = slice(int(start), None, int(step))
        maps[axis] = maps[axis][bound]
    return maps


def offsets_of(shape: Sequence[int], maps: Maps, order: Sequence[int] | None = None) -> Maps:
    """Return where the elements of each output index begin in the input, axis by axis.

    Args:
        shape: of the input.
        maps: for each axis of the input the index that each output index takes; -1: none.
        order: axes of the input in the order of the output's; None: the same.
    """
    strides = np.cumprod([1, *shape[:0:-1]])[::-1]
    whole = [
        np.where(at < 0, -1, at * stride) for at, stride in zip(maps, strides.tolist(), strict=True)
    ]
    return whole if order is None else [whole[axis] for axis in order]


def moved(x: NDArray[Any], offsets: Sequence[NDArray[np.int64]], fill: int) -> NDArray[Any]:
    """Return the elements of x at sums of offsets, and a fill outside.

    Args:
        x: any shape.
        offsets: for each axis of the output.
        fill: where an offset is -1.
    """
    at = np.zeros([1] * len(offsets), np.int64)
    outside = np.zeros([1] * len(offsets), np.bool_)
    for axis, each in enumerate(offsets):
        line = each.reshape([-1 if k == axis else 1 for k in range(len(offsets))])
        at = at + np.maximum(line, 0)
        outside = outside | (line < 0)
    if not x.size:
        return np.full(at.shape, fill, x.dtype)
    return np.where(outside, np.array(fill, x.dtype), x.reshape(-1)[at])
