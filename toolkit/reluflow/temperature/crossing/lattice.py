"""Counts of samples by the rate at which they change, on a lattice that all curves share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

PER_OCTAVE = 32
"""Cells between a rate and its double: a cell is 2.2 % wide, and curves interpolate inside it."""
LOWEST, HIGHEST = -50, 50
"""Logarithms, base 2, of the least and the greatest rate of the lattice: 1e-15 and 1e15."""
CELLS = (HIGHEST - LOWEST) * PER_OCTAVE
BINS = CELLS + 2
"""Length of a row of counts: at once (rates below the lattice), the cells, and never (beyond)."""
EDGES: Floats = np.linspace(LOWEST, HIGHEST, CELLS + 1) * np.log(2.0)
"""`(CELLS + 1,)` natural logarithms of the rates between cells."""
_RATES: Floats = np.exp(EDGES)
_CELL = float(EDGES[1] - EDGES[0])

_RESOLVED = 3.0
"""Samples behind the last point of a curve that is believed: one of e^-3 probes misses them all."""
_APART = 8.0
"""The log-normal tail goes through the points where 3 and 8 times 3 samples are left."""


def bins_of(rates: ArrayLike) -> NDArray[np.intp]:
    """Return the bin of each rate: 0 for at once, `BINS - 1` for never.

    Args:
        rates: from 0 on, infinite where nothing changes, any shape.

    Example:
        >>> bins_of([0.0, 1.0, 2.0, np.inf]).tolist() == [0, 1601, 1633, BINS - 1]
        True
    """
    with np.errstate(divide="ignore"):
        place = np.floor((np.log2(np.asarray(rates, np.float64)) - LOWEST) * PER_OCTAVE) + 1
    bins: NDArray[np.intp] = np.clip(place, 0, BINS - 1).astype(np.intp)
    return bins


def shifted(counts: Floats, log_factor: float) -> Floats:
    """Return the counts of samples that change at multiples of their rates.

    A sample of one cell is shared by the two that it falls between. What leaves the lattice counts
    as at once, or as never.

    Args:
        counts: `(..., BINS)` of samples.
        log_factor: natural logarithm of the factor of all rates.

    Returns:
        `(..., BINS)`.

    Example:
        >>> counts = np.bincount(bins_of([0.0, 1.0, np.inf]), minlength=BINS).astype(float)
        >>> [round(float(shifted(counts, np.log(2.0))[place]), 6) for place in (0, 1633, BINS - 1)]
        [1.0, 1.0, 1.0]
    """
    place = min(max(log_factor / _CELL, -CELLS), CELLS)
    whole = int(np.floor(place))
    share = float(place) - whole
    found = np.zeros(counts.shape)
    found[..., 0], found[..., -1] = counts[..., 0], counts[..., -1]
    for cells, weight in ((whole, 1.0 - share), (whole + 1, share)):
        if weight > 0:
            moved = weight * counts[..., 1:-1]
            if cells >= 0:
                found[..., 1 + cells : -1] += moved[..., : CELLS - cells]
                found[..., -1] += moved[..., CELLS - cells :].sum(axis=-1)
            else:
                found[..., 1 : 1 + CELLS + cells] += moved[..., -cells:]
                found[..., 0] += moved[..., :-cells].sum(axis=-1)
    return found


def log_survivals(counts: Floats) -> Floats:
    """Return ln(1 - D) at the edges of the lattice.

    Where fewer than 3 samples have changed, D is proportional to the rate, as it is for any network
    whose pre-activations have a density at 0. Where fewer than 3 are left, D follows the log-normal
    model through the points where 3 and 24 samples (or half of them) are left. ln(1 - D) ends at
    -ln(samples), which is all that they resolve.

    Args:
        counts: `(..., BINS)` of samples.

    Returns:
        `(..., CELLS + 1)`, falling along the last axis.
    """
    rows = counts.reshape(-1, BINS)
    samples = rows.sum(axis=1)
    # Samples change in a small part of the lattice; before and after it the counts are constant.
    held = np.flatnonzero(rows[:, 1:-1].sum(axis=0))
    low, high = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, 0)
    changed = rows[:, low : high + 1].copy()
    if low > 0:
        changed[:, 0] += rows[:, 0]
    np.cumsum(changed, axis=1, out=changed)
    share = _changed_from_0(changed, low, rows[:, 0], samples)
    share /= samples[:, np.newaxis]
    found = np.empty((len(rows), CELLS + 1))
    near = found[:, : high + 1]
    np.maximum(1.0 - share, 1.0 / samples[:, np.newaxis], out=near)
    np.log(near, out=near)
    found[:, high + 1 :] = near[:, -1:]
    _follow_tails(found, changed, low, samples)
    return found.reshape(*counts.shape[:-1], CELLS + 1)


def _changed_from_0(changed: Floats, low: int, at_once: Floats, samples: Floats) -> Floats:
    """Return how many samples have changed, by a straight line where they are fewer than 3.

    Args:
        changed: `(rows, edges)` counts from edge `low` on.
        low: the edge before which no sample changes, but those at once.
        at_once: `(rows,)` counts below the lattice.
        samples: `(rows,)` counts of all.

    Returns:
        `(rows, low + edges)` from the lowest edge on.
    """
    few = (at_once + np.minimum(_RESOLVED, samples / 2))[:, np.newaxis]
    first = low + np.count_nonzero(changed < few, axis=1)  # the first edge where they are enough
    is_straight = first < low + changed.shape[1]
    first = np.where(is_straight, first, 0)
    reached = changed[np.arange(len(first)), np.maximum(first - low, 0)] - at_once
    slope = np.minimum(reached, _RESOLVED) / _RATES[first]
    found: Floats = slope[:, np.newaxis] * _RATES[: low + changed.shape[1]]
    found += at_once[:, np.newaxis]
    found[~is_straight, :low] = at_once[~is_straight, np.newaxis]
    edges = np.arange(low, found.shape[1])
    np.copyto(found[:, low:], changed, where=edges >= first[:, np.newaxis])
    return found


def _follow_tails(found: Floats, changed: Floats, low: int, samples: Floats) -> None:
    """Replace ln(1 - D) where fewer than 3 samples are left by the log-normal model, in place.

    Args:
        found: `(rows, CELLS + 1)` ln(1 - D) by counts.
        changed: `(rows, edges)` counts of samples that have changed, from edge `low` on.
        low: the edge before which no sample changes, but those at once.
        samples: `(rows,)` counts of all.
    """
    left = np.maximum(samples[:, np.newaxis] - changed, 0.0)
    middle = np.minimum(_APART * _RESOLVED, samples / 2)
    last, left_last = _last_edges(left, np.full(len(samples), _RESOLVED), low)
    inner, left_inner = _last_edges(left, middle, low)
    z_last, z_inner = -special.ndtri(left_last / samples), -special.ndtri(left_inner / samples)
    furthest = -special.ndtri(1.0 / samples)
    # Too few samples for two points have slope 1; the widths of networks lie about 1.
    is_sloped = (inner >= 0) & (left_inner < samples) & (inner != last)
    for row in np.flatnonzero((last >= 0) & (left_last < samples) & (last < CELLS)):
        slope, start = 1.0, int(last[row])
        if is_sloped[row]:
            slope = (z_last[row] - z_inner[row]) / (EDGES[start] - EDGES[inner[row]])
        # Only up to where the samples resolve no more: the rest of the lattice is flat.
        near = 1 + int((furthest[row] - z_last[row]) / slope / _CELL) if slope > 0 else 0
        steps = EDGES[start : start + max(near, 1) + 1] - EDGES[start]
        tail = np.maximum(special.log_ndtr(-(z_last[row] + slope * steps)), -np.log(samples[row]))
        # The start and the tail are models: where they meet what was counted, D must not fall.
        before = found[row, start - 1] if start else 0.0
        found[row, start : start + len(tail)] = np.minimum(tail, before)
        found[row, start + len(tail) :] = found[row, start + len(tail) - 1]


def _last_edges(left: Floats, least: Floats, low: int) -> tuple[NDArray[np.intp], Floats]:
    """Return the last edge of each row at which so many samples are left, and how many are.

    Args:
        left: `(rows, edges)` from edge `low` on, falling; constant before and after.
        least: `(rows,)` samples.
        low: the first edge of `left`.
    """
    number = np.count_nonzero(left >= least[:, np.newaxis], axis=1)
    found = np.where(number == left.shape[1], CELLS, low + number - 1)
    found = np.where(number == 0, -1, found)
    return found, left[np.arange(len(left)), np.maximum(number - 1, 0)]
