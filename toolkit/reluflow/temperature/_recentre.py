"""What one probe says about mu (thesis A.4, step 6).

Eq. 3.44 is taken with the sign of docs/spec.md, section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from reluflow.temperature.fit import EXTREME
from reluflow.temperature.transition import LogNormal

_RESOLVED_COUNT = 10.0
_ASSUMED_SAMPLES = 100
_NOISE_DEVIATIONS, _NOISE_COUNT = 4.0, 3.0
"""A count up to E + 4 sqrt(E) + 3 passes for noise: a Poisson count of mean E < 10 exceeds it in
less than 2 of 100,000 probes. The 3 is for small E, whose counts are skewed upwards."""
_MIDDLE = 0.5
"""D at which half of the patterns change: exp(mu) is the rate there."""
_FURTHEST_Z = 30.0
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Recentred:
    """Outcome of a probe.

    Attributes:
        mu: the new mu.
        is_contradiction: every pattern changed, or none did, where the model expected otherwise.
    """

    mu: float
    is_contradiction: bool = False


def recentre(model: LogNormal, rate: float, distance: float, samples: int | None) -> Recentred:
    """Return mu after D = `distance` was measured on a step with `rate`.

    Normally mu = ln eta - sigma z(D), which is justified since sigma changes slowly. Two cases
    differ:

    - The samples are known and fewer than 10 changed (or unchanged) ones are expected, as at the
      end of every schedule. z of such a small count is noisy and skewed. There mu follows the
      difference of measured and expected count in the linear approximation, damped by E / (E + 1):
      right on average, and moderate for a single sample.
    - D is 0 or 1. It says only on which side of the model the network is, so mu moves to
      the bound that n samples set, z(1/(2n)) or z(1 - 1/(2n)), and only outwards. Where that
      changes mu, the probe contradicts the model and a full fit is wanted.

    Args:
        model: before the probe.
        rate: of the step.
        distance: D, a fraction in [0, 1].
        samples: n, samples behind D, where known; else D = 0 or 1 counts as of 100.
    """
    z = (math.log(rate) - model.mu) / model.sigma
    if samples is not None:
        rare = samples * float(special.ndtr(-abs(z)))
        surplus = samples * (distance - float(special.ndtr(z)))
        noise = _NOISE_DEVIATIONS * math.sqrt(rare) + _NOISE_COUNT
        if rare < _RESOLVED_COUNT and abs(surplus) <= noise:
            return Recentred(model.mu - model.sigma * _mills(z) * surplus / (rare + 1.0))
    if EXTREME < distance < 1.0 - EXTREME:
        return Recentred(math.log(rate) - model.sigma * float(special.ndtri(distance)))
    edge = float(special.ndtri(0.5 / (samples or _ASSUMED_SAMPLES)))
    # Only outwards: a D of 0 or 1 within reach of the model agrees with it and teaches nothing.
    if distance < _MIDDLE:
        bound = max(model.mu, math.log(rate) - model.sigma * edge)
    else:
        bound = min(model.mu, math.log(rate) + model.sigma * edge)
    return Recentred(bound, bound != model.mu)


def _mills(z: float) -> float:
    """Return the tail beyond |z| over the density at z, nearly 1 / |z|."""
    far = min(abs(z), _FURTHEST_Z)
    return math.exp(float(special.log_ndtr(-far)) + 0.5 * far * far + _LOG_SQRT_2PI)
