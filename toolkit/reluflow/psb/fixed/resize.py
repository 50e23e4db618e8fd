"""Linear interpolation inside a chain, of bytes or of 16 bits: its exact meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
"""Where the pixels of an output lie among those of an input, as ONNX Resize names it."""
WEIGHT_BITS = 7
"""Of the weight of a neighbour along one axis."""
_MOST_AXES = 2


def fixed_resize(
    x: NDArray[np.uint8], sizes: Sequence[int], *, coordinates: str = "half_pixel"
) -> NDArray[np.uint8]:
    """Return FixedResize's output: every pixel between its neighbours, rounded once, half up.

    Weights are rounded to 7 bits, half up: exact where sizes grow by a power of two up to 64.
    Against the linear Resize of ONNX a byte is off by at most 1/2 + (d + e) / 256 steps, d and e
    the largest differences of the neighbours along both axes.

    Args:
        x: `(N, spatial..., C)` bytes, one or two spatial axes.
        sizes: of the output in the order of ONNX, `(N, C, spatial...)`.
        coordinates: "half_pixel", "pytorch_half_pixel", "align_corners" or "asymmetric".

    Returns:
        `(N, spatial..., C)` bytes of the same format.

    Raises:
        OptionError: there are no such coordinates.
        DataError: the sizes do not fit x.

    Example:
        >>> x = np.array([[[0], [100]]], np.uint8)
        >>> fixed_resize(x, [1, 1, 4]).tolist()
        [[[0], [25], [75], [100]]]
        >>> fixed_resize(x, [1, 1, 3], coordinates="align_corners").tolist()
        [[[0], [50], [100]]]

    Reference: docs/psb-ops.md, chains; ONNX Resize, mode "linear".
    """
    return _resized(x, sizes, coordinates).astype(np.uint8)


def fixed_resize16(
    x: NDArray[np.int16], sizes: Sequence[int], *, coordinates: str = "half_pixel"
) -> NDArray[np.int16]:
    """Return FixedResize16's output: as `fixed_resize`, of int16.

    Args:
        x: `(N, spatial..., C)` int16, one or two spatial axes.
        sizes: of the output in the order of ONNX, `(N, C, spatial...)`.
        coordinates: "half_pixel", "pytorch_half_pixel", "align_corners" or "asymmetric".

    Returns:
        `(N, spatial..., C)` int16 of the same exponent.

    Raises:
        OptionError: there are no such coordinates.
        DataError: the sizes do not fit x.

    Example:
        >>> x = np.array([[[-3], [1000]]], np.int16)
        >>> fixed_resize16(x, [1, 1, 4]).tolist()
        [[[-3], [248], [749], [1000]]]

    Reference: docs/psb-ops.md, chains of 16 bits; ONNX Resize, mode "linear".
    """
    return _resized(x, sizes, coordinates).astype(np.int16)


def _resized(
    x: NDArray[np.integer[Any]], sizes: Sequence[int], coordinates: str
) -> NDArray[np.int64]:
    if coordinates not in COORDINATES:
        raise OptionError(
            f"coordinates={coordinates!r} is not accepted; give one of {', '.join(COORDINATES)}."
        )
    axes = x.ndim - 2
    fits = len(sizes) == x.ndim and tuple(sizes[:2]) == (len(x), x.shape[-1])
    if not (fits and 1 <= axes <= _MOST_AXES and min(sizes[2:]) >= 1 <= min(x.shape[1:-1])):
        raise DataError(
            f"sizes are {list(sizes)} for x of shape {x.shape}: give its inputs and channels, then "
            "one or two sizes from 1 on."
        )
    y: NDArray[np.int64] = x.astype(np.int64)
    for axis, size in enumerate(sizes[2:], start=1):
        first, second, weight = neighbours(x.shape[axis], size, coordinates)
        weight = weight.reshape(-1, *[1] * (x.ndim - 1 - axis))
        near, far = np.take(y, first, axis), np.take(y, second, axis)
        y = near * ((1 << WEIGHT_BITS) - weight) + far * weight
    shift = WEIGHT_BITS * axes
    return (y + (1 << (shift - 1))) >> shift


def neighbours(
    n: int, m: int, coordinates: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the two input pixels of every output pixel along an axis, and the second's weight.

    Args:
        n: input pixels.
        m: output pixels.
        coordinates: one of `COORDINATES`.

    Returns:
        First and second pixel, and the weight of the second in units of 2^-7, `(m,)` each.

    Example:
        >>> [each.tolist() for each in neighbours(2, 4, "half_pixel")]
        [[0, 0, 0, 1], [1, 1, 1, 1], [0, 32, 96, 0]]

    Reference: docs/psb-ops.md, FixedResize.
    """
    i = np.arange(m, dtype=np.int64)
    if coordinates == "align_corners":
        place, unit = i * (n - 1), max(m - 1, 1)
    elif coordinates == "asymmetric":
        place, unit = i * n, m
    else:
        place, unit = (2 * i + 1) * n - m, 2 * m
        if coordinates == "pytorch_half_pixel" and m == 1:
            place = np.zeros_like(place)
    place = np.clip(place, 0, (n - 1) * unit)
    first = place // unit
    weight = ((place - first * unit) * (2 << WEIGHT_BITS) + unit) // (2 * unit)
    return first, np.minimum(first + 1, n - 1), weight
