"""The sums at the end of a program: whole numbers of 32 bits, all of one exponent."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reluflow.psb import LARGEST_NIBBLE, PsbCode
from reluflow.psb.fixed import GRID_BITS, FixedFormat

_MOST_BITS = 29
"""A sum and a bias stay below 2^29 each, so that 32 bits hold both."""
_MOST_BYTE = 255
_MOST_WEIGHT = (1 << (GRID_BITS + 1)) - 1
_MOST_SHIFT = 30
_MOST_EXPONENT = 200


def largest_sums(code: PsbCode, x_form: FixedFormat) -> NDArray[np.int64]:
    """Return a bound of every channel's |sum| over all draws and inputs, `(channels,)`.

    Args:
        code: of the weights.
        x_form: of the bytes that they multiply.
    """
    j = LARGEST_NIBBLE - code.nibble.astype(np.int64)
    # No draw lies beyond the next multiple of the largest step, that of one sample.
    most = np.minimum(2 << np.maximum(GRID_BITS - j, 0), _MOST_WEIGHT)
    total = np.where(code.nibble == 0, 0, most).reshape(len(code.words), -1).sum(axis=1)
    bound: NDArray[np.int64] = total * max(_MOST_BYTE - x_form.zero, x_form.zero)
    return bound


def end_exponent(code: PsbCode, bias: NDArray[np.float32], x_form: FixedFormat) -> int:
    """Return F: the sums of an end stand for v 2^-F.

    F is the largest number with which |a| 2^(emax - 6 - f + F) and |B| 2^F of every channel are
    below 2^29, over all draws and inputs.

    Args:
        code: of the weights.
        bias: `(channels,)` float32.
        x_form: of the bytes.
    """
    unit = code.emax.astype(np.int64) - GRID_BITS - x_form.exponent
    bounds = [
        _MOST_BITS - math.ceil(math.log2(most)) - int(power)
        for most, power in zip(largest_sums(code, x_form).tolist(), unit.tolist(), strict=True)
        if most > 0
    ]
    finite = np.abs(bias[np.isfinite(bias) & (bias != 0)].astype(np.float64))
    if finite.size:
        bounds.append(_MOST_BITS - 1 - math.floor(math.log2(finite.max())))
    return max(-_MOST_EXPONENT, min([*bounds, _MOST_EXPONENT]))


def end_scales(
    code: PsbCode, bias: NDArray[np.float32], x_form: FixedFormat, exponent: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what turns a channel's sum into the common exponent.

    Args:
        code: of the weights.
        bias: `(channels,)` float32.
        x_form: of the bytes.
        exponent: F.

    Returns:
        Bits to the left (negative: to the right, rounded half up, at most 30) and the bias in units
        of 2^-F, rounded half to even, `(channels,)` each.
    """
    up = code.emax.astype(np.int64) - GRID_BITS - x_form.exponent + exponent
    most = float(1 << _MOST_BITS)
    with np.errstate(over="ignore"):
        scaled = np.ldexp(np.nan_to_num(bias.astype(np.float64), nan=0.0), exponent)
    whole = np.rint(np.clip(scaled, -most, most)).astype(np.int64)
    return np.clip(up, -_MOST_SHIFT, _MOST_BITS), whole


def aligned(
    total: NDArray[np.int64], up: NDArray[np.int64], bias: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the sums of an end.

    Args:
        total: exact sums, `(channels, pixels)`.
        up: of `end_scales`, `(channels,)`.
        bias: of `end_scales`, `(channels,)`.
    """
    left, right = np.maximum(up, 0)[:, None], np.maximum(-up, 0)[:, None]
    moved = ((total << left) + ((np.int64(1) << right) >> 1)) >> right
    found: NDArray[np.int64] = moved + bias[:, None]
    return found


SOFTMAX_BITS = 15
"""Probabilities are whole numbers of 2^-15."""
_FRACTION_BITS = 8
"""Bits of an exponent of 2 behind the point."""
_FINE_BITS = 12
"""Bits behind the point of a difference of logits."""
_MOST_FINE = (1 << 16) - 1
LOG2_E, LOG2_E_BITS = 47274, 15
"""log2(e) in units of 2^-15."""
_ONE_BITS = 16


def power_table() -> NDArray[np.uint16]:
    """Return 2^-(i / 256) in units of 2^-16 for i from 0 to 255, at most 65535; `(256,)`."""
    steps = np.arange(1 << _FRACTION_BITS) / (1 << _FRACTION_BITS)
    table = np.minimum(np.rint(2.0 ** (_ONE_BITS - steps)), _MOST_FINE)
    return table.astype(np.uint16)


def sigmoid(logits: NDArray[np.int64], exponent: int) -> NDArray[np.int64]:
    """Return probabilities of yes, in units of 2^-15: `softmax` of 0 and each logit.

    Args:
        logits: whole numbers of 32 bits, of any shape.
        exponent: F; a logit is v 2^-F.
    """
    return softmax(np.stack([np.zeros_like(logits), logits], axis=-1), exponent)[..., 1]


def softmax(logits: NDArray[np.int64], exponent: int) -> NDArray[np.int64]:
    """Return probabilities along the last axis, in units of 2^-15, rounded half up.

    d = the largest logit minus a logit, in units of 2^-12, at most 2^16 - 1; its power of two is
    d log2(e), rounded to 8 bits behind the point; a weight is 2^-that in units of 2^-16, cut off;
    a probability is the weight over the sum of all.

    Args:
        logits: `(..., classes)` whole numbers of 32 bits.
        exponent: F; a logit is v 2^-F.
    """
    away = logits.max(axis=-1, keepdims=True) - logits
    shift = exponent - _FINE_BITS
    if shift > 0:
        fine = away >> min(shift, _MOST_SHIFT + 1)
    else:
        fine = np.minimum(away, _MOST_FINE) << min(-shift, _ONE_BITS)
    fine = np.minimum(fine, _MOST_FINE)
    drop = _FINE_BITS + LOG2_E_BITS - _FRACTION_BITS
    power = (fine * LOG2_E + (1 << (drop - 1))) >> drop
    weight = power_table().astype(np.int64)[power & _MOST_BYTE] >> (power >> _FRACTION_BITS)
    total = weight.sum(axis=-1, keepdims=True)
    found: NDArray[np.int64] = ((weight << (SOFTMAX_BITS + 1)) + total) // (2 * total)
    return found
