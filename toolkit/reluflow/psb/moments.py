"""Mean and variance of a sampled weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.psb._check import resolve_samples
from reluflow.psb.codec import PsbCode
from reluflow.psb.sampling import draws, probability16


def weight_mean(code: PsbCode, samples: int, sampler: str = "systematic") -> NDArray[np.float64]:
    """Return the mean of every sampled weight, in the stored shape.

    s 2^e (1 + p) for the unbiased samplers, s 2^e (1 + k / n) for nearest. For j > 13 - log2 n
    the rounding to whole w' may move it by up to 2^(emax - 14) more.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".

    Raises:
        OptionError: an option is not among the accepted ones.

    Reference: thesis eq. 4.8 and 4.2.1.
    """
    n, _, sampler = resolve_samples(samples, sampler)
    share = probability16(code) / 65536
    if sampler == "nearest":
        share = draws(code, n, "nearest") / n
    magnitude: NDArray[np.float64] = np.ldexp(1.0 + share, code.exponent)
    return code.sign * magnitude


def weight_variance(
    code: PsbCode, samples: int, sampler: str = "systematic"
) -> NDArray[np.float64]:
    """Return the variance of every sampled weight, in the stored shape.

    binomial: 2^(2e) p (1 - p) / n <= w^2 / (8 n); systematic: 2^(2e) g (1 - g) / n^2 with g
    the fraction of n p, <= 2^(2e) / (4 n^2); nearest: 0. As in `weight_mean`, the rounding of
    weights with j > 13 - log2 n comes on top.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".

    Raises:
        OptionError: an option is not among the accepted ones.

    Reference: thesis eq. 4.10 and 4.11; SPEC section 7, samplers.
    """
    n, _, sampler = resolve_samples(samples, sampler)
    p16 = probability16(code)
    if sampler == "nearest":
        return np.zeros(code.shape)
    p = p16 / 65536 if sampler == "binomial" else (n * p16 % 65536) / 65536
    trials = n if sampler == "binomial" else n * n
    unit = np.where(code.nibble == 0, 0.0, np.ldexp(1.0, 2 * code.exponent))
    return unit * p * (1 - p) / trials
