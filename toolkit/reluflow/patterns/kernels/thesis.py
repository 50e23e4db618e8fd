"""The compiled loop of Algorithm 1 of the thesis."""

from __future__ import annotations

import numba
import numpy as np


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
