"""Draw weights on the 8-bit grid of their channel: whole numbers from -127 to 127."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.psb._check import resolve_samples
from reluflow.psb.codec import LARGEST_NIBBLE, MAX_J, PsbCode
from reluflow.psb.random_bits import random_bits32
from reluflow.psb.sampling import P16_BITS, probability16

GRID_BITS = 6
"""A grid weight w stands for w 2^(emax - 6): the largest of a channel lies in 64 to 127."""
LARGEST = 127
LANES = 4
"""Input channels whose products one instruction adds; each has a carry of its own."""
_UNIT_BITS = 24
"""Bits behind the point of a mean on the grid: 16 of p, and 8 of the smallest exponent."""
_STEPS = 256
"""A draw is decided by 8 random bits."""


def grid_means(code: PsbCode) -> NDArray[np.int64]:
    """Return x of every weight, its mean magnitude on the grid, in units of 2^-24.

    x = (1 + p) 2^(6 - j), and 0 for a zero weight.

    Args:
        code: the weight code.

    Returns:
        int64 in the stored shape.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> (grid_means(encode(np.array([[1.0, -1.5, 0.01]]), p_bits=4)) / 2**24).tolist()
        [[64.0, 96.0, 0.625]]

    Reference: docs/psb-ops.md, the 8-bit grid.
    """
    j = LARGEST_NIBBLE - code.nibble
    x = ((1 << P16_BITS) + probability16(code)) << np.clip(MAX_J - j, 0, MAX_J)
    return np.where(code.nibble == 0, 0, x)


def grid_steps(
    code: PsbCode, samples: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return between which two magnitudes a weight is drawn, and how often it is the larger.

    Samples leave multiples of q = 2^(6 - j) / n, and the grid those of 1: a draw chooses one of
    the two neighbours of x, low and high, with high as often as makes x the mean. 128 does not
    fit: there high is 127.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64.

    Returns:
        low, high and the chance of high in units of 1/256 (at most 255), int64 in the stored
        shape. The chance is rounded to nearest, so that a mean is off by at most 1/512 of a step.

    Raises:
        OptionError: `samples` is not accepted.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> low, high, chance = grid_steps(encode(np.array([[1.0, -1.75]]), p_bits=4), samples=2)
        >>> low.tolist(), high.tolist(), chance.tolist()
        ([[64, 96]], [[96, 127]], [[0, 132]])

    Reference: docs/psb-ops.md, the 8-bit grid; thesis eq. 4.8.
    """
    _, log2_n, _ = resolve_samples(samples, "systematic")
    x = grid_means(code)
    q = np.int64(1) << np.clip(GRID_BITS - (LARGEST_NIBBLE - code.nibble) - log2_n, 0, GRID_BITS)
    low = np.minimum((x >> _UNIT_BITS) // q * q, LARGEST)
    high = np.minimum(low + q, LARGEST)
    width = np.maximum(high - low, 1) << _UNIT_BITS
    rest = x - (low << _UNIT_BITS)
    chance = np.minimum((2 * _STEPS * rest + width) // (2 * width), _STEPS)
    low = np.where(chance == _STEPS, high, low)
    return low, high, np.where((chance == _STEPS) | (low == high), 0, chance)


def grid_weights(
    code: PsbCode, samples: int, sampler: str = "systematic", seed: int = 0, stream: int = 0
) -> NDArray[np.int8]:
    """Return the weights of a run on the 8-bit grid; the value is w 2^(emax - 6).

    nearest: the multiple of q that is nearest to x, ties up, at most 127. systematic: low or high
    of `grid_steps`, decided by 8 random bits that are carried along the channel, so that what one
    weight rounds away is made up by the next: input channels c with the same c mod 4 share a
    carry, in order of c, then of the taps.

    Args:
        code: of weights `(M, C, taps...)` or `(N, K)`.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic" or "nearest".
        seed: of the run, any int64.
        stream: number of the node in the model.

    Returns:
        int8 in the stored shape.

    Raises:
        OptionError: an option is not among the accepted ones.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> grid_weights(encode(np.array([[1.0, -1.5, 0.01]]), p_bits=4), samples=0).tolist()
        [[64, -96, 1]]

    Reference: docs/psb-ops.md, the 8-bit grid; thesis eq. 4.8.
    """
    _, log2_n, sampler = resolve_samples(samples, sampler)
    if sampler == "binomial":
        raise OptionError(
            'sampler="binomial" has no meaning on the 8-bit grid; give "systematic" or "nearest".'
        )
    if sampler == "nearest":
        x = grid_means(code)
        shift = _UNIT_BITS + np.clip(
            GRID_BITS - (LARGEST_NIBBLE - code.nibble) - log2_n, 0, GRID_BITS
        )
        k = (x + (np.int64(1) << (shift - 1))) >> shift
        magnitude = np.minimum(k << (shift - _UNIT_BITS), LARGEST)
        nearest: NDArray[np.int8] = (code.sign * magnitude).astype(np.int8)
        return nearest
    low, high, chance = grid_steps(code, samples)
    signed = _by_carry(code.sign * chance)
    before = np.cumsum(signed, axis=2) - signed
    r = _from_carry((before + _offsets(code, seed, stream)) % _STEPS, code.shape)
    up = np.where(code.sign > 0, r + chance >= _STEPS, r < chance)
    drawn: NDArray[np.int8] = (code.sign * np.where(up, high, low)).astype(np.int8)
    return drawn


def _offsets(code: PsbCode, seed: int, stream: int) -> NDArray[np.int64]:
    """Return where the carries of every channel begin, `(channels, 4, 1)`: the bytes of R(m)."""
    words = random_bits32(np.arange(code.shape[0], dtype=np.uint32), seed, stream)
    return (words[:, None, None] >> (8 * np.arange(LANES)[:, None])).astype(np.int64) & 0xFF


def _by_carry(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `(M, C, taps...)` as `(M, 4, weights of a carry in order)`, zeros filled in."""
    m, c = values.shape[:2]
    flat = np.pad(values.reshape(m, c, -1), ((0, 0), (0, -c % LANES), (0, 0)))
    return flat.reshape(m, -1, LANES, flat.shape[2]).transpose(0, 2, 1, 3).reshape(m, LANES, -1)


def _from_carry(values: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return what `_by_carry` took apart in the shape of before."""
    m, c = shape[:2]
    quads = -(-c // LANES)
    flat = values.reshape(m, LANES, quads, -1).transpose(0, 2, 1, 3)
    return flat.reshape(m, quads * LANES, -1)[:, :c].reshape(shape)
