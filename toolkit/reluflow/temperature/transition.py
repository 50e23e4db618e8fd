"""Three models of how D grows with the learning rate (thesis 3.2.3)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reluflow.errors import DataError

Floats = NDArray[np.float64]
_LN2 = math.log(2.0)


_MOST_CHANCE = 0.5
"""A step of any size leaves a unit where it was in half of the cases, by chance."""


@dataclass(frozen=True, slots=True)
class Transition(ABC):
    """The soft transition from D = 0 to D = 1 as a function of the learning rate.

    Attributes:
        mu: place of the transition (log-normal: natural logarithm of a rate), or the
            number of units that act on their own (the other two models; above 0).
        sigma: width (log-normal) or the scale of the rate (the other two); above 0.

    Raises:
        DataError: sigma is not above 0, or mu lies outside its range.

    Example:
        >>> models = [LogNormal(-2.0, 1.5), ErfTransition(64.0, 0.1), ArctanTransition(64.0, 0.1)]
        >>> [round(float(model.distance(model.rate(0.75))), 9) for model in models]
        [0.75, 0.75, 0.75]
        >>> [round(float(model.temperature(model.rate_at(2.0))), 9) for model in models]
        [2.0, 2.0, 2.0]
    """

    mu: float
    sigma: float

    name: ClassVar[str]
    _mu_is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse parameters outside their range.

        Raises:
            DataError: with the parameter, its value and what is accepted.
        """
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise DataError(f"sigma is {self.sigma}; give a finite number above 0.")
        if not math.isfinite(self.mu) or (self._mu_is_positive and self.mu <= 0):
            above = " above 0" if self._mu_is_positive else ""
            raise DataError(f"mu is {self.mu}; give a finite number{above}.")

    @abstractmethod
    def _log_survival(self, rate: Floats) -> Floats:
        """Return ln(1 - D) at `rate`."""

    @abstractmethod
    def _rate_of_log_survival(self, log_survival: Floats) -> Floats:
        """Return the rate at which ln(1 - D) is `log_survival`."""

    def distance(self, rate: ArrayLike) -> Floats:
        """Return D, a fraction in [0, 1].

        Args:
            rate: learning rates from 0 on, any shape.

        Returns:
            Fractions of the same shape.

        Raises:
            DataError: a rate below 0, or NaN.
        """
        return -np.expm1(self._log_survival(_rates(rate))) + 0.0

    def temperature(self, rate: ArrayLike) -> Floats:
        """Return T = -log2(1 - D) in bits; more exact than `distance` where D is close to 1.

        Args:
            rate: learning rates from 0 on, any shape.

        Returns:
            Bits of the same shape.

        Raises:
            DataError: a rate below 0, or NaN.
        """
        return -self._log_survival(_rates(rate)) / _LN2 + 0.0

    def rate(self, distance: ArrayLike) -> Floats:
        """Return the learning rate at which D is `distance`, the inverse of `distance`.

        Args:
            distance: fractions in [0, 1], any shape.

        Returns:
            Rates of the same shape: 0 for D = 0, infinite where the model never gets there.

        Raises:
            DataError: a value outside [0, 1].
        """
        wanted = np.asarray(distance, np.float64)
        if not np.all((wanted >= 0) & (wanted <= 1)):
            raise DataError(f"distance is {wanted.tolist()}; give fractions in [0, 1].")
        with np.errstate(divide="ignore"):
            return self._rate_of_log_survival(np.log1p(-wanted))

    def rate_at(self, temperature: ArrayLike) -> Floats:
        """Return the learning rate at which T is `temperature`, the inverse of `temperature`.

        Args:
            temperature: bits from 0 on, any shape; beyond 53 bits, where D is 1 in double
                precision, the rate is still right.

        Returns:
            Rates of the same shape.

        Raises:
            DataError: a negative value or NaN.
        """
        bits = np.asarray(temperature, np.float64)
        if not np.all(bits >= 0):
            raise DataError(f"temperature is {bits.tolist()}; give bits from 0 on.")
        return self._rate_of_log_survival(-bits * _LN2)

    def to_dict(self) -> dict[str, Any]:
        """Return name and parameters, ready for JSON."""
        return {"name": self.name, "mu": self.mu, "sigma": self.sigma}


