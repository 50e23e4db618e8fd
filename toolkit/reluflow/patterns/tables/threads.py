"""Counting in several threads: each owns one stretch of the index.

The first bits of a key's hash are its place in the index, so a thread owns the keys whose place
lies in its stretch. It looks at all keys of a batch and counts its own; only it writes to the
entries of its stretch and to their records. Its new records get numbers that no other thread can
reach: they start after one number for each key of the threads before it.

One thread does the rest afterwards: it counts keys whose search left the stretch and, where keys
already had records, closes the gaps between new records.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from reluflow.patterns.tables import native
from reluflow.patterns.tables.table import (
    BATCH,
    HALF,
    ONE,
    entry_of,
    home_shift,
    insert_keys,
    number_of,
    tag_of,
)

LEAST_KEYS = 1 << 14
"""Keys that are worth a thread: counting them takes about 0.2 ms, handing them over 0.05 ms."""

MOST_KEYS = 1 << 17
"""Keys per stretch: the threads note 4 bytes of each."""

_SIZE = np.uint64(BATCH)


@numba.njit(nogil=True, cache=True)
def _choose(keys, low, high, mine):  # type: ignore[no-untyped-def]
    """Note the positions of keys with a tag in [low, high); return (their number, tags < low)."""
    found, before = np.uint64(0), np.uint64(0)
    for position in range(np.uint64(keys.shape[0])):
        tag = tag_of(keys[position, 0], keys[position, 1])
        mine[found] = position
        found += np.uint64(low <= tag) & np.uint64(tag < high)
        before += np.uint64(tag < low)
    return found, before


@numba.njit(nogil=True, cache=True)
def insert_share(index, records, used, keys, first_index, low, high):  # type: ignore[no-untyped-def]
    """Count the keys whose place lies in `index[low:high]`; new records follow the owner's base.

    Returns the number of the first new record, how many there are, and the positions of the keys
    whose search left the stretch.
    """
    end, offset = np.uint64(high), np.uint64(first_index)
    shift = home_shift(index)
    mine = np.empty(keys.shape[0] + 1, np.uint32)
    own, before = _choose(keys, np.uint64(low) << shift, end << shift, mine)
    base = np.uint64(used) + before
    fresh, left = base, np.uint64(0)
    tags = np.empty(BATCH, np.uint64)
    touched = np.uint64(0)
    start = np.uint64(0)
    while start < own:
        count = min(_SIZE, own - start)
        for j in range(count):
            p = np.uint64(mine[start + j])
            tags[j] = tag_of(keys[p, 0], keys[p, 1])
        for j in range(count):
            touched ^= index[tags[j] >> shift]
        for j in range(count):
            entry = index[tags[j] >> shift]
            if entry != 0 and entry >> HALF == tags[j]:
                touched ^= records[number_of(entry), 2]
        for j in range(count):
            p, tag = np.uint64(mine[start + j]), tags[j]
            k0, k1 = keys[p, 0], keys[p, 1]
            i = tag >> shift
            while i < end:
                entry = index[i]
                if entry == 0:
                    records[fresh, 0], records[fresh, 1] = k0, k1
                    records[fresh, 2], records[fresh, 3] = ONE, offset + p
                    index[i] = entry_of(tag, fresh)
                    fresh += ONE
                    break
                if entry >> HALF == tag:
                    r = number_of(entry)
                    if records[r, 0] == k0 and records[r, 1] == k1:
                        records[r, 2] += ONE
                        records[r, 3] = min(records[r, 3], offset + p)
                        break
                i += ONE
            if i == end:
                mine[left] = p
                left += ONE
        start += count
    mine[own] = np.uint32(touched)
    return np.int64(base), np.int64(fresh - base), mine[: np.int64(left)]


@numba.njit(nogil=True, cache=True)
def _close_gap(index, records, source, count, target):  # type: ignore[no-untyped-def]
    """Renumber the records from `source` onwards so that they start at `target`, which is lower."""
    mask = np.uint64(index.shape[0] - 1)
    shift = home_shift(index)
    source, target = np.uint64(source), np.uint64(target)
    for r in range(np.uint64(count)):
        tag = tag_of(records[source + r, 0], records[source + r, 1])
        old = entry_of(tag, source + r)
        i = tag >> shift
        while index[i] != old:
            i = (i + ONE) & mask
        index[i] = entry_of(tag, target + r)
        for c in range(4):
            records[target + r, c] = records[source + r, c]


@numba.njit(nogil=True, cache=True)
def _insert_left(index, records, used, keys, first_index, left):  # type: ignore[no-untyped-def]
    for p in left:
        position = np.int64(p)
        one = keys[position : position + 1]
        _, used = insert_keys(index, records, used, used + 1, 0, one, first_index + position)
    return used


def insert_in_threads(
    index: NDArray[np.uint64],
    records: NDArray[np.uint64],
    used: int,
    keys: NDArray[np.uint64],
    first_index: int,
    pool: ThreadPoolExecutor,
    threads: int,
) -> int:
    """Count keys in several threads; the order of the records may differ from that of one thread.

    Args:
        index: `(size,)`, the size a power of two, with room for all keys.
        records: `(n, 4)`, at least `used + len(keys)`.
        used: number of records so far.
        keys: `(n, 2)` uint64, at most `MOST_KEYS`.
        first_index: global index of the first key.
        pool: where the threads run.
        threads: number of stretches.

    Returns:
        The new number of records.
    """
    edges = [len(index) * t // threads for t in range(threads + 1)]

    insert = native.insert_share if native.has_counting() else insert_share

    def share(low: int, high: int) -> Any:
        return insert(index, records, used, keys, first_index, low, high)

    shares = list(pool.map(share, edges[:-1], edges[1:]))
    for base, fresh, _ in shares:
        if base != used:
            _close_gap(index, records, base, fresh, used)
        used += fresh
    for _, _, left in shares:
        used = _insert_left(index, records, used, keys, first_index, left)
    return used
