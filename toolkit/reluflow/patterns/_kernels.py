"""The compiled loops of the hashes: samples `start` to `stop` of an `(outer, units, inner)` array.

Sample s is element (s // inner, :, s % inner) of the C-contiguous array. A stretch of
pre-activations becomes bits in a buffer that stays in cache, then the bits become keys: the
array is read once, in memory order, whatever its layout and type. Each kernel is compiled on
its first call.
"""

from __future__ import annotations

import numba
import numpy as np

from reluflow.patterns._simd import LINES_AHEAD, make_hash_columns, make_hash_rows, pack_bits

BUFFER_BITS = 1 << 18
"""Bits a stretch: 128 KiB, so that the buffer stays in the second-level cache."""

_MIN_COLUMNS = 1024
_columns_1, _columns_2, _columns_3, _columns_4 = (make_hash_columns(n) for n in (1, 2, 3, 4))
_rows_1, _rows_4 = make_hash_rows(1), make_hash_rows(4)


@numba.njit(inline="always")
def _address(array, index):  # type: ignore[no-untyped-def]
    return array.ctypes.data + np.uintp(index * array.itemsize)


@numba.njit(nogil=True, cache=True)
def _pack(x, begin, count, threshold, bits, word):  # type: ignore[no-untyped-def]
    """Pack `count` elements into `bits[word:]`; return if any may be non-finite."""
    groups = count // 64
    bad = pack_bits(_address(x, begin), groups, threshold, _address(bits, word))
    if count % 64:
        last = np.uint64(0)
        at = begin + 64 * groups
        for j in range(count % 64):
            v = x[at + j]
            last |= np.uint64(v > threshold) << np.uint64(j)
            bad |= not np.isfinite(v)
        bits[word + groups] = last
    return bad


@numba.njit(nogil=True, cache=True)
def hash_planar(x, units, inner, words, threshold, start, stop, keys, active):  # type: ignore[no-untyped-def]
    """Fill `keys[start:stop]`, add to `active`; return if any value may be non-finite.

    `x` is flat, `words` the `(units, 4)` uint32 lanes.
    """
    whole = units * inner <= BUFFER_BITS
    widest = inner if whole else max(_MIN_COLUMNS, BUFFER_BITS // units // 64 * 64)
    bits = np.empty(units * (widest + 64) // 64 + 2, np.uint64)
    spare = np.empty((64, 2), np.uint64)
    bad = False
    sample = start
    while sample < stop:
        first = sample % inner
        plane = sample // inner * units * inner
        count = min(inner - first, stop - sample, widest)
        if count == inner:
            row_bits = inner
            bad |= _pack(x, plane, units * inner, threshold, bits, 0)
        else:
            row_bits = -(-count // 64) * 64
            for u in range(units):
                begin = plane + u * inner + first
                bad |= _pack(x, begin, count, threshold, bits, u * row_bits // 64)
        sample += count
        begin = x.size
        if sample < stop:
            begin = sample // inner * units * inner + sample % inner
        part = keys[sample - count : sample]
        _columns(bits, row_bits, count, words, active, part, spare, _address(x, begin))
    return bad


@numba.njit(nogil=True, cache=True)
def _columns(bits, row_bits, count, words, active, keys, spare, ahead):  # type: ignore[no-untyped-def]
    units = words.shape[0]
    b, w, a = bits.ctypes.data, words.ctypes.data, active.ctypes.data
    out = spare.ctypes.data
    for p in range(0, count, 64):
        n = min(64, count - p)
        ahead += np.uintp(64 * LINES_AHEAD * units)
        live = ~np.uint64(0) >> np.uint64(64 - n)
        if n == 64:
            _columns_4(b, p, row_bits, units, w, live, a, _address(keys, 2 * p), ahead)
            continue
        if n > 48:
            _columns_4(b, p, row_bits, units, w, live, a, out, ahead)
        elif n > 32:
            _columns_3(b, p, row_bits, units, w, live, a, out, ahead)
        elif n > 16:
            _columns_2(b, p, row_bits, units, w, live, a, out, ahead)
        else:
            _columns_1(b, p, row_bits, units, w, live, a, out, ahead)
        keys[p : p + n] = spare[:n]


@numba.njit(nogil=True, cache=True)
def hash_dense(x, units, words, threshold, start, stop, keys, active):  # type: ignore[no-untyped-def]
    """As `hash_planar` for inner = 1; `words` is `(groups, 4, 64)` uint32, zero where padded."""
    groups = words.shape[0]
    step = max(64, BUFFER_BITS // units)
    bits = np.zeros((step * units + 63) // 64 + groups + 2, np.uint64)
    counts = np.zeros(groups * 64, np.int32)
    b, w, c = bits.ctypes.data, words.ctypes.data, counts.ctypes.data
    bad = False
    for begin in range(start, stop, step):
        n = min(step, stop - begin)
        bad |= _pack(x, begin * units, n * units, threshold, bits, 0)
        for s in range(0, n - 3, 4):
            _rows_4(b, s * units, units, groups, w, c, _address(keys, 2 * (begin + s)))
        for s in range(n - n % 4, n):
            # The last sample's padding would read stale bits: they meet zero words only.
            _rows_1(b, s * units, units, groups, w, c, _address(keys, 2 * (begin + s)))
        for u in range(units):
            active[u] += counts[u]
        counts[:] = 0
    return bad


@numba.njit(nogil=True, cache=True)
def count_nonfinite(x):  # type: ignore[no-untyped-def]
    """Return how many elements of a flat array are NaN or infinite."""
    n = 0
    for v in x:
        n += not np.isfinite(v)
    return n


@numba.njit(nogil=True, cache=True)
def thesis_planar(x, threshold, start, stop, out):  # type: ignore[no-untyped-def]
    """Algorithm 1 of the thesis for samples `start` to `stop`."""
    units, inner = x.shape[1], x.shape[2]
    for sample in range(start, stop):
        o, p = sample // inner, sample % inner
        h = np.int64(1610612741)
        for base in range(0, units, 64):
            word = np.uint64(0)
            for j in range(min(64, units - base)):
                if x[o, base + j, p] > threshold:
                    word |= np.uint64(1) << np.uint64(j)
            h = (np.int64(word) * np.int64(402653189)) ^ (h * np.int64(805306457))
        out[sample] = h
