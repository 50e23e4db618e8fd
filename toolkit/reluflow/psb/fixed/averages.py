"""Means of bytes inside a chain: their exact meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reluflow.psb._window import place_window, take_patches
from reluflow.psb.fixed.chain import FixedFormat

_MOST_BYTE = 255
_MOST_OCTAVES = 20
"""Between the formats of x and y: what is further apart counts as this."""


def fixed_average_pool(
    x: NDArray[np.uint8],
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str = "NOTSET",
    *,
    x_form: FixedFormat,
    y_form: FixedFormat,
    count_include_pad: bool = False,
    y_min: int = 0,
    y_max: int = _MOST_BYTE,
) -> NDArray[np.uint8]:
    """Return FixedAveragePool's output: the mean of every window, rounded once, half up.

    Args:
        x: `(N, spatial..., C)` bytes.
        kernel: sizes of the windows, one for each spatial axis.
        strides: as ONNX AveragePool; None for ones.
        dilations: as ONNX AveragePool; None for ones.
        pads: as ONNX AveragePool; None for zeros.
        auto_pad: as ONNX AveragePool.
        x_form: of x.
        y_form: of the output.
        count_include_pad: pixels outside count as well, with the value 0.
        y_min: least byte of the output.
        y_max: largest byte of the output.

    Returns:
        `(N, spatial..., C)` bytes.

    Raises:
        OptionError: an attribute is not accepted.
        DataError: x is smaller than a window.

    Example:
        >>> x = np.array([[[8], [9], [200]]], np.uint8)
        >>> form = FixedFormat(3, 0)
        >>> fixed_average_pool(x, [2], pads=[1, 0], x_form=form, y_form=form).tolist()
        [[[8], [9], [105]]]

    Reference: docs/psb-ops.md, chains.
    """
    window = place_window(x.shape[1:-1], tuple(kernel), strides, dilations, pads, auto_pad)
    values = np.moveaxis(x, -1, 1).astype(np.int16) - np.int16(x_form.zero)
    total = take_patches(values, window).astype(np.int64).sum(axis=2)  # N, C, pixels
    inside = take_patches(np.ones((1, 1, *x.shape[1:-1]), np.int16), window)
    count = np.maximum(inside.astype(np.int64).sum(axis=2), 1)
    if count_include_pad:
        count = np.full_like(count, math.prod(kernel))
    y = _mean(total, count, x_form, y_form, y_min, y_max)
    return np.ascontiguousarray(y.transpose(0, 2, 1)).reshape(len(x), *window.output, x.shape[-1])


def fixed_global_average_pool(
    x: NDArray[np.uint8],
    *,
    x_form: FixedFormat,
    y_form: FixedFormat,
    y_min: int = 0,
    y_max: int = _MOST_BYTE,
) -> NDArray[np.uint8]:
    """Return FixedGlobalAveragePool's output: the mean of every channel, rounded once, half up.

    Args:
        x: `(N, spatial..., C)` bytes.
        x_form: of x.
        y_form: of the output.
        y_min: least byte of the output.
        y_max: largest byte of the output.

    Returns:
        `(N, 1..., C)` bytes.

    Example:
        >>> x = np.array([[[8, 1], [9, 4]]], np.uint8)
        >>> form, finer = FixedFormat(3, 0), FixedFormat(4, 0)
        >>> fixed_global_average_pool(x, x_form=form, y_form=finer).tolist()
        [[[17, 5]]]

    Reference: docs/psb-ops.md, chains.
    """
    axes = tuple(range(1, x.ndim - 1))
    total = (x.astype(np.int64) - x_form.zero).sum(axis=axes, keepdims=True)
    count = np.int64(max(1, math.prod(x.shape[1:-1])))
    return _mean(total, count, x_form, y_form, y_min, y_max)


def _mean(
    total: NDArray[np.int64],
    count: NDArray[np.int64] | np.int64,
    x_form: FixedFormat,
    y_form: FixedFormat,
    low: int,
    high: int,
) -> NDArray[np.uint8]:
    """Return the bytes of sums over counts: floor(total 2^k / count + 1/2)."""
    octaves = y_form.exponent - x_form.exponent
    octaves = max(-_MOST_OCTAVES, min(_MOST_OCTAVES, octaves))
    twice = total << (max(octaves, 0) + 1)
    whole = count << max(-octaves, 0)
    return np.clip(y_form.zero + (twice + whole) // (2 * whole), low, high).astype(np.uint8)
