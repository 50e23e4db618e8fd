"""Draw the sampled weights of a code, as the small integers that the operators multiply by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.psb._check import MAX_SAMPLES, resolve_samples
from reluflow.psb.codec import LARGEST_NIBBLE, MAX_J, NIBBLE_BITS, PsbCode
from reluflow.psb.random_bits import random_bits32

SMALL_SHIFT = 8
"""Weights with this j or more are small: for some n, bits of their samples are shifted out."""
SMALL_BITS = 17
"""Fraction bits of a small weight's mean: p16 has 16, and the smallest j one more."""
P16_BITS = 16
"""Fraction bits of a probability, whatever P; a draw is decided by this many random bits."""
_P16_MASK = (1 << P16_BITS) - 1
_P16_HALF = 1 << (P16_BITS - 1)
SCALE_BITS = 13
"""An integer weight w' stands for w' 2^(emax - 13): D + log2 n is 13 for every n."""


def probability16(code: PsbCode) -> NDArray[np.int64]:
    """Return the probabilities in units of 2^-16, in the stored shape: q << (16 - P)."""
    return code.q << (P16_BITS - code.p_bits)


def draws(
    code: PsbCode,
    samples: int,
    sampler: str = "systematic",
    seed: int = 0,
    stream: int = 0,
    position: int | None = None,
) -> NDArray[np.int64]:
    """Return k of every weight, in 0..n: how many of its n samples took the larger shift.

    nearest: round(n p); systematic: floor(n p + u), u uniform in [0, 1) and carried along the
    channel; binomial: B(n, p).

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".
        seed: of the run, any int64.
        stream: number of the node in the model.
        position: flat output position for draws per product, None for draws per run.

    Returns:
        int64 in the stored shape.

    Raises:
        OptionError: an option is not among the accepted ones.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> draws(encode(np.array([1.0, 1.5, 1.75]), p_bits=4), samples=4).tolist()
        [0, 2, 3]

    Reference: docs/psb-ops.md, sampled weight; thesis eq. 4.8; docs/spec.md, section 7, samplers.
    """
    n, _, sampler = resolve_samples(samples, sampler)
    p16 = probability16(code).reshape(-1)
    if sampler == "nearest":
        k = (n * p16 + _P16_HALF) >> P16_BITS
    elif sampler == "systematic":
        k = (n * p16 + _carried_offsets(code, n, seed, stream, position)) >> P16_BITS
    else:
        k = np.zeros(p16.size, np.int64)
        for t in range(n):
            k += _bernoulli(p16, t, seed, stream, position)
    return k.reshape(code.shape)


def draw_bits(
    code: PsbCode,
    samples: int,
    sampler: str = "systematic",
    seed: int = 0,
    stream: int = 0,
    position: int | None = None,
) -> NDArray[np.bool_]:
    """Return the n single samples B_p of every weight, `(n_weights, n)`; `draws` is their sum.

    The binomial sampler draws them; the others determine only k, and put the ones first.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".
        seed: of the run, any int64.
        stream: number of the node in the model.
        position: flat output position for draws per product, None for draws per run.

    Raises:
        OptionError: an option is not among the accepted ones.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[1.5, 1.25]]), p_bits=4)
        >>> draw_bits(code, 4, "nearest").astype(int).tolist()
        [[1, 1, 0, 0], [1, 0, 0, 0]]

    Reference: thesis eq. 4.4 and 4.9.
    """
    n, _, sampler = resolve_samples(samples, sampler)
    if sampler != "binomial":
        k = draws(code, n, sampler, seed, stream, position).reshape(-1, 1)
        return np.arange(n) < k
    p16 = probability16(code).reshape(-1)
    columns = [_bernoulli(p16, t, seed, stream, position) for t in range(n)]
    return np.stack(columns, axis=1)


