"""The default hash by the native library, where there is one."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.native import call, find_function

_FUNCTION = "reluflow_hash_v1"


class _Hash(ctypes.Structure):
    """`ReluflowHash` of `runtime/include/reluflow/calls.h`, which documents its fields."""

    _fields_ = (
        ("x", ctypes.c_void_p),
        ("doubles", ctypes.c_int64),
        ("units", ctypes.c_int64),
        ("inner", ctypes.c_int64),
        ("threshold", ctypes.c_double),
        ("words", ctypes.c_void_p),
        ("begin", ctypes.c_int64),
        ("end", ctypes.c_int64),
        ("keys", ctypes.c_void_p),
        ("active", ctypes.c_void_p),
        ("nonfinite", ctypes.c_int64),
    )


def has_hash() -> bool:
    """Tell whether `hash_natively` may be called."""
    return find_function(_FUNCTION) is not None


def hash_natively(
    x: NDArray[Any],
    words: NDArray[np.uint64],
    threshold: Any,
    start: int,
    stop: int,
    keys: NDArray[np.uint64],
    active: NDArray[np.int64],
) -> int:
    """Do what `hash_planar` and `hash_dense` do, for a C-contiguous `(outer, units, inner)` array.

    The arrays are read and written in place; other Python threads run meanwhile.

    Raises:
        OptionError: the environment variable `RELUFLOW_KERNEL` names unknown instructions.
    """
    _, units, inner = x.shape
    job = _Hash(
        x.ctypes.data,
        x.dtype == np.float64,
        units,
        inner,
        float(threshold),
        words.ctypes.data,
        start,
        stop,
        keys.ctypes.data,
        active.ctypes.data,
    )
    call(_FUNCTION, ctypes.byref(job))
    return int(job.nonfinite)
