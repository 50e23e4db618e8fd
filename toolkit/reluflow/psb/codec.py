"""The weight code: sign, exponent and probability of every weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.psb._check import check_choice, check_p_bits

NIBBLE_BITS = 4
"""Bits of a stored exponent."""
LARGEST_NIBBLE = (1 << NIBBLE_BITS) - 1
"""Nibble of a weight with the largest exponent of its channel, j = 0; nibble 0 is the weight 0."""
MAX_J = LARGEST_NIBBLE - 1
"""How many octaves the smallest weight that is not 0 may lie below the largest of its channel."""
N_PLANES_BESIDE_P = NIBBLE_BITS + 1
"""Bit planes of a code in addition to those of q: the nibble, then the sign."""
EMAX_MIN, EMAX_MAX = -128, 127
"""Range of an int8; float32 goes down to -149, but 2^-128 and below are subnormal."""
_NO_EXPONENT = -100_000
"""Stands for the exponent of 0: below every other, and far from overflow in a difference."""


@dataclass(frozen=True, slots=True, eq=False)
class PsbCode:
    """The code of a weight tensor, output channels first.

    A weight is `s * 2^(emax - j) * (1 + q / 2^p_bits)`, or 0 where its nibble is 0.

    Attributes:
        words: `(channels, ...)` uint32 in the stored shape; bits `0..P-1` are q, bits
            `P..P+3` the nibble (0: the weight is 0, else 15 - j), bit `P+4` the sign.
        emax: `(channels,)` int8, exponent of each channel's largest magnitude.
        p_bits: P, bits of a stored probability; 16 is "full".
        rounding: what happens to bits that a run shifts out: "carried" to the next weights, so that
            every mean is exact, or rounded "half" up, as in older models.

    Example:
        >>> code = encode(np.array([[3.0, -0.75, 0.0]]), p_bits=4)
        >>> code.sign.tolist(), code.exponent[0, :2].tolist(), code.q.tolist()
        ([[1, -1, 0]], [1, -1], [[8, 8, 0]])

    Reference: docs/psb-ops.md, weight code; thesis eq. 4.5 to 4.7 and 4.2.4.
    """

    words: NDArray[np.uint32]
    emax: NDArray[np.int8]
    p_bits: int
    rounding: str = "carried"

    @property
    def shape(self) -> tuple[int, ...]:
        """The stored shape: output channels first."""
        return self.words.shape

    @property
    def q(self) -> NDArray[np.int64]:
        """Probabilities in units of `2^-p_bits`, in the stored shape."""
        return self.words.astype(np.int64) & ((1 << self.p_bits) - 1)

    @property
    def nibble(self) -> NDArray[np.int64]:
        """Exponent nibbles, in the stored shape: 0 for a zero weight, else 15 - j."""
        return (self.words.astype(np.int64) >> self.p_bits) & LARGEST_NIBBLE

    @property
    def sign(self) -> NDArray[np.int64]:
        """Signs, in the stored shape: 1, -1 or 0 for a zero weight."""
        negative = (self.words.astype(np.int64) >> (self.p_bits + NIBBLE_BITS)) & 1
        return np.where(self.nibble == 0, 0, 1 - 2 * negative)

    @property
    def exponent(self) -> NDArray[np.int64]:
        """Exponents e = emax - j, in the stored shape; that of a zero weight has no meaning."""
        column = self.emax.astype(np.int64).reshape(-1, *[1] * (self.words.ndim - 1))
        return column - (LARGEST_NIBBLE - self.nibble)


def encode(
    weights: NDArray[Any],
    *,
    channel_axis: int = 0,
    p_bits: int,
    small: str = "zero",
    seed: int = 0,
    per_tensor: bool = False,
) -> PsbCode:
    """Return the code of a weight tensor.

    w -> s = sign(w), e = floor(log2 |w|), p = |w| / 2^e - 1, q = p rounded to nearest (ties
    to even) in units of 2^-P; the relative error of a weight is at most 2^-(P+1).

    Args:
        weights: float tensor, read as float32; any shape with at least one axis.
        channel_axis: axis of the output channels; the code stores it first (a MatMul's
            `(K, N)` with axis 1 is stored as `(N, K)`).
        p_bits: P, one of 1, 2, 3, 4, 6, 8, 16.
        small: what a weight more than 14 octaves below the largest of its channel becomes after
            rounding: "zero", "smallest" (the code 2^(emax - 14)), or "random", one of the two with
                the weight as mean.
        seed: of the random choices; used only by `small="random"`.
        per_tensor: True: all channels share the exponent of the tensor's largest magnitude.

    Returns:
        The code; `decode` gives its mean value.

    Raises:
        OptionError: weights are empty, not float, or not finite as float32; an option is
            not among the accepted ones.

    Example:
        >>> decode(encode(np.array([[3.0, -0.75, 0.0]]), p_bits=4)).tolist()
        [[3.0, -0.75, 0.0]]

    Reference: docs/psb-ops.md, weight code; thesis eq. 4.5 to 4.7.
    """
    check_p_bits(p_bits)
    check_choice("small", small, ("zero", "smallest", "random"))
    w = _channels_first(weights, channel_axis)
    # frexp is exact; a logarithm would put some powers of two into the octave below.
    mantissa, exponent = np.frexp(np.abs(w))
    e = np.where(w == 0, _NO_EXPONENT, exponent.astype(np.int64) - 1)
    emax = _largest_exponents(e, per_tensor)
    j, q = _round_probability(mantissa, emax[:, None] - e, p_bits)
    nonzero = (w != 0) & ((j <= MAX_J) | _kept_small(w, j, emax, small, seed))
    q[j > MAX_J] = 0
    nibble = LARGEST_NIBBLE - np.minimum(j, MAX_J)
    words = (w < 0).astype(np.int64) << (p_bits + NIBBLE_BITS) | nibble << p_bits | q
    stored = np.moveaxis(np.asarray(weights), channel_axis, 0).shape
    code = np.where(nonzero, words, 0).astype(np.uint32).reshape(stored)
    return PsbCode(code, emax.astype(np.int8), p_bits)


def _channels_first(weights: NDArray[Any], channel_axis: int) -> NDArray[np.float64]:
    """Return the checked weights as `(channels, weights per channel)` float64 of float32 values."""
    array = np.asarray(weights)
    if array.ndim == 0 or array.size == 0:
        raise OptionError(
            f"weights have shape {array.shape}: give at least one axis and one weight."
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise OptionError(f"weights are {array.dtype}: give a float array, e.g. float32.")
    if not -array.ndim <= channel_axis < array.ndim:
        raise OptionError(
            f"channel_axis={channel_axis} is outside weights of {array.ndim} axes: "
            f"give {-array.ndim} to {array.ndim - 1}."
        )
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    if bad := narrow.size - int(np.isfinite(narrow).sum()):
        raise OptionError(
            f"weights hold {bad} values that are NaN or beyond float32: mend or remove them first."
        )
    moved = np.moveaxis(narrow, channel_axis, 0)
    return moved.reshape(len(moved), -1).astype(np.float64)


def _largest_exponents(e: NDArray[np.int64], per_tensor: bool) -> NDArray[np.int64]:
    """Return `(channels,)` exponents of the largest magnitudes, 0 where all weights are 0."""
    largest = e.max(axis=1)
    if per_tensor:
        largest[:] = largest.max()
    return np.where(largest == _NO_EXPONENT, 0, np.maximum(largest, EMAX_MIN))


def _round_probability(
    mantissa: NDArray[np.float64], j: NDArray[np.int64], p_bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return j and q after rounding; q = 2^P carries into the exponent except at j = 0."""
    full = 1 << p_bits
    q = np.rint((2 * mantissa - 1) * full).astype(np.int64)
    carry = q == full
    # At j = 0 a carry would raise the exponent that the whole channel counts from; just below it is
    # as near.
    q[carry] = np.where(j[carry] == 0, full - 1, 0)
    return np.where(carry, np.maximum(j - 1, 0), j), q


def _kept_small(
    w: NDArray[np.float64], j: NDArray[np.int64], emax: NDArray[np.int64], small: str, seed: int
) -> NDArray[np.bool_]:
    """Return which of the weights below the smallest code become that code."""
    if small != "random":
        return np.full(w.shape, small == "smallest")
    kept = j <= MAX_J
    share = np.ldexp(np.abs(w), MAX_J - emax[:, None])[~kept]
    kept[~kept] = np.random.default_rng(seed).random(share.size) < share
    return kept


def decode(code: PsbCode) -> NDArray[np.float32]:
    """Return the mean values of a code, `(channels, ...)` in the stored shape.

    s 2^(emax - j) (1 + q / 2^P), exact in float32 for every code that `encode` made.

    Args:
        code: the weight code.

    Example:
        >>> decode(encode(np.array([[1.0, 1.3]]), p_bits=2)).tolist()
        [[1.0, 1.25]]

    Reference: thesis eq. 4.4 and 4.8.
    """
    magnitude = np.ldexp(1.0 + code.q / (1 << code.p_bits), code.exponent)
    return (code.sign * magnitude).astype(np.float32)
