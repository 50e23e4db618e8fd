"""The hash and fixed-size table of the thesis, kept exactly, for reproduction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.patterns.kernels import thesis as _thesis_kernels
from reluflow.patterns.kernels.layout import (
    check_pre_activations,
    contiguous_blocks,
    run_split,
    sample_count,
)


def thesis_hash(
    x: NDArray[Any],
    *,
    unit_axis: int = 1,
    threshold: float = 0.0,
    threads: int = 1,
    pool: ThreadPoolExecutor | None = None,
) -> NDArray[np.int64]:
    """Return the hash of each sample's pattern by Algorithm 1.

    Bits packed little-endian into int64 words, the tail padded with zeros;
    h = offset; for each word a: h = (a Q) XOR (h P), wrapping int64,
    with offset = 1610612741, P = 805306457, Q = 402653189.

    Args:
        x: pre-activations, float32 or float64, any shape and strides.
        unit_axis: axis of the units, may be negative.
        threshold: a unit is active when its pre-activation is greater.
        threads: number of ranges that the samples are split into.
        pool: runs the ranges; None: a pool is made when `threads` is above 1.

    Returns:
        `(n_samples,)` int64, samples in C order over all axes but the units'.

    Raises:
        OptionError: wrong type, axis, threshold or threads.

    Example:
        >>> thesis_hash(np.array([[1.0, -1.0]], np.float32)).tolist()
        [1297036839919550904]

    Reference: thesis 2.2.4, Algorithm 1; docs/spec.md, section 2.
    """
    axis, limit = check_pre_activations(x, unit_axis, threshold, threads)
    out = np.full(sample_count(x, axis), 1610612741, np.int64)
    for first, block in contiguous_blocks(x, axis):
        n = block.shape[0] * block.shape[2]
        part = out[first : first + n]
        run_split(
            lambda a, b, block=block, part=part: _thesis_kernels.thesis_planar(  # type: ignore[misc]
                block, limit, a, b, part
            ),
            n,
            block.nbytes,
            threads,
            pool,
        )
    return out


def thesis_slots(hashes: NDArray[np.int64], table_size: int) -> NDArray[np.int64]:
    """Return the slot of each hash in a table of fixed size: `h mod table_size`, never negative.

    Args:
        hashes: `(n,)` int64 from `thesis_hash`.
        table_size: number of slots, at least 1.

    Returns:
        `(n,)` int64 in [0, table_size).

    Raises:
        OptionError: `table_size` is below 1.

    Example:
        >>> thesis_slots(np.array([30001, -1]), table_size=30000).tolist()
        [1, 29999]

    Reference: thesis 3.1.2, Algorithm 2 (`hashes % hashlist_size`).
    """
    if table_size < 1:
        raise OptionError(
            f"table_size is {table_size}, but a table has at least 1 slot; give 30000 as the "
            "thesis does."
        )
    return hashes % np.int64(table_size)


def thesis_counts(hashes: NDArray[np.int64], table_size: int = 30000) -> NDArray[np.int64]:
    """Return how many hashes fall into each slot of a table of fixed size.

    Args:
        hashes: `(n,)` int64 from `thesis_hash`.
        table_size: number of slots, at least 1.

    Returns:
        `(table_size,)` int64; tables of two batches add up.

    Raises:
        OptionError: `table_size` is below 1.

    Example:
        >>> thesis_counts(np.array([0, 4, 5]), table_size=4).tolist()
        [2, 1, 0, 0]

    Reference: thesis 3.1.2, Algorithm 2.
    """
    return np.bincount(thesis_slots(hashes, table_size), minlength=table_size).astype(np.int64)


def thesis_keys(hashes: NDArray[np.int64], table_size: int) -> NDArray[np.uint64]:
    """Return the slots as keys `(n, 2)` uint64 (slot, 0) that `PatternCounts` can count.

    Args:
        hashes: `(n,)` int64 from `thesis_hash`.
        table_size: number of slots, at least 1.

    Raises:
        OptionError: `table_size` is below 1.

    Example:
        >>> thesis_keys(np.array([0, 4, 5]), table_size=4).tolist()
        [[0, 0], [0, 0], [1, 0]]

    Reference: thesis 3.1.2, Algorithm 2.
    """
    keys = np.zeros((len(hashes), 2), np.uint64)
    keys[:, 0] = thesis_slots(hashes, table_size)
    return keys


def occupancy(counts: NDArray[np.int64]) -> float:
    """Return the share of used slots of a thesis table, in [0, 1].

    Args:
        counts: `(table_size,)` int64 from `thesis_counts`.

    Example:
        >>> occupancy(np.array([3, 0, 1, 0]))
        0.5

    Reference: docs/spec.md, section 3, occupancy; thesis 3.1.3.
    """
    return float(np.count_nonzero(counts) / len(counts)) if len(counts) else 0.0
