"""Fits of the transition models to measured distances (thesis 3.2.3, Fig. 3.14; A.4, step 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from reluflow.errors import DataError, OptionError
from reluflow.temperature.transition import MODELS, Floats, LogNormal, Transition

EXTREME = 1e-10
"""D closer to 0 or 1 than this says nothing about the transition."""
_RCOND = 1e-10  # below, two rates are one to the fit
_REACH = 30.0  # bounds of the search around a start, in natural logarithms: 13 decades each way
_UNIT_STARTS = (1.0, 8.0, 64.0, 512.0, 4096.0)  # numbers of units, mu, a factor of 8 apart
_WIDTHS = (0.1, 0.5, 1.0, 3.0)  # sigma: from one unit's sharp step to a deep network's


@dataclass(frozen=True, slots=True)
class TransitionFit:
    """A transition model fitted to measured distances, as returned by `fit_transition`.

    Attributes:
        model: the fitted model.
        standard_errors: of mu and of sigma; infinite where there are only two points.
        rmse: root mean square error in D over the points used.
        used: number of points used.
    """

    model: Transition
    standard_errors: tuple[float, float]
    rmse: float
    used: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fit ready for JSON; an infinite standard error is None."""
        errors = [error if math.isfinite(error) else None for error in self.standard_errors]
        return {
            "model": self.model.to_dict(),
            "standard_errors": errors,
            "rmse": self.rmse,
            "used": self.used,
        }


def fit_transition(
    rates: ArrayLike, distances: ArrayLike, model: str = "log-normal", *, space: str | None = None
) -> TransitionFit:
    """Fit a transition model to measured `(rate, D)` pairs by least squares.

    In the space of log rates, the log-normal model is linear: ln eta = mu + sigma z with
    z = sqrt2 erfinv(2 D - 1); singular values below 1e-10 of the largest are cut off. In the
    space of distances the sum of squared errors in D is least; this treats all models alike.

    Args:
        rates: `(n,)` learning rates above 0.
        distances: `(n,)` fractions in [0, 1]; NaN is left out. In log rates D within 1e-10 of
            0 or 1 is left out too.
        model: "log-normal", "erf" or "arctan".
        space: "log-rate" (log-normal only, its default) or "distance".

    Returns:
        The fit.

    Raises:
        OptionError: an unknown model or space.
        DataError: shapes differ, fewer than two usable points, or D does not grow with the rate.

    Example:
        >>> rates = np.array([0.01, 0.1, 1.0])
        >>> fit = fit_transition(rates, LogNormal(-2.0, 1.5).distance(rates))
        >>> round(fit.model.mu, 9), round(fit.model.sigma, 9), fit.used
        (-2.0, 1.5, 3)
    """
    if model not in MODELS:
        raise OptionError(f"model is {model!r}; accepted are {', '.join(MODELS)}.")
    space = space or ("log-rate" if model == LogNormal.name else "distance")
    if space not in ("log-rate", "distance") or (space == "log-rate" and model != LogNormal.name):
        raise OptionError(
            f"space is {space!r} for model {model!r}; accepted are 'distance' and, "
            "for 'log-normal' only, 'log-rate'."
        )
    rate, measured = _pairs(rates, distances)
    inner = (measured > EXTREME) & (measured < 1 - EXTREME)
    if np.unique(rate[inner]).size < 2:
        raise DataError(
            f"{int(inner.sum())} of {measured.size} points have D strictly between 0 and 1; a fit "
            "wants two at different rates: measure at rates closer to the transition."
        )
    if space == "log-rate":
        return _fit_log_rate(rate[inner], measured[inner])
    return _fit_distance(rate, measured, inner, MODELS[model])


