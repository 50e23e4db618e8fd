"""The default hash: a 128-bit fingerprint of the activation pattern of every sample."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.patterns.kernels.hash import hash_dense, hash_planar
from reluflow.patterns.kernels.layout import (
    check_pre_activations,
    contiguous_blocks,
    run_split,
    sample_count,
)
from reluflow.patterns.kernels.native import has_hash, hash_natively
from reluflow.patterns.words import DEFAULT_SEED, unit_words


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprints:
    """The fingerprints and counts of one array of pre-activations, as `fingerprint` returns them.

    Attributes:
        keys: `(n_samples, 2)` uint64, the 128-bit fingerprint of each sample's pattern;
            samples in C order over all axes except that of the units.
        active: `(units,)` int64, in how many samples each unit was active.
        nonfinite: number of pre-activations that were NaN or infinite.
    """

    keys: NDArray[np.uint64]
    active: NDArray[np.int64]
    nonfinite: int


def fingerprint(
    x: NDArray[Any],
    *,
    unit_axis: int = 1,
    threshold: float = 0.0,
    words: NDArray[np.uint64] | None = None,
    seed: int = DEFAULT_SEED,
    threads: int = 1,
    pool: ThreadPoolExecutor | None = None,
) -> Fingerprints:
    """Return the 128-bit fingerprint of each sample's activation pattern.

    key = XOR of the words of all units with `x > threshold`. Two distinct patterns share a
    key with probability 2^-128; among n distinct patterns the probability of any collision is below
    n^2 / 2^129 (n = 10^9: 1.5e-21).

    NaN is inactive; NaN and infinities are counted. The threshold is rounded to the type of
    `x` first. A contiguous array is read in place whatever its unit axis; any other is copied
    block by block (`_layout.BLOCK_BYTES`). The native library hashes where it is installed, numba
    elsewhere. The result depends neither on that nor on `threads`.

    Args:
        x: pre-activations, float32 or float64, any shape and strides.
        unit_axis: axis of the units, may be negative.
        threshold: a unit is active when its pre-activation is greater.
        words: `(units, 2)` uint64 from `unit_words`; None: generated from `seed`.
        seed: seed of the words, used when `words` is None.
        threads: number of ranges that the samples are split into.
        pool: runs the ranges; None: a pool is made when `threads` is above 1.

    Returns:
        Keys, active counts of the units and the number of non-finite values.

    Raises:
        OptionError: wrong type, axis, threshold, threads or shape of `words`.

    Example:
        >>> x = np.array([[1.0, -1.0, 0.0], [2.0, -3.0, -1.0]], np.float32)
        >>> found = fingerprint(x)
        >>> bool((found.keys[0] == found.keys[1]).all()), found.active.tolist()
        (True, [2, 0, 0])

    Reference: docs/spec.md, section 2, default hash; thesis eq. 3.2.
    """
    axis, limit = check_pre_activations(x, unit_axis, threshold, threads)
    units = x.shape[axis]
    if words is None:
        words = unit_words(units, seed)
    elif words.shape != (units, 2) or words.dtype != np.uint64:
        raise OptionError(
            f"words is {words.dtype} {list(words.shape)}, but uint64 [{units}, 2] is wanted; "
            f"make them with unit_words({units})."
        )
    make = np.empty if units else np.zeros
    keys = make((sample_count(x, axis), 2), np.uint64)
    active = np.zeros(units, np.int64)
    nonfinite = 0
    words = np.ascontiguousarray(words)
    hash_range = hash_natively if has_hash() else _hash_in_numba
    for first, block in contiguous_blocks(x, axis):
        part = keys[first : first + block.shape[0] * block.shape[2]]
        counts, bad = _hash_block(hash_range, block, words, limit, part, threads, pool)
        active += counts
        nonfinite += bad
    return Fingerprints(keys, active, nonfinite)


def _hash_in_numba(
    x: NDArray[Any],
    words: NDArray[np.uint64],
    threshold: Any,
    start: int,
    stop: int,
    keys: NDArray[np.uint64],
    active: NDArray[np.int64],
) -> int:
    outer, units, inner = x.shape
    if inner == 1:
        rows = x.reshape(outer, units)
        return int(hash_dense(rows, words, threshold, start, stop, keys, active))
    return int(hash_planar(x, words, threshold, start, stop, keys, active))


def _hash_block(
    hash_range: Callable[..., int],
    block: NDArray[Any],
    words: NDArray[np.uint64],
    limit: Any,
    keys: NDArray[np.uint64],
    threads: int,
    pool: ThreadPoolExecutor | None,
) -> tuple[NDArray[np.int64], int]:
    """Fill the keys of one contiguous block; return active counts and non-finite values."""
    units = block.shape[1]

    def work(start: int, stop: int) -> tuple[NDArray[np.int64], int]:
        active = np.zeros(units, np.int64)
        return active, hash_range(block, words, limit, start, stop, keys, active)

    parts = run_split(work, len(keys), block.nbytes, threads, pool)
    counts = parts[0][0]
    for others, _ in parts[1:]:
        counts += others
    return counts, sum(bad for _, bad in parts)