def _bernoulli(
    p16: NDArray[np.int64], t: int, seed: int, stream: int, position: int | None
) -> NDArray[np.bool_]:
    """Return draw t of every weight: half t & 1 of R(32 i + (t >> 1)) is below p."""
    # a weight has at most 64 draws, two of them in one random word of 32 bits
    counter = np.arange(p16.size, dtype=np.uint32) * np.uint32(MAX_SAMPLES // 2) + np.uint32(t >> 1)
    word = random_bits32(counter, seed, stream, position)
    return ((word >> np.uint32(P16_BITS * (t & 1))) & _P16_MASK) < p16


def carried_probability16(code: PsbCode) -> NDArray[np.int64]:
    """Return c of every weight: the probabilities before it in its channel, summed mod 2^16.

    The weights of a channel stand in order of exponent and sign, then of their index, so that what
    a draw rounds away is made up for by the next weight of the same size.

    Args:
        code: the weight code.

    Returns:
        int64 `(channels, weights per channel)`, in units of 2^-16.

    Reference: docs/psb-ops.md, sampled weight (systematic).
    """
    channels = code.shape[0]
    p16 = probability16(code).reshape(channels, -1)
    high = (code.words >> np.uint32(code.p_bits)).reshape(channels, -1)
    size_and_sign = ((high & LARGEST_NIBBLE) << 1) | (high >> NIBBLE_BITS)
    order = np.argsort(size_and_sign, axis=1, kind="stable")
    ordered = np.take_along_axis(p16, order, axis=1)
    carried = np.empty_like(p16)
    np.put_along_axis(carried, order, np.cumsum(ordered, axis=1) - ordered, axis=1)
    return carried & _P16_MASK


def _carried_offsets(
    code: PsbCode, n: int, seed: int, stream: int, position: int | None
) -> NDArray[np.int64]:
    """Return r of every weight, flat: (U + n c) mod 2^16, with one U per channel."""
    channels = np.arange(code.shape[0], dtype=np.uint32)
    u = random_bits32(channels, seed, stream, position).astype(np.int64) & _P16_MASK
    return ((u[:, None] + n * carried_probability16(code)) & _P16_MASK).reshape(-1)


def integer_weights(
    code: PsbCode,
    samples: int,
    sampler: str = "systematic",
    seed: int = 0,
    stream: int = 0,
    position: int | None = None,
) -> NDArray[np.int16]:
    """Return the sampled weights w', |w'| <= 2^14; the value is w' 2^(emax - 13).

    w' = s ((n + k) << (D - j)), D = 13 - log2 n. For j > D bits would be shifted out: the weight
    is drawn in one step, w' = floor(s x + u), with x = (1 + p) 2^(13 - j) its mean and u in [0, 1)
    carried along the channel, starting at 1/2 for the nearest sampler. So the mean over all u is
    exact for every code, and small weights together miss their sum by less than 1. Codes with
    rounding "half" instead round the right shift of n + k half up.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".
        seed: of the run, any int64.
        stream: number of the node in the model.
        position: flat output position for draws per product, None for draws per run.

    Returns:
        int16 in the stored shape.

    Raises:
        OptionError: an option is not among the accepted ones.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> integer_weights(encode(np.array([[1.0, -1.5]]), p_bits=4), samples=4).tolist()
        [[8192, -12288]]

    Reference: docs/psb-ops.md, sampled weight; thesis eq. 4.8.
    """
    n, log2_n, sampler = resolve_samples(samples, sampler)
    count = n + draws(code, n, sampler, seed, stream, position)
    shift = (SCALE_BITS - log2_n) - (LARGEST_NIBBLE - code.nibble)
    right = np.maximum(-shift, 0)
    half = (1 << right) >> 1
    magnitude = ((count << np.maximum(shift, 0)) + half) >> right
    w = code.sign * magnitude
    if code.rounding == "carried" and (shift < 0).any():
        small = _small_weights(code, sampler, seed, stream, position)
        w = np.where((shift < 0) & (code.nibble > 0), small, w)
    return w.astype(np.int16)


def small_values(code: PsbCode) -> NDArray[np.int64]:
    """Return s x of every small weight in units of 2^-17, and 0 of all others.

    Args:
        code: the weight code.

    Returns:
        int64 in the stored shape; x = (1 + p) 2^(13 - j) is the mean of |w'|.

    Reference: docs/psb-ops.md, sampled weight.
    """
    j = LARGEST_NIBBLE - code.nibble
    is_small = (j >= SMALL_SHIFT) & (code.nibble > 0)
    magnitude = ((1 << P16_BITS) + probability16(code)) << np.clip(MAX_J - j, 0, MAX_J)
    return np.where(is_small, code.sign * magnitude, 0)


def _small_weights(
    code: PsbCode, sampler: str, seed: int, stream: int, position: int | None
) -> NDArray[np.int64]:
    """Return floor(s x + u) of every small weight, in the stored shape."""
    value = small_values(code).reshape(code.shape[0], -1)
    before = np.cumsum(value, axis=1) - value
    offset = np.full(code.shape[0], 1 << (SMALL_BITS - 1), np.int64)
    if sampler != "nearest":
        numbers = ~np.arange(code.shape[0], dtype=np.uint32)
        offset = random_bits32(numbers, seed, stream, position).astype(np.int64)
    u = (before + offset[:, None]) & ((1 << SMALL_BITS) - 1)
    return ((value + u) >> SMALL_BITS).reshape(code.shape)


def sampled_weights(
    code: PsbCode,
    samples: int,
    sampler: str = "systematic",
    seed: int = 0,
    stream: int = 0,
    position: int | None = None,
) -> NDArray[np.float64]:
    """Return the values that a run multiplies by, w' 2^(emax - 13), in the stored shape.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".
        seed: of the run, any int64.
        stream: number of the node in the model.
        position: flat output position for draws per product, None for draws per run.

    Raises:
        OptionError: an option is not among the accepted ones.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[1.5, -1.25]]), p_bits=4)
        >>> sampled_weights(code, 64, "nearest").tolist()
        [[1.5, -1.25]]
        >>> sampled_weights(code, 1, "nearest").tolist()
        [[2.0, -1.0]]

    Reference: docs/psb-ops.md, sampled weight.
    """
    w = integer_weights(code, samples, sampler, seed, stream, position).astype(np.float64)
    emax = code.emax.astype(np.int64).reshape(-1, *[1] * (w.ndim - 1))
    return np.ldexp(w, emax - SCALE_BITS)
