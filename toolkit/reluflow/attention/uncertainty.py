"""How unsure a network is of its decision: entropy, margin, ratio, disagreement of two draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError

Floats = NDArray[np.floating[Any]]
MEASURES = ("entropy", "margin", "ratio", "disagreement")
"""What tells how unsure a decision is; larger values are less sure in all of them."""
_NOTHING = -746.0
"""Its exponential is 0 in float64."""
_AT_ONCE = 4096
"""Decisions whose entropies are computed together."""


def probabilities_of(scores: Floats, *, axis: int = 1, probabilities: bool = False) -> Floats:
    """Return probabilities of classes: the softmax of scores, or what already are probabilities.

    Args:
        scores: any shape; a score per class along `axis`.
        axis: of the classes.
        probabilities: the scores have been through a softmax.

    Returns:
        float64, the shape of `scores`; NaN wherever a score of the place is NaN or +infinite.

    Raises:
        DataError: there are fewer than two classes.

    Example:
        >>> probabilities_of(np.array([[0.0, 0.0], [800.0, -800.0]])).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
    """
    values = np.asarray(_checked(scores, axis), np.float64)
    if probabilities:
        return values
    with np.errstate(invalid="ignore", over="ignore"):
        shifted = np.exp(values - values.max(axis=axis, keepdims=True))
        found: Floats = shifted / shifted.sum(axis=axis, keepdims=True)
    return found


def _checked(scores: Floats, axis: int) -> Floats:
    values = np.asarray(scores)
    if values.ndim < 1 or not -values.ndim <= axis < values.ndim or values.shape[axis] < 2:
        raise DataError(
            f"scores are {list(values.shape)}, with fewer than two classes on axis {axis}; choose "
            "an output with a score for each class."
        )
    return values


def entropy_bits(scores: Floats, *, axis: int = 1, probabilities: bool = False) -> Floats:
    """Return the entropy of the classes, `-sum_c p_c log2 p_c`, in bits.

    It is 0 where one class has all the probability, and log2 of the number of classes where all
    have the same.

    Args:
        scores: any shape; a score per class along `axis`: `(n, c)`, or maps `(n, c, h, w)`.
        axis: of the classes.
        probabilities: the scores have been through a softmax.

    Returns:
        float64, the shape of `scores` without `axis`; NaN where a score is NaN or +infinite.

    Raises:
        DataError: there are fewer than two classes.

    Example:
        >>> entropy_bits(np.array([[0.0, 0.0], [99.0, 0.0]])).round(6).tolist()
        [1.0, 0.0]
        >>> entropy_bits(np.array([[0.5, 0.25, 0.25]]), probabilities=True).tolist()
        [1.5]

    Reference: thesis, eq. 4.12, whose sum in the denominator is over the classes and whose
    logarithm is the natural one; docs/attention.md.
    """
    if not probabilities:
        return _entropy_of_scores(scores, axis)
    p = probabilities_of(scores, axis=axis, probabilities=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p == 0, 0.0, p * np.log2(p))
    found: Floats = np.maximum(0.0, -terms.sum(axis=axis))
    return found


def _entropy_of_scores(scores: Floats, axis: int) -> Floats:
    """Return the entropies of the softmax; some at a time, so that all stays in the cache."""
    values = np.moveaxis(_checked(scores, axis), axis, 0)
    flat = values.reshape(len(values), -1)
    found = np.empty(flat.shape[1])
    for at in range(0, len(found), _AT_ONCE):
        found[at : at + _AT_ONCE] = _entropies(np.asarray(flat[:, at : at + _AT_ONCE], np.float64))
    return found.reshape(values.shape[1:])


def _entropies(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `log2(Z) - sum_c p_c s_c / ln 2` of scores s below a maximum of 0: one logarithm."""
    with np.errstate(invalid="ignore", over="ignore"):
        below = scores - scores.max(axis=0)
        np.maximum(below, _NOTHING, out=below)  # 0 times -infinity is 0 here; NaN stays
        weights = np.exp(below)
        total = weights.sum(axis=0)
        below *= weights
        found = (np.log(total) - below.sum(axis=0) / total) / np.log(2.0)
    return np.asarray(np.maximum(0.0, found))


def small_margin(scores: Floats, *, axis: int = 1, probabilities: bool = False) -> Floats:
    """Return 1 minus the distance of the two largest probabilities, in [0, 1].

    Args:
        scores: any shape; a score per class along `axis`.
        axis: of the classes.
        probabilities: the scores have been through a softmax.

    Returns:
        float64, the shape of `scores` without `axis`; NaN where a score is NaN or +infinite.

    Raises:
        DataError: there are fewer than two classes.

    Example:
        >>> p = np.array([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]])
        >>> small_margin(p, probabilities=True).tolist()
        [1.0, 0.5]
    """
    p = probabilities_of(scores, axis=axis, probabilities=probabilities)
    ordered = np.moveaxis(np.partition(p, -2, axis=axis), axis, -1)  # NaN is sorted to the end
    return np.asarray(1.0 - (ordered[..., -1] - ordered[..., -2]))


