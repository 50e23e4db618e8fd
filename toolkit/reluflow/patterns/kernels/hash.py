"""The default hash in plain numba: the readable version, used where there is no native library.

Both functions hash samples `start` to `stop`, in C order over all axes except that of the units:
they write these samples' rows of `keys`, add to `active` and return the number of non-finite
values. The native library has the same loops, `runtime/src/hash`; `native.py` calls them.
"""

from __future__ import annotations

import numba
import numpy as np

PIECE = 1024
"""Samples whose keys are gathered at once: they stay in the first-level cache."""


@numba.njit(nogil=True, cache=True)
def hash_planar(x, words, threshold, start, stop, keys, active):  # type: ignore[no-untyped-def]
    """Hash an `(outer, units, inner)` array, where the samples of a plane are neighbours."""
    units, inner = x.shape[1], x.shape[2]
    first, second = np.empty(PIECE, np.uint64), np.empty(PIECE, np.uint64)
    nonfinite = np.int64(0)
    sample = start
    while sample < stop:
        outer, begin = divmod(sample, inner)
        n = min(inner - begin, stop - sample, PIECE)
        first[:n], second[:n] = 0, 0
        for u in range(units):
            row = x[outer, u, begin : begin + n]
            word0, word1 = words[u, 0], words[u, 1]
            count, bad = np.int64(0), np.int64(0)
            for s in range(n):
                on = row[s] > threshold
                count += on
                bad += not np.isfinite(row[s])
                first[s] ^= word0 if on else np.uint64(0)
                second[s] ^= word1 if on else np.uint64(0)
            active[u] += count
            nonfinite += bad
        keys[sample : sample + n, 0] = first[:n]
        keys[sample : sample + n, 1] = second[:n]
        sample += n
    return nonfinite


@numba.njit(nogil=True, cache=True)
def hash_dense(x, words, threshold, start, stop, keys, active):  # type: ignore[no-untyped-def]
    """Hash a `(samples, units)` array, where the units of a sample are neighbours."""
    units = x.shape[1]
    # Each in an array of its own, or the compiler does not make vectors of the loop.
    words0, words1 = words[:, 0].copy(), words[:, 1].copy()
    nonfinite = np.int64(0)
    for sample in range(start, stop):
        row = x[sample]
        first, second, bad = np.uint64(0), np.uint64(0), np.int64(0)
        for u in range(units):
            on = row[u] > threshold
            active[u] += on
            bad += not np.isfinite(row[u])
            first ^= words0[u] if on else np.uint64(0)
            second ^= words1[u] if on else np.uint64(0)
        keys[sample, 0], keys[sample, 1] = first, second
        nonfinite += bad
    return nonfinite
