"""Relations along one axis of pixels: which inputs each output reads, as a sparse 0-1 matrix."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Ints = NDArray[np.int64]
_NEAR = 1e-3
"""Pixels: as close as this to a border between two inputs, float32 may fall on either side."""


_LINEAR, _CUBIC = np.arange(2), np.arange(-1, 3)
"""Taps of an interpolation, from the input below a position."""


def relation(columns: Ints, n_in: int) -> csr_array:
    """Return the matrix whose row o has a 1 in each of `columns[o]`; those outside are left out.

    Args:
        columns: `(n_out, k)` indices of inputs.
        n_in: number of inputs.
    """
    rows = np.broadcast_to(np.arange(len(columns))[:, None], columns.shape)
    inside = (columns >= 0) & (columns < n_in)
    places = np.unique(np.stack([rows[inside], columns[inside]]), axis=1)
    ones = np.ones(places.shape[1], np.uint8)
    return csr_array((ones, (places[0], places[1])), shape=(len(columns), n_in))


def window(n_out: int, n_in: int, size: int, stride: int, dilation: int, begin: int) -> csr_array:
    """Return what a convolution or a pooling reads.

    Args:
        n_out: number of outputs.
        n_in: number of inputs.
        size: taps of the window.
        stride: inputs from one output to the next.
        dilation: inputs from one tap to the next.
        begin: padding before the first input.
    """
    starts = stride * np.arange(n_out) - begin
    return relation(starts[:, None] + dilation * np.arange(size), n_in)


def transposed(
    n_out: int, n_in: int, size: int, stride: int, dilation: int, begin: int
) -> csr_array:
    """Return what a transposed convolution reads: an input is where a convolution's output was."""
    return csr_array(window(n_in, n_out, size, stride, dilation, begin).T)


def same(n_out: int, n_in: int) -> csr_array:
    """Return the relation of an elementwise operator; an axis of size 1 is repeated."""
    return moved(n_out, n_in, 0, 0 if n_in == 1 else 1)


def moved(n_out: int, n_in: int, start: int, step: int) -> csr_array:
    """Return the relation in which output o reads the input `start + step o`."""
    return relation((start + step * np.arange(n_out))[:, None], n_in)


def everything(n_out: int, n_in: int) -> csr_array:
    """Return the relation in which every output reads every input."""
    return csr_array(np.ones((n_out, n_in), np.uint8))


def repeated(n_out: int, n_in: int, block: int) -> csr_array:
    """Return the relation in which a block of outputs reads one input."""
    return relation((np.arange(n_out) // block)[:, None], n_in)


def gathered(n_out: int, n_in: int, block: int) -> csr_array:
    """Return the relation in which each output reads a block of inputs."""
    return window(n_out, n_in, block, block, 1, 0)


def padded(n_out: int, n_in: int, begin: int, mode: str) -> csr_array:
    """Return what a Pad reads: nothing where it fills in a constant.

    Args:
        n_out: number of outputs.
        n_in: number of inputs.
        begin: padding before the first input; below 0 inputs are cut off.
        mode: "constant", "edge", "reflect" or "wrap".
    """
    at = np.arange(n_out) - begin
    if mode == "edge":
        at = at.clip(0, n_in - 1)
    elif mode == "wrap":
        at %= n_in
    elif mode == "reflect" and n_in > 1:
        at = np.abs((at + n_in - 1) % (2 * n_in - 2) - (n_in - 1))
    elif mode == "reflect":
        at = np.zeros_like(at)
    return relation(at[:, None], n_in)


def resized(n_out: int, n_in: int, scale: float, mode: str, coordinates: str) -> csr_array:
    """Return what a Resize by interpolation may read.

    Taps of weight 0 count, and where an output falls on the border between two inputs both do:
    runtimes compute positions in float32, and differ there.

    Args:
        n_out: number of outputs.
        n_in: number of inputs.
        scale: outputs for one input.
        mode: "linear" or "cubic".
        coordinates: the operator's `coordinate_transformation_mode`, one of `COORDINATES`.
    """
    at = COORDINATES[coordinates](np.arange(n_out, dtype=np.float64), n_out, n_in, scale)
    reach = _CUBIC if mode == "cubic" else _LINEAR
    lower = np.floor(np.stack([at - _NEAR, at + _NEAR], axis=1))
    taps = (lower[:, :, None] + reach).reshape(n_out, -1)
    return relation(taps.clip(0, n_in - 1).astype(np.int64), n_in)


def nearest(n_out: int, n_in: int, scale: float, rounding: str, coordinates: str) -> csr_array:
    """Return what a Resize to nearest pixels reads; both inputs where float32 may round either way.

    Args:
        n_out: number of outputs.
        n_in: number of inputs.
        scale: outputs for one input.
        rounding: the operator's `nearest_mode`, one of `ROUNDINGS`.
        coordinates: one of `COORDINATES`.
    """
    at = COORDINATES[coordinates](np.arange(n_out, dtype=np.float64), n_out, n_in, scale)
    taps = np.stack([ROUNDINGS[rounding](at + d) for d in (-_NEAR, 0, _NEAR)], axis=1)
    return relation(taps.clip(0, n_in - 1).astype(np.int64), n_in)


def spacing(n_out: int, n_in: int, scale: float, coordinates: str) -> str:
    """Return what fixes how far apart outputs lie among inputs: the same in two sizes, or not.

    Args:
        n_out: number of outputs.
        n_in: number of inputs.
        scale: outputs for one input.
        coordinates: one of `COORDINATES`.
    """
    if coordinates == "align_corners":
        return str(Fraction(n_in - 1, max(n_out - 1, 1)))
    exact = Fraction(n_out, n_in)
    told = str(exact) if scale == n_out / n_in else str(scale)
    return f"{told} of {exact}" if coordinates == "half_pixel_symmetric" else told


Floats = NDArray[np.float64]
COORDINATES: dict[str, Callable[[Floats, int, int, float], Floats]] = {
    "half_pixel": lambda x, n_out, n_in, scale: (x + 0.5) / scale - 0.5,
    "half_pixel_symmetric": lambda x, n_out, n_in, scale: (
        n_in / 2 * (1 - n_out / (scale * n_in)) + (x + 0.5) / scale - 0.5
    ),
    "pytorch_half_pixel": lambda x, n_out, n_in, scale: (
        (x + 0.5) / scale - 0.5 if n_out > 1 else np.zeros_like(x)
    ),
    "align_corners": lambda x, n_out, n_in, scale: x * (n_in - 1) / max(n_out - 1, 1),
    "asymmetric": lambda x, n_out, n_in, scale: x / scale,
}
"""Where an output of Resize lies among the inputs."""
ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
"""How a position becomes the nearest input."""