def rival_ratio(scores: Floats, *, axis: int = 1, probabilities: bool = False) -> Floats:
    """Return the second largest probability over the largest, in [0, 1].

    It is `exp(-d)` of the distance d of the two largest scores, whatever the others are. Rounding
    of a pass moves each score by about as much, so that d tells how much of it the decision bears;
    the margin also falls where many other classes share the rest.

    Args:
        scores: any shape; a score per class along `axis`.
        axis: of the classes.
        probabilities: the scores have been through a softmax.

    Returns:
        float64, the shape of `scores` without `axis`; NaN where a score is NaN or +infinite, or
        all probabilities are 0.

    Raises:
        DataError: there are fewer than two classes.

    Example:
        >>> p = np.array([[0.5, 0.5, 0.0], [0.8, 0.2, 0.0]])
        >>> rival_ratio(p, probabilities=True).tolist()
        [1.0, 0.25]
    """
    p = probabilities_of(scores, axis=axis, probabilities=probabilities)
    ordered = np.moveaxis(np.partition(p, -2, axis=axis), axis, -1)  # NaN is sorted to the end
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(ordered[..., -2] / ordered[..., -1])


def disagreement(
    first: Floats, second: Floats, *, axis: int = 1, probabilities: bool = False
) -> Floats:
    """Return how far two draws of a network are from each other.

    The total variation of their probabilities, `sum_c |p_c - q_c| / 2`, in [0, 1], and 1 more where
    they decide for different classes.

    Args:
        first: any shape; scores of one draw, a class along `axis`.
        second: the shape of `first`; scores of the other draw.
        axis: of the classes.
        probabilities: the scores have been through a softmax.

    Returns:
        float64 in [0, 2], the shape of `first` without `axis`; NaN where a score is.

    Raises:
        DataError: there are fewer than two classes, or the draws differ in shape.

    Example:
        >>> first, second = np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([[0.5, 0.5], [0, 1.0]])
        >>> disagreement(first, second, probabilities=True).tolist()
        [0.25, 1.75]
    """
    if np.shape(first) != np.shape(second):
        raise DataError(
            f"second is {list(np.shape(second))}, but first is {list(np.shape(first))}; give "
            "two draws of one output."
        )
    p = probabilities_of(first, axis=axis, probabilities=probabilities)
    q = probabilities_of(second, axis=axis, probabilities=probabilities)
    apart = np.abs(p - q).sum(axis=axis) / 2
    return np.asarray(apart + (p.argmax(axis=axis) != q.argmax(axis=axis)))


def check_measure(measure: str) -> None:
    """Refuse a measure of uncertainty that does not exist.

    Args:
        measure: one of "entropy", "margin", "ratio" and "disagreement".

    Raises:
        OptionError: it is another.

    Example:
        >>> check_measure("margin")
    """
    if measure not in MEASURES:
        raise OptionError(f"measure is {measure!r}; accepted are {', '.join(MEASURES)}.")


def uncertainty(
    draws: tuple[Floats, ...], measure: str, *, probabilities: bool = False
) -> tuple[Floats, Floats]:
    """Return how unsure each decision is, and the probabilities that it is made from.

    Args:
        draws: `(n, c)` scores; two of them for "disagreement", whose mean then decides.
        measure: of `MEASURES`.
        probabilities: the scores have been through a softmax.

    Returns:
        `(n,)` uncertainties, infinite where scores are NaN or +infinite, and `(n, c)`
        probabilities.

    Raises:
        OptionError: there is no such measure, or the draws are not as many as it needs.
        DataError: there are fewer than two classes.

    Example:
        >>> unsure, p = uncertainty((np.array([[0.0, 0.0], [np.nan, 0.0]]),), "entropy")
        >>> unsure.tolist(), p[0].tolist()
        ([1.0, inf], [0.5, 0.5])
    """
    check_measure(measure)
    needed = 2 if measure == "disagreement" else 1
    if len(draws) != needed:
        raise OptionError(f"draws are {len(draws)}, but {measure} is of {needed}; give so many.")
    if measure == "disagreement":
        found = disagreement(*draws, probabilities=probabilities)
    elif measure == "margin":
        found = small_margin(draws[0], probabilities=probabilities)
    elif measure == "ratio":
        found = rival_ratio(draws[0], probabilities=probabilities)
    else:
        found = entropy_bits(draws[0], probabilities=probabilities)
    each = [probabilities_of(draw, probabilities=probabilities) for draw in draws]
    return np.where(np.isnan(found), np.inf, found), np.mean(each, axis=0)
