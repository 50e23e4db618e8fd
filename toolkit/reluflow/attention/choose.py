"""Which pixels a second pass computes: the unsure ones of a map, a margin, a random baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.threshold import threshold_for_coverage
from reluflow.errors import DataError, OptionError

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
RULES = ("mean", "quantile", "absolute", "coverage")
"""How the threshold of a region follows from a map of uncertainties."""


def unsure_region(uncertainty: Floats, rule: str = "mean", value: float | None = None) -> Mask:
    """Return the pixels whose uncertainty is above a threshold.

    Args:
        uncertainty: of each pixel, any shape: `entropy_bits` of a map of scores, for example.
        rule: "mean": above the mean of the map; "quantile": above its quantile `value`;
            "absolute": above `value` itself; "coverage": the most unsure share `value`.
        value: of the rule, none for "mean"; a quantile and a coverage are in [0, 1].

    Returns:
        bool, the shape of the map.

    Raises:
        OptionError: there is no such rule, or its value is missing, given in vain or out of range.
        DataError: the map has no pixels, or an uncertainty is NaN.

    Example:
        >>> unsure = np.array([[0.1, 0.2], [0.3, 1.4]])
        >>> unsure_region(unsure).tolist()
        [[False, False], [False, True]]
        >>> unsure_region(unsure, "coverage", 0.5).tolist()
        [[False, False], [True, True]]

    Reference: thesis 4.2.5, T = mean of h; docs/attention.md.
    """
    values = np.asarray(uncertainty, np.float64)
    if not values.size or np.isnan(values).any():
        what = "NaN for some pixels" if values.size else f"{list(values.shape)}, without a pixel"
        raise DataError(
            f"uncertainty is {what}; give a number for each, infinity where nothing is known."
        )
    threshold = _threshold(values, rule, value)
    return np.asarray(values > threshold)


def _threshold(values: Floats, rule: str, value: float | None) -> float:
    if rule not in RULES:
        raise OptionError(f"rule is {rule!r}; accepted are {', '.join(RULES)}.")
    if rule == "mean":
        if value is not None:
            raise OptionError(f"value is {value}, but does nothing with rule 'mean'; leave it out.")
        known = values[np.isfinite(values)]  # an infinite one is above whatever the rest says
        return float(known.mean()) if known.size else -np.inf
    if value is None or np.isnan(value):
        raise OptionError(f"value is {value}, which rule {rule!r} needs; give a number.")
    if rule == "absolute":
        return float(value)
    if not 0 <= value <= 1:
        raise OptionError(f"value is {value}; give rule {rule!r} a share from 0 to 1.")
    if rule == "coverage":
        return threshold_for_coverage(values.reshape(-1), value)
    return float(np.quantile(values, value, method="lower"))


def with_margin(mask: Mask, pixels: int) -> Mask:
    """Return a region with a margin around it, diagonal neighbours included.

    Args:
        mask: bool, one to three axes.
        pixels: width of the margin, at least 0.

    Returns:
        bool, the shape of the mask.

    Raises:
        OptionError: the margin is below 0.

    Example:
        >>> with_margin(np.array([[1, 0, 0], [0, 0, 0]], bool), 1).tolist()
        [[True, True, False], [True, True, False]]

    Reference: thesis 4.2.5, "entropy + margin".
    """
    if pixels < 0:
        raise OptionError(f"margin is {pixels} pixels; give a whole number from 0 on.")
    found = np.array(mask, bool)
    for axis in range(found.ndim) if pixels else ():
        ahead = np.moveaxis(found, axis, 0)
        grown = ahead.copy()
        for by in range(1, min(pixels, len(ahead) - 1) + 1):
            grown[by:] |= ahead[:-by]
            grown[:-by] |= ahead[by:]
        found = np.moveaxis(grown, 0, axis)
    return np.ascontiguousarray(found)


def random_region(sizes: tuple[int, ...], coverage: float, seed: int = 0) -> Mask:
    """Return as many pixels as a coverage asks for, drawn at random: the baseline.

    Args:
        sizes: pixels along each axis.
        coverage: share of them, in [0, 1], rounded to whole pixels.
        seed: of the draw.

    Returns:
        bool, of the shape `sizes`.

    Raises:
        OptionError: the coverage is not in [0, 1].

    Example:
        >>> random_region((4, 5), 0.3).sum().item()
        6

    Reference: thesis 4.2.5, random selection.
    """
    if not 0 <= coverage <= 1:
        raise OptionError(f"coverage is {coverage}; give a share from 0 to 1.")
    count = int(np.prod(sizes))
    found = np.zeros(count, bool)
    chosen = np.random.default_rng(seed).permutation(count)[: round(coverage * count)]
    found[chosen] = True
    return found.reshape(sizes)
