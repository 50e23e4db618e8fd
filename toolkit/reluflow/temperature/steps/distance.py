"""Activation pattern distance D and temperature APT (thesis, Definitions 5 and 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reluflow.errors import DataError
from reluflow.patterns import count_different


@dataclass(frozen=True, slots=True)
class Temperature:
    """Activation pattern temperature of one site, as returned by `temperature`.

    Attributes:
        bits: -log2(1 - D), in bits; the lower bound log2(n) where saturated.
        saturated: every one of the n samples changed its pattern.
    """

    bits: float
    saturated: bool


def distance(before: np.ndarray, after: np.ndarray) -> float:
    """Return D, the share of samples whose pattern differs (eq. 3.15).

    Args:
        before: `(n, 2)` uint64 fingerprints of n samples in the first state.
        after: `(n, 2)` uint64 fingerprints of the same samples in the second.

    Returns:
        A fraction in [0, 1].

    Raises:
        DataError: the shapes differ, or there is no sample.

    Example:
        >>> a = np.zeros((4, 2), np.uint64)
        >>> b = a.copy()
        >>> b[0] = 1
        >>> distance(a, b)
        0.25
    """
    if before.shape != after.shape or not len(before):
        raise DataError(
            f"before and after have shapes {before.shape} and {after.shape}; "
            "a distance wants the same samples, at least one, in both."
        )
    return count_different(before, after) / len(before)


def temperature(distance: float, samples: int) -> Temperature:
    """Return the activation pattern temperature T = -log2(1 - D) (Definition 6, base 2).

    Args:
        distance: D, a fraction in [0, 1].
        samples: number n of samples that D was measured on; bounds T at log2(n).

    Returns:
        The temperature, flagged where D = 1.

    Raises:
        DataError: D outside [0, 1] or no sample.

    Example:
        >>> temperature(0.75, 100)
        Temperature(bits=2.0, saturated=False)
    """
    if not 0.0 <= distance <= 1.0 or samples < 1:
        raise DataError(
            f"distance is {distance} over {samples} samples; give a fraction in [0, 1] "
            "and at least one sample."
        )
    if distance == 1.0:
        return Temperature(math.log2(samples), True)
    return Temperature(-math.log2(1.0 - distance) + 0.0, False)
