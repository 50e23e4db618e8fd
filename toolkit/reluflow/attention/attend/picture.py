"""The input of a model as a picture that can be shown."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COLOURS = 3
_WHITE = 255


def as_picture(values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an input as a picture: from its least value, black, to its largest.

    Three channels are taken for red, green and blue; others are averaged to grey.

    Args:
        values: `(1, ...)`, one input.
        axes: of its pixels, one or two; a signal becomes a picture of one row.

    Returns:
        `(height, width, 3)` uint8.

    Example:
        >>> as_picture(np.array([[[[-1.0, 1.0]]]]), (2, 3))[0, :, 0].tolist()
        [0, 255]
    """
    pixels = np.asarray(values, np.float64)[0]
    pixels = np.moveaxis(pixels, [at - 1 for at in axes], range(len(axes)))
    if len(axes) == 1:
        pixels = pixels[None]
    flat = pixels.reshape(*pixels.shape[:2], -1)
    if flat.shape[-1] != _COLOURS:
        flat = flat.mean(axis=-1, keepdims=True)
    known = flat[np.isfinite(flat)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    scaled = (np.nan_to_num(flat, nan=low) - low) / (high - low or 1.0)
    shown = (scaled.clip(0, 1) * _WHITE).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(shown, (*flat.shape[:2], _COLOURS)))


def smaller(values: NDArray[Any], axes: tuple[int, ...], most: int) -> NDArray[Any]:
    """Return a picture of few pixels: each the mean of a square of the given ones.

    Args:
        values: `(1, ...)`, one input; it may lie in a file.
        axes: of its pixels.
        most: pixels that it may have; with fewer it is returned as it is.

    Returns:
        float32, of the same axes.

    Example:
        >>> smaller(np.array([[[1.0, 3.0, 5.0, 7.0, 9.0]]]), (2,), 1).tolist()
        [[[3.0]]]
        >>> smaller(np.array([[[1.0, 3.0, 5.0, 7.0]]]), (2,), 2).tolist()
        [[[2.0, 6.0]]]
    """
    sizes = [values.shape[at] for at in axes]
    side = 1
    while math.prod(max(1, size // side) for size in sizes) > most:
        side += 1
    if side == 1:
        return values
    shape = list(values.shape)
    for at in axes:
        shape[at] = max(1, shape[at] // side)
    found = np.zeros(shape, np.float32)
    steps = list(itertools.product(*(range(min(side, size)) for size in sizes)))
    for offsets in steps:
        part: list[slice] = [slice(None)] * values.ndim
        for at, offset in zip(axes, offsets, strict=True):
            part[at] = slice(offset, offset + side * (shape[at] - 1) + 1, side)
        found += values[tuple(part)]
    return found / np.float32(len(steps))


def over_picture(map_: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return a map at the size of the picture, each pixel of it repeated.

    Args:
        map_: `(rows, columns)`, or `(columns,)` of a signal.
        size: height and width of the picture.

    Returns:
        `(height, width)`.

    Example:
        >>> over_picture(np.array([[1, 2]]), (2, 4)).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    grid = map_[None] if map_.ndim == 1 else map_
    rows, columns = (
        np.arange(wanted) * held // wanted for wanted, held in zip(size, grid.shape, strict=True)
    )
    return np.asarray(grid[rows][:, columns])
