"""The .npy format: numpy reads the header, and the samples are read batch by batch."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from reluflow.data.sources.blocks import BlockColumn, FortranColumn
from reluflow.data.sources.column import Array, Column, MappedColumn
from reluflow.data.sources.places import open_binary
from reluflow.data.sources.spec import InputSpec
from reluflow.data.sources.validate import check_kind
from reluflow.data.sources.words import first_line
from reluflow.errors import DataError

MAGIC = b"\x93NUMPY"


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """The header of a .npy file.

    Attributes:
        shape: of the whole array.
        dtype: as stored, byte order included.
        fortran: whether the first axis runs fastest.
        offset: where the elements begin, in bytes.
        n_bytes: of the elements.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int
    n_bytes: int


def read_header(stream: IO[bytes], label: str) -> NpyHeader:
    """Read and check a .npy header; nothing is ever unpickled.

    Args:
        stream: at the beginning of the file.
        label: the file, in words that begin a sentence.

    Returns:
        The header.

    Raises:
        DataError: not a .npy file, damaged, Python objects, records, or a single number.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = npy_format.read_magic(stream)
            if version == (1, 0):
                header = npy_format.read_array_header_1_0(stream)
            elif version == (2, 0):
                header = npy_format.read_array_header_2_0(stream)
            else:
                raise ValueError(f"format version {version[0]}.{version[1]} holds records")
    except Exception as error:  # the parser of the literal raises many types
        raise DataError(
            f"{label} is no readable .npy array ({first_line(error)}); save it again with numpy."
        ) from error
    shape, fortran, dtype = header
    check_kind(label_plural(label), dtype, shape)
    one_order = sum(dim > 1 for dim in shape) <= 1
    return NpyHeader(
        shape=tuple(int(dim) for dim in shape),
        dtype=dtype,
        fortran=bool(fortran) and not one_order,
        offset=stream.tell(),
        n_bytes=math.prod(shape) * dtype.itemsize,
    )


def label_plural(label: str) -> str:
    """Turn a file into the subject of a sentence about its data."""
    return f"the data of {label}"


def npy_column(path: Path) -> Column:
    """Open a .npy file without reading its elements.

    Args:
        path: the file.

    Returns:
        Its samples along the first axis.

    Raises:
        DataError: see `read_header`; also a file shorter than its header promises.
    """
    label = f"'{path}'"
    with open_binary(path) as stream:
        header = read_header(stream, label)
    have = path.stat().st_size - header.offset
    if have < header.n_bytes:
        raise DataError(
            f"{label} is truncated: its header promises {header.n_bytes} bytes of elements, "
            f"{have} are there; write or download it again."
        )
    if header.fortran:
        return FortranColumn(label, path, header.offset, header.shape, header.dtype)
    return BlockColumn(label, partial(open_binary, path), header.offset, header.shape, header.dtype)


def with_small_float(column: Column, spec: InputSpec) -> Column:
    """Read void elements as the model's small float (bfloat16, float8), if sizes agree.

    numpy writes the types of ml_dtypes to .npy files as bare bytes; this reverses it.
    """
    if column.dtype.kind != "V" or column.dtype.itemsize != spec.dtype.itemsize:
        return column
    if spec.dtype.kind != "V" or column.dtype == spec.dtype:
        return column

    def view(batch: Array) -> Array:
        return batch.view(spec.dtype)

    return MappedColumn(column, view, column.shape, spec.dtype)
