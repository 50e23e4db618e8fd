"""Counting by the native library, where there is one."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from reluflow.native import call, find_function

_COUNT = "reluflow_count_v1"
_SHARE = "reluflow_count_share_v1"
_SORT = "reluflow_sort_counts_v1"


class _Share(ctypes.Structure):
    """`ReluflowCountShare` of `runtime/include/reluflow/calls.h`, where its fields are told."""

    _fields_ = (
        ("index", ctypes.c_void_p),
        ("slots", ctypes.c_int64),
        ("records", ctypes.c_void_p),
        ("used", ctypes.c_int64),
        ("keys", ctypes.c_void_p),
        ("n", ctypes.c_int64),
        ("first", ctypes.c_int64),
        ("low", ctypes.c_int64),
        ("high", ctypes.c_int64),
        ("positions", ctypes.c_void_p),
        ("left", ctypes.c_int64),
        ("base", ctypes.c_int64),
        ("fresh", ctypes.c_int64),
    )


def has_counting() -> bool:
    """Tell whether the functions here may be called."""
    return find_function(_COUNT) is not None


def sort_records(records: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a copy of `(n, 4)` contiguous records in the order of their keys."""
    found = np.empty_like(records)
    source, target = (ctypes.c_void_p(array.ctypes.data) for array in (records, found))
    call(_SORT, source, ctypes.c_int64(len(records)), target)
    return found


def insert_all(jobs: NDArray[np.int64]) -> None:
    """Do what `table.insert_all` does; a row of the jobs is a `ReluflowCount`."""
    call(_COUNT, ctypes.c_void_p(jobs.ctypes.data), ctypes.c_int64(len(jobs)))


def insert_share(
    index: NDArray[np.uint64],
    records: NDArray[np.uint64],
    used: int,
    keys: NDArray[np.uint64],
    first_index: int,
    low: int,
    high: int,
) -> tuple[int, int, NDArray[np.uint32]]:
    """Do what `threads.insert_share` does."""
    positions = np.empty(len(keys) + 1, np.uint32)
    share = _Share(
        index.ctypes.data,
        len(index),
        records.ctypes.data,
        used,
        keys.ctypes.data,
        len(keys),
        first_index,
        low,
        high,
        positions.ctypes.data,
    )
    call(_SHARE, ctypes.byref(share))
    return share.base, share.fresh, positions[: share.left]
