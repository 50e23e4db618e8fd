"""The idx format of MNIST and its relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from reluflow.data.sources.blocks import READ_ERRORS, BlockColumn
from reluflow.data.sources.column import Column
from reluflow.data.sources.places import open_binary
from reluflow.data.sources.validate import check_kind
from reluflow.data.sources.words import first_line
from reluflow.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
_MAGIC = 4
"""Bytes of the magic number: two zeros, the type of the elements, the number of axes."""
_AXES = 3
"""Position of the number of axes in it; one big-endian uint32 per axis follows."""
_MOST_DEFLATED = 1032
"""Bytes that one byte of gzip's can stand for."""
_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def is_idx(head: bytes) -> bool:
    """Tell whether a file begins as idx files do.

    Example:
        >>> is_idx(bytes([0, 0, 8, 3]))
        True
    """
    return len(head) >= _MAGIC and head[:2] == b"\0\0" and head[2] in _TYPES and head[_AXES] > 0


def idx_column(path: Path) -> Column:
    """Open an idx file, gzipped or not, without reading its elements.

    Args:
        path: the file.

    Returns:
        Its samples along the first axis.

    Raises:
        DataError: not an idx file, or a truncated one.
    """
    label = f"'{path}'"
    with open_binary(path) as file:
        zipped = file.read(2) == GZIP_MAGIC

    def opener() -> IO[bytes]:
        return _unzipped(path) if zipped else open_binary(path)

    try:
        with opener() as stream:
            shape, dtype = _header(stream, label)
            offset = stream.tell()
    except READ_ERRORS as error:
        raise DataError(
            f"{label} cannot be read ({first_line(error)}); write or download it again."
        ) from error
    check_kind(f"the data of {label}", dtype, shape)
    promised = math.prod(shape) * dtype.itemsize
    held = path.stat().st_size - (0 if zipped else offset)
    if promised > _MOST_DEFLATED * held if zipped else promised != held:
        most = f"its {held} bytes cannot hold so many" if zipped else f"{held} are there"
        raise DataError(
            f"{label} is damaged: its header promises {promised} bytes of elements, {most}; write "
            "or download it again."
        )
    return BlockColumn(label, opener, offset, shape, dtype)


def _unzipped(path: Path) -> IO[bytes]:
    if isinstance(path, Path):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return cast("IO[bytes]", gzip.GzipFile(fileobj=open_binary(path)))


def _header(stream: IO[bytes], label: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    head = stream.read(_MAGIC)
    if not is_idx(head):
        raise DataError(
            f"{label} does not begin as an idx file does (first bytes {head.hex(' ') or 'none'}); "
            "give an uncompressed or gzipped idx file such as MNIST's."
        )
    sizes = struct.Struct(f">{head[_AXES]}I")
    raw = stream.read(sizes.size)
    if len(raw) < sizes.size:
        raise DataError(f"{label} ends within its header; write or download it again.")
    return sizes.unpack(raw), _TYPES[head[2]]
