"""When is a score too high? Thresholds from held-out inputs, at a stated rate of false alarms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reluflow.errors import OptionError

CONFIDENCE = 0.95
LEAST_RATE, MOST_RATE = 0.0001, 0.5
_DRAWS = 20_000
_IN_TAIL = 50
"""Draws beyond the threshold that its quantile is read from, at least."""
_DRAWN_AT_MOST = 512
"""Size of a group up to which its mean is drawn; the mean of a larger one is taken as normal."""
_BLOCK = 1 << 22


def check_rate(rate: float) -> None:
    """Refuse a rate of false alarms that no threshold can be found for.

    Args:
        rate: fraction of inputs, or of groups.

    Raises:
        OptionError: it is not from 0.0001 to 0.5.
    """
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise OptionError(
            f"false_alarms is {rate}; give a fraction from {LEAST_RATE} to {MOST_RATE}."
        )


def input_threshold(held: NDArray[np.float64], rate: float) -> tuple[float, tuple[float, float]]:
    """Return the score above which one input is an alarm.

    It is the k-th smallest of n held-out scores, k = ceil((n + 1) (1 - rate)): a further input of
    the same kind is above it with a probability of `rate` at most, whatever the scores' law
    (conformal prediction). Over many inputs against these n, the rate is a number that follows a
    beta law.

    Args:
        held: `(n,)` scores of held-out inputs.
        rate: of false alarms.

    Returns:
        The threshold, and the least and greatest rate that it may really have (95 %).

    Raises:
        OptionError: there are too few held-out inputs for such a rate.

    Example:
        >>> threshold, (low, high) = input_threshold(np.arange(999) / 1000, 0.01)
        >>> threshold, round(low, 4), round(high, 4)
        (0.989, 0.0048, 0.017)
    """
    n = len(held)
    k = math.ceil((n + 1) * (1 - rate) - 1e-9)
    if k > n:
        raise OptionError(
            f"false_alarms is {rate}, which {n} held-out inputs cannot tell; give a rate of "
            f"{1 / (n + 1):.2g} or more, or fit with {math.ceil(1 / rate) - 1} held-out inputs."
        )
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(special.betaincinv(n + 1 - k, k, p)) for p in (tail, 1 - tail))
    return float(np.partition(held, k - 1)[k - 1]), (low, high)


def group_threshold(held: NDArray[np.float64], size: int, rate: float) -> float:
    """Return the mean score above which a group of inputs is an alarm.

    Means of `size` held-out scores are drawn with replacement, and their distance to the mean of
    all is stretched by sqrt(1 + size / n), as that mean is itself known from n inputs only. For
    groups above 512 the mean is taken as normal.

    Args:
        held: `(n,)` scores of held-out inputs.
        size: inputs of a group.
        rate: of false alarms.

    Example:
        >>> held = np.random.default_rng(0).normal(size=1000)
        >>> round(group_threshold(held, 32, 0.01), 1), round(group_threshold(held, 1000, 0.01), 1)
        (0.4, 0.1)
    """
    mean = float(held.mean())
    if size > _DRAWN_AT_MOST:
        above = float(-special.ndtri(rate)) * float(held.std()) / math.sqrt(size)
    else:
        draws = max(_DRAWS, math.ceil(_IN_TAIL / rate))
        above = float(np.quantile(_drawn_means(held, size, draws), 1 - rate)) - mean
    return mean + math.sqrt(1 + size / len(held)) * above


def _drawn_means(held: NDArray[np.float64], size: int, draws: int) -> NDArray[np.float64]:
    random = np.random.default_rng(0)
    means = np.empty(draws)
    step = max(1, _BLOCK // size)
    for first in range(0, draws, step):
        n = min(step, draws - first)
        means[first : first + n] = held[random.integers(0, len(held), (n, size))].mean(axis=1)
    return means


def interval(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return where the mean of all such inputs lies, with a confidence of 95 %.

    From the mean and its standard error; from 0 to 1 for a single input.

    Args:
        scores: `(n,)` fractions.

    Example:
        >>> [round(bound, 2) for bound in interval(np.array([0.1, 0.2, 0.3, 0.2]))]
        [0.07, 0.33]
    """
    n = len(scores)
    if n == 1:
        return 0.0, 1.0
    reach = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * scores.std(ddof=1) / math.sqrt(n)
    mean = float(scores.mean())
    return max(0.0, mean - float(reach)), min(1.0, mean + float(reach))
