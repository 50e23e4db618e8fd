"""The open-addressing table behind `PatternCounts`: slots `(capacity, 4)` uint64.

A slot is (key 0, key 1, count, first sample); count 0 marks it empty. Linear probing; the
capacity is a power of two.
"""

from __future__ import annotations

import numba
import numpy as np

from reluflow.patterns._pointer import pointer

_BATCH = 64


@numba.njit(inline="always")
def _home(k0, k1, shift):  # type: ignore[no-untyped-def]
    rotated = (k1 << np.uint64(32)) | (k1 >> np.uint64(32))
    z = (k0 ^ rotated) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((z ^ (z << np.uint64(29))) >> shift)


@numba.njit(inline="always")
def _home_shift(slots):  # type: ignore[no-untyped-def]
    shift = np.uint64(64)
    size = slots.shape[0]
    while size > 1:
        size >>= 1
        shift -= np.uint64(1)
    return shift


@numba.njit(inline="always")
def _find(slots, k0, k1, i, mask):  # type: ignore[no-untyped-def]
    while slots[i, 2] != 0 and (slots[i, 0] != k0 or slots[i, 1] != k1):
        i = (i + 1) & mask
    return i


@numba.njit(nogil=True, cache=True)
def insert_keys(slots, used, max_used, keys, first_index, start):  # type: ignore[no-untyped-def]
    """Count `keys[start:]` until `max_used` slots are taken; return (next position, used).

    Homes are computed and their lines touched a batch ahead of the probing, so that the
    cache misses of a batch overlap. A run of equal keys is looked up once.
    """
    n = keys.shape[0]
    mask = np.int64(slots.shape[0] - 1)
    shift = _home_shift(slots)
    homes = np.empty(_BATCH, np.int64)
    touched = np.uint64(0)
    pos = start
    while pos < n and used < max_used:
        count = min(_BATCH, n - pos, max_used - used)
        for j in range(count):
            homes[j] = _home(keys[pos + j, 0], keys[pos + j, 1], shift)
        for j in range(count):
            touched ^= slots[homes[j], 2]
        j = 0
        while j < count:
            k0, k1 = keys[pos + j, 0], keys[pos + j, 1]
            i = _find(slots, k0, k1, homes[j], mask)
            index = np.uint64(first_index + pos + j)
            j += 1
            seen = 1
            while j < count and keys[pos + j, 0] == k0 and keys[pos + j, 1] == k1:
                seen += 1
                j += 1
            if slots[i, 2] == 0:
                slots[i, 0], slots[i, 1], slots[i, 3] = k0, k1, index
                used += 1
            elif index < slots[i, 3]:
                slots[i, 3] = index
            slots[i, 2] += np.uint64(seen)
        pos += count
    homes[0] = np.int64(touched)
    return pos, used


@numba.njit(nogil=True, cache=True)
def insert_all(jobs):  # type: ignore[no-untyped-def]
    """Run `insert_keys` for each row of `(n, 8)` int64 jobs, one after the other, in place.

    A row: address of the slots, their number, used, max_used, address of the keys, their
    number, first_index, next position. Addresses are trusted.
    """
    for row in jobs:
        slots = numba.carray(pointer(row[0]), (row[1], 4), np.uint64)
        keys = numba.carray(pointer(row[4]), (row[5], 2), np.uint64)
        row[7], row[2] = insert_keys(slots, row[2], row[3], keys, row[6], row[7])


@numba.njit(nogil=True, cache=True)
def insert_records(slots, used, max_used, records, start):  # type: ignore[no-untyped-def]
    """Add `records[start:]` with their counts until `max_used` are taken; (next, used)."""
    mask = np.int64(slots.shape[0] - 1)
    shift = _home_shift(slots)
    pos = start
    while pos < records.shape[0] and used < max_used:
        k0, k1 = records[pos, 0], records[pos, 1]
        i = _find(slots, k0, k1, _home(k0, k1, shift), mask)
        if slots[i, 2] == 0:
            slots[i, 0], slots[i, 1], slots[i, 3] = k0, k1, records[pos, 3]
            used += 1
        elif records[pos, 3] < slots[i, 3]:
            slots[i, 3] = records[pos, 3]
        slots[i, 2] += records[pos, 2]
        pos += 1
    return pos, used


@numba.njit(nogil=True, cache=True)
def compact(slots):  # type: ignore[no-untyped-def]
    """Move the taken slots to the front, in place; return their number."""
    n = 0
    for i in range(slots.shape[0]):
        if slots[i, 2] != 0:
            for c in range(4):
                slots[n, c] = slots[i, c]
            n += 1
    return n
