"""Mean and variance of a sampled weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.psb._check import resolve_samples
from reluflow.psb.codec import LARGEST_NIBBLE, PsbCode
from reluflow.psb.sampling import (
    P16_BITS,
    SCALE_BITS,
    SMALL_BITS,
    probability16,
    sampled_weights,
    small_values,
)

_FULL = 1 << P16_BITS
"""The probability 1, in the units of probability16."""


def weight_mean(code: PsbCode, samples: int, sampler: str = "systematic") -> NDArray[np.float64]:
    """Return the mean of every sampled weight, in the stored shape.

    s 2^e (1 + p) for the unbiased samplers; for nearest the only value that it gives. Codes with
    rounding "half" may miss it by up to 2^(emax - 14) more where j > 13 - log2 n.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".

    Raises:
        OptionError: an option is not among the accepted ones.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[1.25, -3.0]]), p_bits=4)
        >>> weight_mean(code, samples=1).tolist(), weight_mean(code, 1, "nearest").tolist()
        ([[1.25, -3.0]], [[1.0, -4.0]])

    Reference: thesis eq. 4.8 and 4.2.1.
    """
    n, _, sampler = resolve_samples(samples, sampler)
    if sampler == "nearest":
        return sampled_weights(code, n, "nearest")
    share = probability16(code) / _FULL
    magnitude: NDArray[np.float64] = np.ldexp(1.0 + share, code.exponent)
    return code.sign * magnitude


def weight_variance(
    code: PsbCode, samples: int, sampler: str = "systematic"
) -> NDArray[np.float64]:
    """Return the variance of every sampled weight, in the stored shape.

    binomial: 2^(2e) p (1 - p) / n <= w^2 / (8 n); systematic: 2^(2e) g (1 - g) / n^2 with g
    the fraction of n p, <= 2^(2e) / (4 n^2); nearest: 0. For j > 13 - log2 n, whatever the
    sampler: 2^(2 emax - 26) g (1 - g), g the fraction of (1 + p) 2^(13 - j); with rounding "half"
    the effect of rounding on these is added to the formulas instead.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".

    Raises:
        OptionError: an option is not among the accepted ones.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[1.5, 1.0]]), p_bits=4)
        >>> weight_variance(code, 1).tolist(), weight_variance(code, 2).tolist()
        ([[0.25, 0.0]], [[0.0, 0.0]])

    Reference: thesis eq. 4.10 and 4.11; docs/spec.md, section 7, samplers.
    """
    n, log2_n, sampler = resolve_samples(samples, sampler)
    p16 = probability16(code)
    if sampler == "nearest":
        return np.zeros(code.shape)
    p = p16 / _FULL if sampler == "binomial" else (n * p16 % _FULL) / _FULL
    trials = n if sampler == "binomial" else n * n
    unit = np.where(code.nibble == 0, 0.0, np.ldexp(1.0, 2 * code.exponent))
    variance: NDArray[np.float64] = unit * p * (1 - p) / trials
    shifted_out = (LARGEST_NIBBLE - code.nibble > SCALE_BITS - log2_n) & (code.nibble > 0)
    if code.rounding == "carried" and shifted_out.any():
        g = (np.abs(small_values(code)) % (1 << SMALL_BITS)) / (1 << SMALL_BITS)
        step = np.ldexp(1.0, 2 * (code.emax.astype(np.int64) - SCALE_BITS))
        step = step.reshape(-1, *[1] * (g.ndim - 1))
        variance = np.where(shifted_out, step * g * (1 - g), variance)
    return variance
