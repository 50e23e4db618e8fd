"""What changed from one frame to another, in blocks, and by how much a picture moved."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]
_EVERY = 4
"""Pixels along each axis of which one is looked at to see how a picture moved."""


def changed_pixels(frame: Array, kept: Array, threshold: float) -> Mask:
    """Return which pixels differ in some channel by more than noise.

    Args:
        frame: `(channels, pixels...)`; NaN differs from everything.
        kept: the same of an earlier frame.
        threshold: largest difference that is noise.

    Example:
        >>> changed_pixels(np.array([[1.0, 2, 3]]), np.array([[1.0, 2.5, 3]]), 0.4).tolist()
        [False, True, False]
    """
    return ~np.asarray((np.abs(frame - kept) <= threshold).all(axis=0))


def changed_blocks(pixels: Mask, side: int, least: int) -> Mask:
    """Return which blocks hold enough changed pixels.

    Args:
        pixels: bool, one to three axes.
        side: pixels along each axis of a block; the last blocks may be smaller.
        least: changed pixels of a block that count.

    Example:
        >>> changed_blocks(np.array([True, True, False, True, False]), 2, 2).tolist()
        [True, False, False]
    """
    full = np.pad(pixels, [(0, -size % side) for size in pixels.shape])
    shape = [part for size in full.shape for part in (size // side, side)]
    counts = full.reshape(shape).sum(axis=tuple(range(1, 2 * pixels.ndim, 2)))
    return np.asarray(counts >= least)


def find_pan(
    frame: Array, kept: Array, units: Sequence[int], reach: int, threshold: float
) -> tuple[int, ...]:
    """Return by how many pixels a picture moved, a multiple of a unit along each axis.

    Args:
        frame: `(channels, pixels...)`.
        kept: the same of an earlier frame.
        units: pixels along each axis.
        reach: units that are tried in both directions.
        threshold: largest difference of a value that is noise.

    Returns:
        The movement for which the fewest pixels differ where both frames have some.

    Example:
        >>> old = np.random.default_rng(0).random((1, 32, 48))
        >>> find_pan(np.roll(old, (0, -8), (1, 2)), old, (8, 8), 2, 0.0)
        (0, -8)
    """
    sizes = frame.shape[1:]
    steps = [
        [by * unit for by in range(-reach, reach + 1) if abs(by * unit) < size]
        for unit, size in zip(units, sizes, strict=True)
    ]
    best, least = (0,) * len(sizes), np.inf
    for moved in sorted(itertools.product(*steps), key=lambda each: sum(map(abs, each))):
        here, there = overlap(sizes, moved, _EVERY)
        share = float(changed_pixels(frame[here], kept[there], threshold).mean())
        if share < least:
            best, least = moved, share
    return best


def overlap(
    sizes: Sequence[int], moved: Sequence[int], every: int = 1
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where two pictures overlap, the channels in front: in the moved one, in the other.

    Args:
        sizes: pixels along each axis.
        moved: by how many the first is moved.
        every: pixels of which one counts.
    """
    pairs = list(zip(sizes, moved, strict=True))
    here = [slice(max(0, by), n + min(0, by), every) for n, by in pairs]
    there = [slice(max(0, -by), n + min(0, -by), every) for n, by in pairs]
    return (slice(None), *here), (slice(None), *there)


def move(array: Array, axes: Sequence[int], moved: Sequence[int]) -> None:
    """Move an array along some axes, in its own memory; what comes in stays as it was.

    Args:
        array: changed.
        axes: which are moved.
        moved: by how many elements along each.

    Example:
        >>> values = np.arange(5)
        >>> move(values, (0,), (2,))
        >>> values.tolist()
        [0, 1, 0, 1, 2]
    """
    here, there = [slice(None)] * array.ndim, [slice(None)] * array.ndim
    for axis, by in zip(axes, moved, strict=True):
        n = array.shape[axis]
        here[axis] = slice(max(0, by), n + min(0, by))
        there[axis] = slice(max(0, -by), n + min(0, -by))
    array[tuple(here)] = array[tuple(there)].copy()