class LogNormal(Transition):
    r"""D = 1/2 (1 + erf((ln eta - mu) / (sigma sqrt 2))) (eq. 3.17; sign of mu as in A.4).

    Example:
        >>> model = LogNormal(mu=-2.0, sigma=0.5)
        >>> float(model.distance(np.exp(-2.0)))
        0.5
        >>> round(float(np.log(model.rate(0.5))), 12)
        -2.0
    """

    __slots__ = ()
    name = "log-normal"
    _mu_is_positive = False

    def distance(self, rate: ArrayLike) -> Floats:
        """Return D, a fraction in [0, 1], at learning rates from 0 on; exact in both tails."""
        result: Floats = special.ndtr(self._standard(_rates(rate)))
        return result

    def _standard(self, rate: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return (np.log(rate) - self.mu) / self.sigma

    def _log_survival(self, rate: Floats) -> Floats:
        result: Floats = special.log_ndtr(-self._standard(rate))
        return result

    def rate(self, distance: ArrayLike) -> Floats:
        """Return the learning rate at which D is `distance`; exact in the lower tail.

        Args:
            distance: fractions in [0, 1], any shape.

        Returns:
            Rates of the same shape: 0 for D = 0, infinite for D = 1.

        Raises:
            DataError: a value outside [0, 1].
        """
        wanted = np.asarray(distance, np.float64)
        if not np.all((wanted >= 0) & (wanted <= 1)):
            raise DataError(f"distance is {wanted.tolist()}; give fractions in [0, 1].")
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.mu + self.sigma * special.ndtri(wanted)))

    def _rate_of_log_survival(self, log_survival: Floats) -> Floats:
        # ndtri_exp is exact for ln(1 - D) far below 0; close to 0 the lower tail is.
        near = np.maximum(log_survival, -_LN2)
        z = np.where(
            log_survival < -_LN2,
            -special.ndtri_exp(np.minimum(log_survival, -_LN2)),
            special.ndtri(-np.expm1(near)),
        )
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.mu + self.sigma * z))


def normal_score(temperature: float) -> float:
    """Return the standard normal z with D = Phi(z) at one temperature, for use at every step.

    z = Phi^-1(1 - 2^-T), so that the log-normal model's rate is exp(mu + sigma z).

    Args:
        temperature: bits from 0 on.

    Returns:
        A number; minus infinity at 0 bits.

    Example:
        >>> normal_score(1.0)
        0.0
    """
    if temperature > 1.0:
        return -float(special.ndtri_exp(-temperature * _LN2))
    return float(special.ndtri(-math.expm1(-temperature * _LN2)))


class _PerUnit(Transition):
    """D = 1 - (1 - q(sigma eta))^mu: mu units, each changing with probability q <= 1/2."""

    __slots__ = ()

    @staticmethod
    @abstractmethod
    def _chance(scaled: Floats) -> Floats:
        """Return q of one unit."""

    @staticmethod
    @abstractmethod
    def _inverse_chance(chance: Floats) -> Floats:
        """Return sigma eta at which one unit changes with probability `chance` < 1/2."""

    def _log_survival(self, rate: Floats) -> Floats:
        return self.mu * np.log1p(-self._chance(self.sigma * rate))

    def _rate_of_log_survival(self, log_survival: Floats) -> Floats:
        chance = -np.expm1(log_survival / self.mu)
        reachable = chance < _MOST_CHANCE
        scaled = self._inverse_chance(np.where(reachable, chance, 0.0))
        return np.where(reachable, scaled / self.sigma, np.inf)


class ErfTransition(_PerUnit):
    """D = 1 - (1 - 1/2 erf(sigma eta / sqrt 2))^mu (eq. 3.40).

    T stays below mu bits at any rate.

    Example:
        >>> model = ErfTransition(mu=64.0, sigma=0.1)
        >>> round(float(model.distance(model.rate(0.25))), 12)
        0.25
    """

    __slots__ = ()
    name = "erf"

    @staticmethod
    def _chance(scaled: Floats) -> Floats:
        result: Floats = 0.5 * special.erf(scaled / math.sqrt(2.0))
        return result

    @staticmethod
    def _inverse_chance(chance: Floats) -> Floats:
        result: Floats = math.sqrt(2.0) * special.erfinv(2.0 * chance)
        return result


class ArctanTransition(_PerUnit):
    """D = 1 - (1 - arctan(sigma eta) / pi)^mu (eq. 3.41, with +mu as in Theorem 1).

    Theorem 1 gives mu = d, the number of units, and sigma = sigma_g / sigma_c.
    T stays below mu bits at any rate.

    Example:
        >>> round(float(ArctanTransition(mu=1.0, sigma=2.0).distance(0.5)), 12)
        0.25
    """

    __slots__ = ()
    name = "arctan"

    @staticmethod
    def _chance(scaled: Floats) -> Floats:
        return np.arctan(scaled) / math.pi

    @staticmethod
    def _inverse_chance(chance: Floats) -> Floats:
        return np.tan(math.pi * chance)


MODELS: dict[str, type[Transition]] = {
    model.name: model for model in (LogNormal, ErfTransition, ArctanTransition)
}


def transition_from_dict(values: dict[str, Any]) -> Transition:
    """Return the model that `to_dict` described.

    Args:
        values: `name`, `mu` and `sigma`.

    Raises:
        DataError: an unknown name or a missing parameter.

    Example:
        >>> transition_from_dict({"name": "log-normal", "mu": -2.0, "sigma": 1.5})
        LogNormal(mu=-2.0, sigma=1.5)
    """
    name = values.get("name")
    if name not in MODELS:
        raise DataError(f"model is {name!r}; accepted are {', '.join(MODELS)}.")
    if not {"mu", "sigma"} <= values.keys():
        raise DataError(f"the description of a model is {values}; give mu and sigma too.")
    return MODELS[name](float(values["mu"]), float(values["sigma"]))


def _rates(rate: ArrayLike) -> Floats:
    rates = np.asarray(rate, np.float64)
    if not np.all(rates >= 0):
        raise DataError(f"rate is {rates.tolist()}; give learning rates from 0 on.")
    return rates
