"""Theorem 1 of the thesis (eq. 3.18) against layers drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reluflow.errors import OptionError
from reluflow.temperature.transition import ArctanTransition, Floats

_CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Theorem1Check:
    """How often the patterns of random layers change, compared with Theorem 1.

    `check_theorem_1` returns it.

    Attributes:
        rates: `(n,)` learning rates.
        measured: `(n,)` D over the drawn layers, a fraction in [0, 1].
        predicted: `(n,)` D of the arctan model with mu = d and sigma = sigma_g / sigma_c.
        p_values: `(n,)` two-sided, of the binomial test of one against the other.
        samples: layers drawn for each rate.
    """

    rates: Floats
    measured: Floats
    predicted: Floats
    p_values: Floats
    samples: int

    @property
    def p_value(self) -> float:
        """Probability under Theorem 1 that any of the rates differs this much (Bonferroni)."""
        return float(min(1.0, self.p_values.min() * self.p_values.size))


def check_theorem_1(
    units: int,
    fan_in: int,
    rates: ArrayLike,
    *,
    weight_std: float = 1.0,
    gradient_std: float = 1.0,
    samples: int = 2000,
    seed: int = 0,
) -> Theorem1Check:
    r"""Draw layers y = W x and steps W - eta dW, count changed patterns, compare with (3.18).

    W, dW and x are normal and drawn anew for every sample and rate, without biases, so the
    samples are independent and the number of changes is binomial. Testing at level a raises a false
    alarm for at most a share a of all seeds.

    Args:
        units: d, units of the layer.
        fan_in: inputs of the layer.
        rates: `(n,)` learning rates from 0 on.
        weight_std: standard deviation of a weight (sigma_c is this times |x|).
        gradient_std: of a gradient (sigma_g is this times |x|).
        samples: layers drawn for each rate.
        seed: of the random numbers.

    Returns:
        Measured and predicted D, with p values.

    Raises:
        OptionError: a size below 1 or a deviation that is not above 0.

    Example:
        >>> check = check_theorem_1(8, 16, [0.05, 0.2], samples=500, seed=1)
        >>> check.p_value > 1e-6
        True
    """
    from scipy import stats  # takes half a second, and only this check needs it

    sizes = {"units": units, "fan_in": fan_in, "samples": samples}
    for name, size in sizes.items():
        if size < 1:
            raise OptionError(f"{name} is {size}; give a whole number from 1 on.")
    for name, std in {"weight_std": weight_std, "gradient_std": gradient_std}.items():
        if not std > 0:
            raise OptionError(f"{name} is {std}; give a number above 0.")
    grid = np.atleast_1d(np.asarray(rates, np.float64))
    random = np.random.default_rng(seed)
    counts = [
        _changed(random, units, fan_in, rate * gradient_std / weight_std, samples) for rate in grid
    ]
    predicted = ArctanTransition(float(units), gradient_std / weight_std).distance(grid)
    p_values = [
        stats.binomtest(count, samples, float(chance)).pvalue
        for count, chance in zip(counts, predicted, strict=True)
    ]
    return Theorem1Check(grid, np.array(counts) / samples, predicted, np.array(p_values), samples)


def _changed(
    random: np.random.Generator, units: int, fan_in: int, scaled_rate: float, samples: int
) -> int:
    """Return how many of `samples` random layers change the sign of any unit."""
    changed = 0
    for start in range(0, samples, _CHUNK):
        n = min(_CHUNK, samples - start)
        x = random.standard_normal((n, fan_in, 1))
        before = random.standard_normal((n, units, fan_in)) @ x
        gradient = random.standard_normal((n, units, fan_in)) @ x
        after = before - scaled_rate * gradient
        changed += int(np.any((before > 0) != (after > 0), axis=(1, 2)).sum())
    return changed
