"""The table behind `PatternCounts`: dense records and an open-addressing index over them.

A record `(4,)` uint64 is (key 0, key 1, count, first sample); records are in the order in which
their patterns were first seen. An index entry is the upper half of the key's hash (the tag) and
the record's number + 1; 0 marks it empty. Linear probing; the size is a power of two. A new pattern
touches one random line of the small index and appends its record after the last one; growing moves
only the index.

Two habits make the loops two to three times as fast. Their indices are unsigned: for a signed index
numba checks every time whether it counts from the end. And no array is passed to another function
within a loop, inlined or not: numba increments and decrements its reference count each time.
"""

from __future__ import annotations

import numba
import numpy as np

from reluflow.patterns.kernels.pointer import carray, pointer

MAX_SLOTS = 1 << 32
"""Entries an index may have: the tag must hold the place of an entry."""

BATCH = 64
"""Keys to look ahead, so that their cache misses overlap; 32, 128 and 256 were no faster."""

ONE = np.uint64(1)
HALF = np.uint64(32)
_NUMBER = np.uint64((1 << 32) - 1)
_SIZE = np.uint64(BATCH)


@numba.njit(inline="always")
def tag_of(k0, k1):  # type: ignore[no-untyped-def]
    """Return 32 bits of the hash of a key; the first ones tell its place in the index."""
    rotated = (k1 << HALF) | (k1 >> HALF)
    z = (k0 ^ rotated) * np.uint64(0x9E3779B97F4A7C15)
    return (z ^ (z << np.uint64(29))) >> HALF


@numba.njit(inline="always")
def home_shift(index):  # type: ignore[no-untyped-def]
    """Return how far to shift a tag to the right to get its place in the index."""
    shift = HALF
    size = index.shape[0]
    while size > 1:
        size >>= 1
        shift -= ONE
    return shift


@numba.njit(inline="always")
def number_of(entry):  # type: ignore[no-untyped-def]
    """Return the number of the record of an entry that is not empty."""
    return (entry & _NUMBER) - ONE


@numba.njit(inline="always")
def entry_of(tag, number):  # type: ignore[no-untyped-def]
    """Return the entry of a record."""
    return (tag << HALF) | (number + ONE)


@numba.njit(nogil=True, cache=True)
def insert_keys(index, records, used, max_used, start, keys, first_index):  # type: ignore[no-untyped-def]
    """Count `keys[start:]` until there are `max_used` records; return (next position, used).

    Tags are computed, and the lines of index and records touched, one batch ahead of the probing,
    so that the cache misses of a batch overlap. A run of equal keys is looked up once.
    """
    n, most = np.uint64(keys.shape[0]), np.uint64(max_used)
    mask = np.uint64(index.shape[0] - 1)
    shift = home_shift(index)
    tags = np.empty(BATCH, np.uint64)
    touched = np.uint64(0)
    pos, used = np.uint64(start), np.uint64(used)
    while pos < n and used < most:
        count = min(_SIZE, min(n - pos, most - used))
        for j in range(count):
            tags[j] = tag_of(keys[pos + j, 0], keys[pos + j, 1])
        for j in range(count):
            touched ^= index[tags[j] >> shift]
        for j in range(count):
            entry = index[tags[j] >> shift]
            if entry != 0 and entry >> HALF == tags[j]:
                touched ^= records[number_of(entry), 2]
        k = np.uint64(0)
        while k < count:
            k0, k1, tag = keys[pos + k, 0], keys[pos + k, 1], tags[k]
            first = np.uint64(first_index) + pos + k
            seen = ONE
            k += ONE
            while k < count and keys[pos + k, 0] == k0 and keys[pos + k, 1] == k1:
                seen += ONE
                k += ONE
            i = tag >> shift
            while True:
                entry = index[i]
                if entry == 0:
                    records[used, 0], records[used, 1] = k0, k1
                    records[used, 2], records[used, 3] = seen, first
                    index[i] = entry_of(tag, used)
                    used += ONE
                    break
                if entry >> HALF == tag:
                    r = number_of(entry)
                    if records[r, 0] == k0 and records[r, 1] == k1:
                        records[r, 2] += seen
                        records[r, 3] = min(records[r, 3], first)
                        break
                i = (i + ONE) & mask
        pos += count
    tags[0] = touched
    return np.int64(pos), np.int64(used)


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
    n, most = np.uint64(new.shape[0]), np.uint64(max_used)
    mask = np.uint64(index.shape[0] - 1)
    shift = home_shift(index)
    pos, used = np.uint64(start), np.uint64(used)
    while pos < n and used < most:
        k0, k1 = new[pos, 0], new[pos, 1]
        tag = tag_of(k0, k1)
        i = tag >> shift
        while True:
            entry = index[i]
            if entry == 0:
                for c in range(4):
                    records[used, c] = new[pos, c]
                index[i] = entry_of(tag, used)
                used += ONE
                break
            r = number_of(entry)
            if entry >> HALF == tag and records[r, 0] == k0 and records[r, 1] == k1:
                records[r, 2] += new[pos, 2]
                records[r, 3] = min(records[r, 3], new[pos, 3])
                break
            i = (i + ONE) & mask
        pos += ONE
    return np.int64(pos), np.int64(used)


@numba.njit(nogil=True, cache=True)
def move_index(old, new):  # type: ignore[no-untyped-def]
    """Put the entries of an index into a larger, empty one. Both are walked in order."""
    mask = np.uint64(new.shape[0] - 1)
    shift = home_shift(new)
    for entry in old:
        if entry != 0:
            i = (entry >> HALF) >> shift
            while new[i] != 0:
                i = (i + ONE) & mask
            new[i] = entry
