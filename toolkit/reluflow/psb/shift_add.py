"""The multiplier-free execution of eq. 4.9, and its cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.psb._check import resolve_samples
from reluflow.psb.codec import LARGEST_NIBBLE, PsbCode
from reluflow.psb.sampling import SCALE_BITS, draw_bits, integer_weights


def shift_add_dot(
    x_int: NDArray[np.int16],
    code: PsbCode,
    samples: int,
    sampler: str = "systematic",
    seed: int = 0,
    stream: int = 0,
    position: int | None = None,
) -> list[int]:
    """Return the dot product with every output channel, using only shifts and additions of x.

    s sum_i x << (D - j + B_i) for j <= D. For j > D, x is added or subtracted |w'| times, at most n
    times. With rounding "half" a counter holds the fraction instead: it starts at one half, sample
    i adds (1 + B_i) 2^(D - j), and each time the counter is full x is added once.

    Args:
        x_int: `(weights per channel,)` fixed-point activations.
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        sampler: "systematic", "binomial" or "nearest".
        seed: of the run.
        stream: number of the node in the model.
        position: flat output position for draws per product, None for draws per run.

    Returns:
        One integer per channel, the same as `integer_weights(...) @ x_int`.

    Raises:
        OptionError: an option is not among the accepted ones.
        DataError: x_int has a wrong length.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> shift_add_dot(np.array([3], np.int16), encode(np.array([[1.5]]), p_bits=4), 4)
        [36864]

    Reference: thesis eq. 4.9; docs/psb-ops.md, sampled weight.
    """
    per_channel = code.words.size // code.shape[0]
    if x_int.shape != (per_channel,):
        raise DataError(
            f"x_int has shape {x_int.shape}: give one number a weight, ({per_channel},)."
        )
    d = SCALE_BITS - resolve_samples(samples, sampler)[1]
    bits = draw_bits(code, samples, sampler, seed, stream, position).tolist()
    signs, nibbles = code.sign.reshape(-1).tolist(), code.nibble.reshape(-1).tolist()
    totals = [0] * code.shape[0]
    carried = code.rounding == "carried"
    drawn = integer_weights(code, samples, sampler, seed, stream, position).reshape(-1).tolist()
    for i, (sign, nibble) in enumerate(zip(signs, nibbles, strict=True)):
        x = int(x_int[i % per_channel])
        if sign and carried and d < LARGEST_NIBBLE - nibble:
            for _ in range(abs(drawn[i])):
                totals[i // per_channel] += x if drawn[i] > 0 else -x
        elif sign:
            product = _shift_add(x, d - (LARGEST_NIBBLE - nibble), bits[i])
            totals[i // per_channel] += product if sign > 0 else -product
    return totals


def _shift_add(x: int, shift: int, bits: list[bool]) -> int:
    """Return x times the sampled magnitude, adding x at most once per sample."""
    if shift >= 0:
        return sum(x << (shift + bit) for bit in bits)
    full = 1 << -shift
    counter, total = full >> 1, 0
    for bit in bits:
        counter += 1 << bit
        if counter >= full:
            counter -= full
            total += x
    return total


def shift_adds(code: PsbCode, samples: int) -> int:
    """Return the shift-adds of one pass over the weights: n for every weight that is not 0.

    Multiply by the number of output positions for a whole operator.

    Args:
        code: the weight code.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64.

    Raises:
        OptionError: samples is not among the accepted numbers.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> shift_adds(encode(np.array([1.0, 0.0, -2.0]), p_bits=4), 16)
        32

    Reference: thesis eq. 4.9 and 4.2.5; docs/spec.md, section 8, cost model.
    """
    n, _, _ = resolve_samples(samples, "nearest")
    return n * int(np.count_nonzero(code.nibble))
