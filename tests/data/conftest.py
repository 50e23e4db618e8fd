"""Code shared by the tests of the data room: specifications and writers of small files."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reluflow.data import Dim, InputSpec

_IDX_CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    code = _IDX_CODES[array.dtype.str[1:]]
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def input_spec(*shape: Dim, dtype: object = "float32", name: str = "x") -> InputSpec:
    return InputSpec(name, np.dtype(dtype), shape)  # type: ignore[call-overload]


@pytest.fixture
def spec() -> Callable[..., InputSpec]:
    """Make an InputSpec from its dimensions."""
    return input_spec


@pytest.fixture
def write_idx() -> Callable[[Path, np.ndarray[Any, Any]], Path]:
    """Write an array as an idx file."""

    def write(path: Path, array: np.ndarray[Any, Any]) -> Path:
        path.write_bytes(idx_bytes(array))
        return path

    return write
