"""The table behind `PatternCounts`: dense records and an open-addressing index over them.

A record `(4,)` uint64 is (key 0, key 1, count, first sample); records stand in the order in which
their patterns were first seen. An index entry is the upper half of the key's hash (the tag) and
the record's number + 1; 0 marks it empty. Linear probing; the size is a power of two. A new
pattern touches one random line of the small index and writes its record behind the last one;
growing needs the index alone.
"""

from __future__ import annotations

import numba
import numpy as np

from reluflow.patterns.kernels.pointer import carray, pointer

MAX_SLOTS = 1 << 32
"""Entries an index may have: the tag must hold the place of an entry."""

_BATCH = 64
_NUMBER = (1 << 32) - 1


@numba.njit(inline="always")
def _tag(k0, k1):  # type: ignore[no-untyped-def]
    rotated = (k1 << np.uint64(32)) | (k1 >> np.uint64(32))
    z = (k0 ^ rotated) * np.uint64(0x9E3779B97F4A7C15)
    return (z ^ (z << np.uint64(29))) >> np.uint64(32)


@numba.njit(inline="always")
def _home_shift(index):  # type: ignore[no-untyped-def]
    """Return how far to shift a tag to the right to get its place in the index."""
    shift = np.uint64(32)
    size = index.shape[0]
    while size > 1:
        size >>= 1
        shift -= np.uint64(1)
    return shift


@numba.njit(inline="always")
def _record(entry):  # type: ignore[no-untyped-def]
    return np.int64(entry & np.uint64(_NUMBER)) - 1


@numba.njit(inline="always")
def _find(index, records, k0, k1, tag, i, mask):  # type: ignore[no-untyped-def]
    """Return the place of a key, or the empty one where it belongs."""
    while True:
        entry = index[i]
        if entry == 0:
            return i
        if entry >> np.uint64(32) == tag:
            r = _record(entry)
            if records[r, 0] == k0 and records[r, 1] == k1:
                return i
        i = (i + 1) & mask


@numba.njit(inline="always")
def _add(index, records, used, i, tag, k0, k1, count, first):  # type: ignore[no-untyped-def]
    """Add to the key at place i, which may be empty; return the number of records."""
    if index[i] == 0:
        records[used, 0], records[used, 1] = k0, k1
        records[used, 2], records[used, 3] = count, first
        index[i] = (tag << np.uint64(32)) | np.uint64(used + 1)
        return used + 1
    r = _record(index[i])
    records[r, 2] += count
    if first < records[r, 3]:
        records[r, 3] = first
    return used


@numba.njit(nogil=True, cache=True)
def insert_keys(index, records, used, max_used, start, keys, first_index):  # type: ignore[no-untyped-def]
    """Count `keys[start:]` until there are `max_used` records; return (next position, used).

    Tags are computed and the lines of index and records touched a batch ahead of the probing,
    so that the cache misses of a batch overlap. A run of equal keys is looked up once.
    """
    n = keys.shape[0]
    mask = np.int64(index.shape[0] - 1)
    shift = _home_shift(index)
    tags = np.empty(_BATCH, np.uint64)
    touched = np.uint64(0)
    pos = start
    while pos < n and used < max_used:
        count = min(_BATCH, n - pos, max_used - used)
        for j in range(count):
            tags[j] = _tag(keys[pos + j, 0], keys[pos + j, 1])
        for j in range(count):
            touched ^= index[np.int64(tags[j] >> shift)]
        for j in range(count):
            entry = index[np.int64(tags[j] >> shift)]
            if entry != 0 and entry >> np.uint64(32) == tags[j]:
                touched ^= records[_record(entry), 2]
        j = 0
        while j < count:
            k0, k1, tag = keys[pos + j, 0], keys[pos + j, 1], tags[j]
            i = _find(index, records, k0, k1, tag, np.int64(tag >> shift), mask)
            first = np.uint64(first_index + pos + j)
            j += 1
            seen = np.uint64(1)
            while j < count and keys[pos + j, 0] == k0 and keys[pos + j, 1] == k1:
                seen += np.uint64(1)
                j += 1
            used = _add(index, records, used, i, tag, k0, k1, seen, first)
        pos += count
    tags[0] = touched
    return pos, used


@numba.njit(nogil=True, cache=True)
def insert_all(jobs):  # type: ignore[no-untyped-def]
    """Run `insert_keys` for each row of `(n, 9)` int64 jobs, one after the other, in place.

    A row: address of the index, its size, address of the records, used, max_used, address of
    the keys, their number, first_index, next position. Addresses are trusted.
    """
    for row in jobs:
        index = carray(pointer(row[0]), (row[1],), np.uint64)
        records = carray(pointer(row[2]), (row[4], 4), np.uint64)
        keys = carray(pointer(row[5]), (row[6], 2), np.uint64)
        row[8], row[3] = insert_keys(index, records, row[3], row[4], row[8], keys, row[7])


@numba.njit(nogil=True, cache=True)
def insert_records(index, records, used, max_used, start, new):  # type: ignore[no-untyped-def]
    """Add `new[start:]` with their counts until there are `max_used`; (next, used)."""
    mask = np.int64(index.shape[0] - 1)
    shift = _home_shift(index)
    pos = start
    while pos < new.shape[0] and used < max_used:
        k0, k1 = new[pos, 0], new[pos, 1]
        tag = _tag(k0, k1)
        i = _find(index, records, k0, k1, tag, np.int64(tag >> shift), mask)
        used = _add(index, records, used, i, tag, k0, k1, new[pos, 2], new[pos, 3])
        pos += 1
    return pos, used


@numba.njit(nogil=True, cache=True)
def move_index(old, new):  # type: ignore[no-untyped-def]
    """Put the entries of an index into a larger, empty one. Both are walked in order."""
    mask = np.int64(new.shape[0] - 1)
    shift = _home_shift(new)
    for entry in old:
        if entry != 0:
            i = np.int64((entry >> np.uint64(32)) >> shift)
            while new[i] != 0:
                i = (i + 1) & mask
            new[i] = entry