def _pairs(rates: ArrayLike, distances: ArrayLike) -> tuple[Floats, Floats]:
    rate = np.asarray(rates, np.float64)
    measured = np.asarray(distances, np.float64)
    if rate.ndim != 1 or rate.shape != measured.shape:
        raise DataError(
            f"rates and distances have shapes {rate.shape} and {measured.shape}; "
            "give two lists of the same length."
        )
    if not np.all((rate > 0) & np.isfinite(rate)):
        raise DataError("rates hold a value that is not above 0 and finite; leave it out.")
    known = ~np.isnan(measured)
    rate, measured = rate[known], measured[known]
    if not np.all((measured >= 0) & (measured <= 1)):
        raise DataError("distances hold a value outside [0, 1]; give fractions.")
    return rate, measured


def _fit_log_rate(rate: Floats, measured: Floats) -> TransitionFit:
    z: Floats = special.ndtri(measured)
    design = np.stack([np.ones_like(z), z], axis=1)
    (mu, sigma), _, rank, _ = np.linalg.lstsq(design, np.log(rate), rcond=_RCOND)
    if rank < 2 or not sigma > 0:
        raise DataError(
            "distances do not grow with the rate, so sigma is not above 0; measure on more "
            "samples or over a wider range of rates."
        )
    residuals = np.log(rate) - design @ (mu, sigma)
    return _result(LogNormal(float(mu), float(sigma)), rate, measured, residuals, design)


def _fit_distance(
    rate: Floats, measured: Floats, inner: np.ndarray, kind: type[Transition]
) -> TransitionFit:
    is_log_normal = kind is LogNormal

    def build(point: Floats) -> Transition:
        first = float(point[0]) if is_log_normal else math.exp(point[0])
        return kind(first, math.exp(point[1]))

    def residuals(point: Floats) -> Floats:
        return build(point).distance(rate) - measured

    # The cost has flat parts where D is 0 or 1, in which a search ends at once. Many starts cost
    # little, as only the two best are followed.
    from scipy import optimize  # takes half a second, and only fits need it

    starts = sorted(
        _starts(rate, measured, inner, is_log_normal),
        key=lambda start: float(np.sum(residuals(start) ** 2)),
    )
    found = [
        optimize.least_squares(residuals, start, bounds=(start - _REACH, start + _REACH))
        for start in starts[:2]
    ]
    best = min(found, key=lambda result: float(result.cost))
    fitted = build(best.x)
    scale = np.array([1.0 if is_log_normal else fitted.mu, fitted.sigma])
    return _result(fitted, rate, measured, best.fun, best.jac / scale)


def _starts(rate: Floats, measured: Floats, inner: np.ndarray, is_log_normal: bool) -> list[Floats]:
    """Return initial values `(mu or ln mu, ln sigma)` that put D = 1/2 where it was measured."""
    half = rate[np.argmin(np.abs(measured - 0.5))]
    if is_log_normal:
        starts = [np.array([math.log(half), math.log(width)]) for width in _WIDTHS]
        try:
            fitted = _fit_log_rate(rate[inner], measured[inner]).model
        except DataError:
            return starts
        return [*starts, np.array([fitted.mu, math.log(fitted.sigma)])]
    # A unit that changes with probability q of mu units: q = 1 - 2^(-1/mu), nearly sigma eta / pi.
    return [
        np.array([math.log(units), math.log(-math.expm1(-math.log(2.0) / units) * 3.0 / half)])
        for units in _UNIT_STARTS
    ]


def _result(
    model: Transition, rate: Floats, measured: Floats, residuals: Floats, jacobian: np.ndarray
) -> TransitionFit:
    """Join the model with its errors: covariance s^2 (J^T J)^-1, s^2 = sum r^2 / (n - 2)."""
    freedom = rate.size - 2
    errors = (math.inf, math.inf)
    if freedom > 0:
        variance = float(np.sum(residuals**2)) / freedom
        covariance = variance * np.linalg.pinv(jacobian.T @ jacobian)
        errors = (math.sqrt(max(covariance[0, 0], 0)), math.sqrt(max(covariance[1, 1], 0)))
    rmse = float(np.sqrt(np.mean((model.distance(rate) - measured) ** 2)))
    return TransitionFit(model, errors, rmse, int(rate.size))
