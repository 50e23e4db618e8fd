"""The compiled loops of the hashes: samples `start` to `stop` of an `(outer, units, inner)` array.

Sample s is element (s // inner, :, s % inner). Each kernel is compiled on its first call.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def hash_planar(x, words, threshold, start, stop, keys, active):  # type: ignore[no-untyped-def]
    """XOR hash where the units are not on the last axis; return the number of non-finite."""
    units, inner = x.shape[1], x.shape[2]
    bad = 0
    sample = start
    while sample < stop:
        o, first = sample // inner, sample % inner
        count = min(inner - first, stop - sample)
        for u in range(units):
            w0, w1 = words[u, 0], words[u, 1]
            n = 0
            for p in range(count):
                v = x[o, u, first + p]
                if v > threshold:
                    keys[sample + p, 0] ^= w0
                    keys[sample + p, 1] ^= w1
                    n += 1
                if not np.isfinite(v):
                    bad += 1
            active[u] += n
        sample += count
    return bad


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
