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
        counts: `(BINS,)` of samples.
        log_factor: natural logarithm of the factor of all rates.

    Example:
        >>> counts = np.bincount(bins_of([0.0, 1.0, np.inf]), minlength=BINS).astype(float)
        >>> [round(float(shifted(counts, np.log(2.0))[place]), 6) for place in (0, 1633, BINS - 1)]
        [1.0, 1.0, 1.0]
    """
    place = min(max(log_factor / (EDGES[1] - EDGES[0]), -CELLS), CELLS)
    whole = int(np.floor(place))
    share = float(place) - whole
    held = np.flatnonzero(counts[1:-1]) + 1
    found = np.zeros(BINS)
    found[0], found[-1] = counts[0], counts[-1]
    for cells, weight in ((whole, 1.0 - share), (whole + 1, share)):
        if weight > 0:
            np.add.at(found, np.clip(held + cells, 0, BINS - 1), weight * counts[held])
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
    found = (
        np.stack([_log_survival(row) for row in rows]) if len(rows) else np.empty((0, CELLS + 1))
    )
    return found.reshape(*counts.shape[:-1], CELLS + 1)


def _log_survival(row: Floats) -> Floats:
    samples = float(row.sum())
    changed = np.cumsum(row[:-1])
    left = np.maximum(samples - changed, 0.0)
    changed = _linear_start(changed, float(row[0]), samples)
    bound = 1.0 / samples
    with np.errstate(divide="ignore"):
        exact = np.log(np.maximum(1.0 - changed / samples, bound))
    last = int(np.searchsorted(-left, -_RESOLVED, side="right")) - 1  # the last edge with 3 left
    if last >= 0 and left[last] < samples and last < CELLS:
        exact[last:] = np.maximum(_tail(left, last, samples), np.log(bound))
    # The start and the tail are models: where they meet what was counted, D must not fall.
    return np.minimum.accumulate(exact)


def _linear_start(changed: Floats, at_once: float, samples: float) -> Floats:
    """Replace what fewer than 3 samples say by a straight line through the origin."""
    first = int(np.searchsorted(changed, at_once + min(_RESOLVED, samples / 2)))
    if first in (0, CELLS + 1):
        return changed
    reached = min(changed[first] - at_once, _RESOLVED)
    line = at_once + reached * np.exp(EDGES[:first] - EDGES[first])
    return np.concatenate([line, changed[first:]])


def _tail(left: Floats, last: int, samples: float) -> Floats:
    """Return ln(1 - D) from edge `last` on, by the log-normal model."""
    middle = min(_APART * _RESOLVED, samples / 2)
    inner = int(np.searchsorted(-left, -middle, side="right")) - 1
    z_last = -float(special.ndtri(left[last] / samples))
    if inner < 0 or left[inner] >= samples or inner == last:
        slope = 1.0  # too few samples for two points; the widths of networks lie about 1
    else:
        z_inner = -float(special.ndtri(left[inner] / samples))
        slope = (z_last - z_inner) / float(EDGES[last] - EDGES[inner])
    # Only up to where the samples resolve no more: the rest of the lattice is flat.
    found = np.full(len(EDGES) - last, -np.log(samples))
    furthest = -float(special.ndtri(1.0 / samples))
    near = 1 + int((furthest - z_last) / slope / (EDGES[1] - EDGES[0])) if slope > 0 else 0
    steps = EDGES[last : last + max(near, 1) + 1] - EDGES[last]
    found[: len(steps)] = special.log_ndtr(-(z_last + slope * steps))
    return found
