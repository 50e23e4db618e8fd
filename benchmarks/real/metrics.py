"""How close the answers of one network are to another's: agreement, correlation, overlap, SQNR.

Every measure takes the outputs of both networks, one entry per output with all inputs along the
first axis, and returns a number; 1 and infinite decibels mean no difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from real.boxes import Box, matched_overlap
from real.lines import drawn_lines

Array = NDArray[np.float32]
Outputs = Sequence[Array]
Measure = Callable[[Outputs, Outputs], float]


def agreement(exact: Outputs, found: Outputs) -> float:
    """Return the share of inputs with the same largest value of the first output."""
    same = exact[0].argmax(axis=-1) == found[0].argmax(axis=-1)
    return float(same.mean())


def sqnr_db(output: int = 0) -> Measure:
    """Return the measure: 10 log10 of the energy of an output over that of its error."""

    def measure(exact: Outputs, found: Outputs) -> float:
        a, b = (np.asarray(each[output], np.float64) for each in (exact, found))
        noise = float(np.square(b - a).sum())
        return math.inf if noise == 0 else 10 * math.log10(float(np.square(a).sum()) / noise)

    return measure


def correlation(exact: Outputs, found: Outputs) -> float:
    """Return the correlation of the last score of the first output; 0 where one is constant."""
    a, b = (np.asarray(each[0][:, -1], np.float64) for each in (exact, found))
    return _correlation(a, b)


def log_odds_correlation(exact: Outputs, found: Outputs) -> float:
    """Return the correlation of log(p / (1 - p)), p the last score of the first output."""
    a, b = (np.asarray(each[0][:, -1], np.float64) for each in (exact, found))
    return _correlation(_log_odds(a), _log_odds(b))


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.clip(p, 1e-7, 1 - 1e-7)
    return np.log(kept / (1 - kept))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if a.std() == 0 or b.std() == 0 or not np.isfinite(b).all():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def overlap(output: int, threshold: float) -> Measure:
    """Return the measure: what both maps have above a threshold over what either has there."""

    def measure(exact: Outputs, found: Outputs) -> float:
        a, b = exact[output] > threshold, found[output] > threshold
        either = int((a | b).sum())
        return int((a & b).sum()) / either if either else 1.0

    return measure


def line_overlap(exact: Outputs, found: Outputs) -> float:
    """Return the IoU of M-LSD's segments, drawn as maps."""
    a, b = drawn_lines(exact), drawn_lines(found)
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def box_overlap(boxes: Callable[[Outputs], list[list[Box]]]) -> Measure:
    """Return the measure: mean IoU of the boxes; those that only one network finds count as 0.

    Args:
        boxes: finds the boxes of each input in the outputs.
    """

    def measure(exact: Outputs, found: Outputs) -> float:
        pairs = list(zip(boxes(exact), boxes(found), strict=True))
        sums = [matched_overlap(a, b) for a, b in pairs]
        count = sum(n for _, n in sums)
        return sum(total for total, _ in sums) / count if count else 1.0

    return measure
