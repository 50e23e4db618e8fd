"""The threshold of a cascade: for a share of inputs that go on, or for a loss of accuracy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reluflow.errors import DataError, OptionError

Floats = NDArray[np.floating[Any]]
STEPS = 200
"""Thresholds that are tried for a loss: shares of inputs that pass 1 keeps, evenly spaced."""


def threshold_for_coverage(uncertainty: Floats, coverage: float) -> float:
    """Return the threshold above which a share of inputs lies; no labels are needed.

    Args:
        uncertainty: `(n,)` of representative inputs.
        coverage: the largest share of them that goes on to pass 2, in [0, 1]; of equal
            uncertainties all stay, if not all fit in.

    Returns:
        The threshold: infinite for 0, so that nothing goes on, -infinite for 1.

    Raises:
        OptionError: the coverage is not in [0, 1].
        DataError: there are no inputs, or an uncertainty is NaN.

    Example:
        >>> unsure = np.array([0.1, 0.9, 0.5, 0.3])
        >>> float(threshold_for_coverage(unsure, 0.5)), threshold_for_coverage(unsure, 0)
        (0.3, inf)
    """
    values = _checked(uncertainty)
    if not 0 <= coverage <= 1:
        raise OptionError(f"coverage is {coverage}; give a share from 0 to 1.")
    if coverage == 0:
        return math.inf
    count = math.floor(coverage * len(values) + 1e-9)  # 0.29 * 100 is a little below 29
    return -math.inf if count == len(values) else float(np.sort(values)[::-1][count])


def threshold_for_loss(
    uncertainty: Floats,
    harmed: NDArray[np.bool_],
    loss: float,
    confidence: float | None = 0.95,
    *,
    helped: NDArray[np.bool_] | None = None,
) -> float:
    """Return the largest threshold that keeps the loss against pass 2 within a bound.

    An input is *harmed* where pass 2 would be right and pass 1 is wrong: the cascade can lose no
    more accuracy than the share of harmed inputs that it keeps from pass 2, whatever it gains on
    others. That share grows with the threshold, so thresholds are tried upwards, each at a fixed
    share of kept inputs, until the upper bound of Clopper and Pearson exceeds the wanted
    loss. As the first failure ends the tests, all of them together err with a probability of at
    most 1 - confidence: over draws of such tuning data, for inputs of the same distribution, and
    apart from the quantiles of the uncertainty, which the same data give.

    Where pass 1 is right and pass 2 is not, keeping an input helps. With `helped` these count
    against the harms, so that the loss is what accuracy falls by; each of the two shares then has
    its own bound, and both err with at most 1 - confidence.

    Args:
        uncertainty: `(n,)` of the tuning inputs.
        harmed: `(n,)` pass 2 is right there and pass 1 is not.
        loss: the largest loss of accuracy against pass 2, in [0, 1].
        confidence: in (0, 1); None: the loss on the tuning inputs themselves, without a guarantee.
        helped: `(n,)` pass 1 is right there and pass 2 is not; None: only harms count.

    Returns:
        The threshold; -infinite where even the first step exceeds the bound, so that all go on:
        with few inputs no loss can be guaranteed.

    Raises:
        OptionError: the loss or the confidence is out of range.
        DataError: there are no inputs, not as many of both, or an uncertainty is NaN.

    Example:
        >>> unsure = np.linspace(0, 1, 1000)
        >>> harmed = unsure > 0.9
        >>> threshold_for_loss(unsure, harmed, 0.0, None) <= 0.9
        True
        >>> 0.8 < threshold_for_loss(unsure, harmed, 0.005) < 0.91
        True
        >>> helped = (unsure > 0.7) & ~harmed
        >>> threshold_for_loss(unsure, harmed, 0.005, helped=helped) > 0.95
        True

    Reference: Clopper and Pearson, Biometrika 26, 1934; tests in a fixed order as in Angelopoulos
    et al., "Learn then test", 2021; docs/attention.md.
    """
    values = _checked(uncertainty)
    for name, marks in {"harmed": harmed, "helped": harmed if helped is None else helped}.items():
        if len(marks) != len(values):
            raise DataError(
                f"{name} has {len(marks)} entries for {len(values)} inputs; give one for each."
            )
    if not 0 <= loss <= 1:
        raise OptionError(f"loss is {loss}; give a share from 0 to 1, for example 0.003.")
    if confidence is not None and not 0 < confidence < 1:
        raise OptionError(f"confidence is {confidence}; give a number between 0 and 1.")
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    kept = np.unique(np.linspace(1, len(values), STEPS).astype(int))
    kept = np.unique(np.searchsorted(ordered, ordered[kept - 1], side="right"))  # with all equals
    lost = np.cumsum(np.asarray(harmed, bool)[order])[kept - 1]
    if helped is None:
        most = _most(lost, len(values), confidence)
    else:
        won = np.cumsum(np.asarray(helped, bool)[order])[kept - 1]
        each = None if confidence is None else (1 + confidence) / 2
        most = _most(lost, len(values), each) - _least(won, len(values), each)
    broken = most > loss
    good = int(broken.argmax()) if broken.any() else len(kept)
    return float(ordered[kept[good - 1] - 1]) if good else -math.inf


def _most(counts: NDArray[np.int64], n: int, confidence: float | None) -> Floats:
    """Return the upper bounds of a share of which so many of n were seen."""
    if confidence is None:
        return np.asarray(counts / n)
    found: Floats = special.betaincinv(counts + 1, np.maximum(n - counts, 1), confidence)
    return np.where(counts == n, 1.0, found)


def _least(counts: NDArray[np.int64], n: int, confidence: float | None) -> Floats:
    """Return the lower bounds of a share of which so many of n were seen."""
    return 1.0 - _most(n - counts, n, confidence)


def _checked(uncertainty: Floats) -> Floats:
    values = np.asarray(uncertainty, np.float64)
    if values.ndim != 1 or not len(values):
        raise DataError(
            f"uncertainty is {list(values.shape)}; give one number for each of at least one input."
        )
    if np.isnan(values).any():
        raise DataError(
            f"uncertainty of input {int(np.isnan(values).argmax())} is NaN; give infinity for what "
            "nothing is known of, so that it goes on."
        )
    return values
