"""The bits of each layer's probabilities that leave the least error in bytes and samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_F64 = NDArray[np.float64]
_MIXES = np.linspace(0, 1, 33)
"""Shares of one price in a common one; the best of them is taken."""
_HALVINGS = 60
"""Of the interval of what a unit of the common price may cost in error: to full precision."""
_ROUNDING = 1e-9
"""Of sums that meet a limit exactly."""


def divide_bits(errors: _F64, prices: _F64) -> tuple[int, ...]:
    """Return the level of each layer with the least sum of errors within several limits.

    Minimises sum_i errors[i, k_i] subject to sum_i prices[i, k_i, j] <= 1 for each limit j. For a
    mix of the prices, each layer takes the level with the least error plus price, at the lowest
    exchange rate at which all limits are kept; the best of many mixes wins, and single layers use
    what is left. The result is not always the very best, but never beyond a limit.

    Args:
        errors: `(layers, levels)`, finite.
        prices: `(layers, levels, 2)` from 0 on, of which the limit is 1; the first level of all
            layers together keeps both.

    Returns:
        The number of the level for each layer.

    Example:
        >>> errors = np.array([[8.0, 2.0, 0.5], [1.0, 0.9, 0.8]])
        >>> prices = np.repeat(np.array([[0.1, 0.4, 0.9]] * 2)[..., None], 2, axis=2)
        >>> divide_bits(errors, prices)
        (2, 0)

    Reference: H. Everett, Operations Research 11 (1963), on multipliers of Lagrange.
    """
    best: tuple[float, tuple[int, ...]] | None = None
    for share in _MIXES:
        mixed = share * prices[..., 0] + (1 - share) * prices[..., 1]
        found = _filled(_priced(errors, prices, mixed), errors, prices)
        total = float(errors[np.arange(len(errors)), found].sum())
        if best is None or total < best[0]:
            best = total, tuple(map(int, found))
    return () if best is None else best[1]


def _priced(errors: _F64, prices: _F64, mixed: _F64) -> NDArray[np.intp]:
    """Return the levels at the lowest exchange rate that keeps to the limits."""
    low, high = 1e-30, 1e30
    chosen = np.zeros(len(errors), np.intp)
    for _ in range(_HALVINGS):
        rate = np.sqrt(low * high)
        tried = (errors + rate * mixed).argmin(axis=1)
        if _fits(prices, tried):
            chosen, high = tried, rate
        else:
            low = rate
    return chosen


def _fits(prices: _F64, chosen: NDArray[np.intp]) -> bool:
    spent = prices[np.arange(len(chosen)), chosen].sum(axis=0)
    return bool((spent <= 1 + _ROUNDING).all())


def _filled(chosen: NDArray[np.intp], errors: _F64, prices: _F64) -> NDArray[np.intp]:
    """Return the levels with single ones changed while that lessens the error and fits."""
    found, rows = chosen.copy(), np.arange(len(chosen))
    while True:
        left = 1 + _ROUNDING - prices[rows, found].sum(axis=0)
        fits = (prices - prices[rows, found][:, None] <= left).all(axis=2)
        gain = np.where(fits, errors[rows, found][:, None] - errors, 0)
        row, level = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[row, level] <= 0:
            return found
        found[row] = level
