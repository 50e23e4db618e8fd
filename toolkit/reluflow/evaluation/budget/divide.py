"""The division of a budget that leaves the least error: one choice per operator."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_UNITS = 1 << 15
"""Parts that the budget is divided into where exact costs are not small whole numbers; rounding
each cost up wastes at most one part per operator."""
_ROUNDING = 1e-9
"""Of products of a budget that is no whole number."""


def divide_budget(
    errors: NDArray[np.float64],
    costs: NDArray[np.int64],
    levels: Sequence[int],
    budget: float,
) -> tuple[int, ...]:
    """Return the level of each operator with the least sum of errors within a budget.

    Minimises sum_i errors[i, k_i] subject to sum_i costs[i] levels[k_i] <= budget sum_i costs[i]:
    a knapsack with one choice per operator, solved by dynamic programming over what is spent. It is
    exact where the costs have a common divisor that leaves few enough units, else up to rounding
    each cost up to a 32,768th of the budget. Of equal sums the cheaper one is taken.

    Args:
        errors: `(operators, levels)`, finite.
        costs: `(operators,)`, multiplications of each, from 0 on.
        levels: numbers of samples, ascending.
        budget: mean number of samples over all multiplications, at least the first level.

    Returns:
        The number of the level for each operator.

    Example:
        >>> errors = np.array([[8.0, 2.0, 0.0], [1.0, 0.9, 0.0]])
        >>> divide_budget(errors, np.array([10, 10]), (1, 2, 4), 2.5)
        (2, 0)

    Reference: docs/psb.md, the sample budget.
    """
    spent = budget * float(costs.sum()) * (1 + _ROUNDING)
    even = max(column for column, level in enumerate(levels) if level <= budget)
    found = [_least(errors, costs, levels, budget), (even,) * len(costs)]
    filled = [_filled(each, errors, costs, levels, spent) for each in found]
    return min(filled, key=lambda each: _total(errors, each))


def _total(errors: NDArray[np.float64], chosen: Sequence[int]) -> float:
    return float(errors[np.arange(len(chosen)), chosen].sum())


def _filled(
    chosen: Sequence[int],
    errors: NDArray[np.float64],
    costs: NDArray[np.int64],
    levels: Sequence[int],
    room: float,
) -> tuple[int, ...]:
    """Return a choice with single operators changed while that lessens the error and fits.

    What rounded costs have left of the budget is spent here.
    """
    found, prices = list(chosen), np.outer(costs, levels).astype(np.float64)
    rows = np.arange(len(found))
    while True:
        left = room - prices[rows, found].sum()
        gain = errors[rows, found][:, None] - errors
        gain[prices - prices[rows, found][:, None] > left] = 0
        row, column = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[row, column] <= 0:
            return tuple(found)
        found[row] = int(column)


def _least(
    errors: NDArray[np.float64], costs: NDArray[np.int64], levels: Sequence[int], budget: float
) -> tuple[int, ...]:
    """Return the choice with the least error where costs are rounded up to units."""
    spent, room = _in_units(costs, levels, budget)
    best = np.zeros(room + 1)
    choices = np.zeros((len(errors), room + 1), np.int8)
    for row, (error, cost) in enumerate(zip(errors, spent, strict=True)):
        reached = np.full(room + 1, np.inf)
        for level, (more, price) in enumerate(zip(error, cost, strict=True)):
            if price > room:
                continue
            total = np.full(room + 1, np.inf)
            total[price:] = best[: room + 1 - price] + more
            better = total < reached
            reached[better] = total[better]
            choices[row, better] = level
        best = reached
    return _traced(choices, spent, int(best.argmin()))


def _in_units(
    costs: NDArray[np.int64], levels: Sequence[int], budget: float
) -> tuple[NDArray[np.int64], int]:
    """Return what each level of each operator costs above the lowest one, and what there is."""
    steps = np.array([level - levels[0] for level in levels], np.int64)
    room = (budget - levels[0]) * float(costs.sum())
    unit = float(math.gcd(*map(int, costs))) or 1.0
    if room / unit > _UNITS:
        unit = room / _UNITS
    prices = np.ceil(np.outer(costs, steps) / unit).astype(np.int64)
    most = int(prices.max(axis=1).sum())
    return prices, min(most, math.floor(room / unit + _ROUNDING))


def _traced(choices: NDArray[np.int8], prices: NDArray[np.int64], spent: int) -> tuple[int, ...]:
    """Return the choices that lead to what was spent."""
    found = []
    for row in reversed(range(len(choices))):
        level = int(choices[row, spent])
        found.append(level)
        spent -= int(prices[row, level])
    return tuple(reversed(found))
