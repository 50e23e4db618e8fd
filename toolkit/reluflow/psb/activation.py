"""Fixed-point activations: one power-of-two scale for a tensor, saturation counted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reluflow.psb._check import X_BITS_RANGE, check_range

MAX_EXPONENT = 100
"""Bound of |f|: 2^f and 2^-f are then normal numbers of float32, which end at 2^-126."""


def activation_exponent(x: NDArray[np.float32], x_bits: int = 12) -> int:
    """Return the largest integer f with max |x| 2^f <= 2^(x_bits - 1) - 1, within -100..100.

    Values that are not finite are ignored; the result is 0 where only zeros are left.

    Args:
        x: float32, any shape.
        x_bits: bits of the fixed-point numbers, sign included, 2 to 16.

    Raises:
        OptionError: x_bits is out of range.

    Example:
        >>> activation_exponent(np.array([2047.0, 1.0], np.float32))
        0

    Reference: docs/psb-ops.md, activations.
    """
    check_range("x_bits", x_bits, *X_BITS_RANGE)
    largest = float(np.max(np.abs(x), where=np.isfinite(x), initial=0.0))
    if largest == 0:
        return 0
    mantissa, exponent = math.frexp(largest)
    f = x_bits - 1 - exponent
    if math.ldexp(mantissa, x_bits - 1) > (1 << (x_bits - 1)) - 1:
        f -= 1
    return _clamped(f)


def _clamped(f: int) -> int:
    return max(-MAX_EXPONENT, min(MAX_EXPONENT, f))


def quantise_activation(
    x: NDArray[np.float32], x_bits: int = 12, exponent: int | None = None
) -> tuple[NDArray[np.int16], int, int]:
    """Return the fixed-point numbers of a tensor, their exponent f and the saturated count.

    x_int = clamp(round half to even(x 2^f), -L, L), L = 2^(x_bits - 1) - 1; NaN becomes 0.

    Args:
        x: float32, any shape.
        x_bits: bits of the fixed-point numbers, sign included, 2 to 16.
        exponent: f, clamped to -100..100; None takes it from the tensor's largest finite
            magnitude.

    Returns:
        int16 shaped like `x`, f, and how many values were clamped (infinities included,
        NaN not).

    Raises:
        OptionError: x_bits is out of range.

    Example:
        >>> quantise_activation(np.array([0.5, -1.0, np.inf], np.float32), 4)
        (array([ 2, -4,  7], dtype=int16), 2, 1)

    Reference: docs/psb-ops.md, activations; docs/spec.md, section 7.
    """
    check_range("x_bits", x_bits, *X_BITS_RANGE)
    f = activation_exponent(x, x_bits) if exponent is None else _clamped(int(exponent))
    limit = (1 << (x_bits - 1)) - 1
    rounded = np.rint(np.ldexp(x.astype(np.float64), f))
    rounded[np.isnan(rounded)] = 0
    saturated = int(np.count_nonzero(np.abs(rounded) > limit))
    return np.clip(rounded, -limit, limit).astype(np.int16), f, saturated
