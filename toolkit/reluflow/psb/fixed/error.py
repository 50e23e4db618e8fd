"""The error of bytes: the format that holds a range, and what another one costs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reluflow.psb.activation import MAX_EXPONENT
from reluflow.psb.fixed.chain import FixedFormat

_TOP = 255
_BLOCK = 1 << 16
"""Values at a time: their errors then stay in the processor's cache."""


def widest_format(lowest: float, highest: float, zero: int) -> FixedFormat:
    """Return the finest format of a zero point that holds a range without clamping.

    Args:
        lowest: least value, finite; values below 0 are clamped anyway where `zero` is 0.
        highest: largest value, finite.
        zero: the byte of the value 0, 0 or 128.

    Returns:
        The format with the largest exponent within -100..100; exponent 0 for a range of zeros.

    Raises:
        OptionError: there is no such zero point.

    Example:
        >>> widest_format(0.0, 6.0, 0), widest_format(-1.0, 0.5, 128)
        (FixedFormat(exponent=5, zero=0), FixedFormat(exponent=7, zero=128))

    Reference: docs/psb-ops.md, chains.
    """
    fitting = [
        _largest_exponent(value, room)
        for value, room in ((highest, _TOP - zero), (-lowest, zero))
        if value > 0 and room
    ]
    return FixedFormat(max(-MAX_EXPONENT, min([MAX_EXPONENT, *fitting])) if fitting else 0, zero)


def _largest_exponent(value: float, room: int) -> int:
    """Return the largest f with value 2^f <= room, both above 0."""
    mantissa, exponent = math.frexp(value)
    bits = room.bit_length()
    return bits - exponent - (math.ldexp(mantissa, bits) > room)


def squared_error(x: NDArray[np.float32], form: FixedFormat) -> float:
    """Return the sum of (byte's value - x)^2 over a tensor that is stored in a format.

    Args:
        x: float32, any shape, finite.
        form: the format; values are rounded to it half to even and clamped.

    Example:
        >>> squared_error(np.array([0.25, 300.0, -1.0], np.float32), FixedFormat(0, 0))
        2026.0625

    Reference: docs/psb-ops.md, chains.
    """
    scale, step = np.float32(2.0**form.exponent), np.float32(2.0**-form.exponent)
    lowest, highest = np.float32(-form.zero), np.float32(_TOP - form.zero)
    flat, total = x.reshape(-1), 0.0
    with np.errstate(over="ignore"):
        for start in range(0, flat.size, _BLOCK):
            part = flat[start : start + _BLOCK]
            q = part * scale
            np.rint(q, out=q)
            np.clip(q, lowest, highest, out=q)
            q *= step
            q -= part
            total += float(np.dot(q.astype(np.float64), q))
    return total
