"""Convolution, pooling and resizing, on columns as on a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from reluflow.cells.lowering.columns import Floats, attribute, plus, refuse
from reluflow.graph import Operation

_PIECE = 1 << 23
"""Elements of the unrolled windows that are made at once."""


def pads_of(
    step: Operation, size: Sequence[int], kernel: Sequence[int], ceil: bool = False
) -> list[tuple[int, int]]:
    """Return the padding before and after each spatial axis.

    Args:
        step: a convolution or a pooling.
        size: spatial sizes of its input.
        kernel: spatial sizes of its window.
        ceil: follow `ceil_mode`: pad behind what a last, incomplete window needs.
    """
    n = len(kernel)
    strides, dilations = axis_values(step, "strides", n), axis_values(step, "dilations", n)
    wide = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    auto = step.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pairs = []
        for length, w, s in zip(size, wide, strides, strict=True):
            total = max((-(-length // s) - 1) * s + w - length, 0)
            less, more = total // 2, total - total // 2
            pairs.append((less, more) if auto == "SAME_UPPER" else (more, less))
        return pairs
    pads = step.attributes.get("pads", (0,) * 2 * n) if auto == "NOTSET" else (0,) * 2 * n
    pairs = [(int(pads[i]), int(pads[i + n])) for i in range(n)]  # type: ignore[index]
    if ceil and step.attributes.get("ceil_mode", 0):
        for i, (before, after) in enumerate(pairs):
            room = size[i] + before + after - wide[i]
            steps = -(-room // strides[i])
            if steps * strides[i] >= size[i] + before:
                steps -= 1
            pairs[i] = (before, after + max(steps * strides[i] - room, 0))
    return pairs


def axis_values(step: Operation, name: str, n: int) -> list[int]:
    """Return an attribute with one number for each spatial axis, 1 by default."""
    values: Any = step.attributes.get(name, (1,) * n)
    return [int(v) for v in values]


def unrolled(
    array: NDArray[Any], step: Operation, kernel: Sequence[int], pads: Any, fill: float = 0.0
) -> NDArray[Any]:
    """Return a view `(batch, channels, *output, *kernel)` of all windows."""
    n = len(kernel)
    strides, dilations = axis_values(step, "strides", n), axis_values(step, "dilations", n)
    padded = array
    if any(p for pair in pads for p in pair):
        padded = np.pad(array, [(0, 0), (0, 0), *pads], constant_values=fill)
    wide = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    view = sliding_window_view(padded, wide, tuple(range(2, 2 + n)))
    at = [slice(None), slice(None), *(slice(None, None, s) for s in strides)]
    return view[(*at, *(slice(None, None, d) for d in dilations))]


def conv(step: Operation, x: Floats, weights: Floats, bias: Floats | None) -> Floats:
    """Return the convolution of columns."""
    kernel = weights.shape[2:]
    groups = int(attribute(step, "group", 1))
    pads = pads_of(step, x.shape[2:], kernel)
    per_column = math.prod(x.shape[1:]) * math.prod(kernel)
    piece = max(1, _PIECE // per_column)
    parts = [
        _convolved(unrolled(x[i : i + piece], step, kernel, pads), weights, groups)
        for i in range(0, len(x), piece)
    ]
    out = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return out if bias is None else plus(out, bias.reshape(-1, *(1,) * len(kernel)))


def _convolved(windows: Floats, weights: Floats, groups: int) -> Floats:
    n = weights.ndim - 2
    if groups == windows.shape[1] and len(weights) == groups:  # depthwise
        spatial = "abc"[:n], "xyz"[:n]
        equation = f"nk{spatial[0]}{spatial[1]},k{spatial[1]}->nk{spatial[0]}"
        return np.asarray(np.einsum(equation, windows, weights[:, 0]))
    inner, outer = windows.shape[1] // groups, len(weights) // groups
    axes = [1, *range(2 + n, 2 + 2 * n)], [1, *range(2, 2 + n)]
    parts = []
    for g in range(groups):
        own = windows[:, g * inner : (g + 1) * inner]
        made = np.tensordot(own, weights[g * outer : (g + 1) * outer], axes)
        parts.append(np.moveaxis(made, -1, 1))
    return np.ascontiguousarray(np.concatenate(parts, 1) if groups > 1 else parts[0])


def average_pool(step: Operation, x: Floats) -> Floats:
    """Return the averages of windows; padding counts only where the operator says so."""
    kernel = axis_values(step, "kernel_shape", x.ndim - 2)
    own = pads_of(step, x.shape[2:], kernel)
    pads = pads_of(step, x.shape[2:], kernel, ceil=True)
    axes = tuple(range(-len(kernel), 0))
    sums = unrolled(x, step, kernel, pads).sum(axis=axes)
    inside = np.ones((1, 1, *x.shape[2:]))
    if step.attributes.get("count_include_pad", 0):
        inside = np.pad(inside, [(0, 0), (0, 0), *own], constant_values=1.0)
        pads = [(0, after - mine) for (_, after), (_, mine) in zip(pads, own, strict=True)]
    counts = unrolled(inside, step, kernel, pads).sum(axis=axes)
    return np.asarray(sums / counts)


def pool_windows(step: Operation, shape: Sequence[int]) -> tuple[NDArray[np.int64], list[int]]:
    """Return the flat positions `(n_windows, n)` that a MaxPool compares, -1 outside the tensor.

    Args:
        step: the MaxPool.
        shape: channels and spatial sizes.

    Returns:
        The positions and the shape of the output without its batch axis.
    """
    kernel = axis_values(step, "kernel_shape", len(shape) - 1)
    pads = pads_of(step, shape[1:], kernel, ceil=True)
    flat = np.arange(math.prod(shape), dtype=np.int64).reshape(1, *shape)
    found = unrolled(flat, step, kernel, pads, fill=-1)
    out = [shape[0], *found.shape[2 : 2 + len(kernel)]]
    return found.reshape(math.prod(out), -1), out


def resize(step: Operation, x: Floats, scales: Floats | None, sizes: Floats | None) -> Floats:
    """Return nearest or linear interpolation, one axis after another."""
    mode = step.attributes.get("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise refuse(step, f"its mode is {mode!r}, and only nearest and linear are followed")
    if step.attributes.get("antialias", 0) or "axes" in step.attributes:
        raise refuse(step, "antialias and axes are not followed")
    for axis in range(1, x.ndim):
        old = x.shape[axis]
        scale = float(scales[axis]) if scales is not None else 0.0
        new = int(sizes[axis]) if sizes is not None else math.floor(old * scale)
        matrix = _axis_matrix(step, old, new, scale or new / old, mode == "linear")
        if matrix is not None:
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix, -1, axis)
    return np.ascontiguousarray(x)


def _axis_matrix(step: Operation, old: int, new: int, scale: float, linear: bool) -> Floats | None:
    if old == new and scale == 1.0:
        return None
    at = _coordinates(step, old, new, scale)
    matrix = np.zeros((old, new))
    if linear:
        at = np.clip(at, 0, old - 1)
        low = np.minimum(np.floor(at).astype(np.int64), old - 1)
        high, share = np.minimum(low + 1, old - 1), at - low
        np.add.at(matrix, (low, np.arange(new)), 1 - share)
        np.add.at(matrix, (high, np.arange(new)), share)
        return matrix
    rounding = step.attributes.get("nearest_mode", "round_prefer_floor")
    if step.op == "Upsample":
        rounding = "floor"
    chosen = {
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
        "floor": np.floor(at),
        "ceil": np.ceil(at),
    }[str(rounding)]
    matrix[np.clip(chosen, 0, old - 1).astype(np.int64), np.arange(new)] = 1.0
    return matrix


def _coordinates(step: Operation, old: int, new: int, scale: float) -> Floats:
    default = "asymmetric" if step.op == "Upsample" else "half_pixel"
    how = step.attributes.get("coordinate_transformation_mode", default)
    out = np.arange(new, dtype=np.float64)
    if how == "asymmetric":
        return out / scale
    if how == "align_corners":
        return out * (old - 1) / (new - 1) if new > 1 else np.zeros(1)
    if how == "half_pixel" or (how == "pytorch_half_pixel" and new > 1):
        return (out + 0.5) / scale - 0.5
    if how == "pytorch_half_pixel":
        return np.zeros(1)
    raise refuse(step, f"its coordinates are {how!r}")
