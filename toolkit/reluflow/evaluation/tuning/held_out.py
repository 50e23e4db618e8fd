"""How far a fit may trust the data, chosen on inputs that it was not made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.psb.feedback import DAMPING, round_with_feedback
from reluflow.psb.second_moments import InputMoments

_F64 = NDArray[np.float64]
EVERY = 3
"""One of so many runs is held out."""
_FOLLOW = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Shares of the mean second moment that are tried, from trusting the data to hardly at all."""
_FEEDBACK = (0.01, 0.1, 1.0)


@dataclass(frozen=True, slots=True)
class Dampings:
    """Shares of the mean second moment that are added to each.

    Attributes:
        follow: where a layer is fitted to the float model.
        feedback: where its weights are rounded.
    """

    follow: float = DAMPING
    feedback: float = DAMPING


def choose_dampings(
    rows: _F64,
    known: InputMoments,
    unseen: InputMoments,
    p_bits: int,
    *,
    centred: bool,
    follow: bool = True,
    feedback: bool = True,
) -> Dampings:
    """Return the dampings with the least error on inputs that were held out.

    Few inputs, or layers with few pixels, have fewer rows than a layer has weights: a fit then
    explains what no other input repeats, and feedback moves errors to where these inputs do not
    see them. What helps is told by inputs that were left out.

    Args:
        rows: weights `(groups, outputs, K)` of the float model.
        known: moments of most inputs.
        unseen: moments of the others; where there are none, nothing can be chosen.
        p_bits: stored bits of a probability.
        centred: moments are those around the means.
        follow: choose the damping of the fit.
        feedback: choose the damping of the rounding.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> parts = [InputMoments((1, 9), None, rows=99, seed=0) for _ in range(2)]
        >>> for part in parts:  # as many rows as weights, and inputs that differ by noise alone
        ...     x = rng.normal(size=(9, 9)).astype(np.float32)
        ...     part.add(x + rng.normal(size=x.shape).astype(np.float32) / 2, x)
        >>> choose_dampings(np.ones((1, 1, 9)), *parts, 4, centred=True).follow > 0.01
        True

    Reference: docs/decisions/0028-weights-chosen-on-data.md.
    """
    if not (known.n_rows and unseen.n_rows and known.has_products):
        return Dampings()
    moments = known.second(centred=centred)
    wanted = _wanted(rows, unseen, centred=centred)
    seen = unseen.second(centred=centred)
    target, fitted = rows, DAMPING
    if follow:
        fits = {d: fit_to_outputs(rows, known, d, centred=centred) for d in _FOLLOW}
        fitted = _least(_FOLLOW, lambda d: _error(fits[d], seen, wanted))
        target = fits[fitted]
    if not feedback:
        return Dampings(fitted)

    def rounded(damping: float) -> float:
        v = round_with_feedback(_stacked(target), moments, p_bits=p_bits, damping=damping)
        return _error(v.reshape(rows.shape).astype(np.float64), seen, target @ seen)

    return Dampings(fitted, _least(_FEEDBACK, rounded))


def fit_to_outputs(rows: _F64, moments: InputMoments, damping: float, *, centred: bool) -> _F64:
    """Return the weights that fit the float model's outputs best, `(groups, outputs, K)`.

    Args:
        rows: weights of the float model, in that shape.
        moments: of the inputs.
        damping: share of the mean second moment by which the fit is held to these weights.
        centred: moments are those around the means.
    """
    second, cross = moments.second(centred=centred), moments.cross(centred=centred)
    beside = moments.beside(centred=centred)
    added = damping * np.einsum("gkk->gk", second).mean(axis=1, keepdims=True)
    added[added <= 0] = 1.0  # inputs that are always the same
    for moment in (second, cross):
        diagonal = np.einsum("gkk->gk", moment)
        diagonal += added
    missing = rows @ cross + beside
    solved = np.linalg.solve(second, missing.swapaxes(1, 2))
    return np.asarray(solved.swapaxes(1, 2), np.float64)


def rounding_error(change: _F64, moments: InputMoments, *, centred: bool) -> float:
    """Return what changed weights change at a layer's outputs: E of its square, all outputs.

    Args:
        change: of the weights, `(groups, outputs, K)`.
        moments: of the inputs.
        centred: without that of the mean, which a bias makes up for.
    """
    return float(np.vdot(change @ moments.second(centred=centred), change))


def _wanted(rows: _F64, moments: InputMoments, *, centred: bool) -> _F64:
    """Return E[y x^T] of what the layer should give, with what a skip connection lacks."""
    return rows @ moments.cross(centred=centred) + moments.beside(centred=centred)


def _error(used: _F64, second: _F64, wanted: _F64) -> float:
    """Return E[(y - v x)^2] less E[y^2], which is the same for all v."""
    return float(np.vdot(used @ second, used) - 2 * np.vdot(wanted, used))


def _least(tried: Sequence[float], error: Callable[[float], float]) -> float:
    return min(tried, key=error)


def _stacked(rows: _F64) -> _F64:
    return rows.reshape(-1, rows.shape[2])
