"""Samples stored one after the other in a byte stream: .npy, members of .npz, idx, idx.gz."""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from reluflow.data.sources.column import Array, Column
from reluflow.data.sources.places import open_binary
from reluflow.data.sources.words import first_line
from reluflow.errors import DataError

READ_ERRORS = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,
    ValueError,
    MemoryError,
)
_BLOCK_BYTES = 1 << 22


class BlockColumn(Column):
    """C-ordered samples that start at a byte offset of a stream which can seek forwards.

    The stream is opened again for every pass and never mapped: a file that shrinks while it is read
    causes an error message, not a bus error, and resident memory stays at one batch.
    """

    def __init__(
        self,
        label: str,
        opener: Callable[[], IO[bytes]],
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.label = label
        self.n_samples = shape[0]
        self.shape = shape[1:]
        self.dtype = dtype.newbyteorder("=")
        self._opener = opener
        self._offset = offset
        self._stored = dtype
        self._sample_bytes = math.prod(shape[1:]) * dtype.itemsize

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield batches read one at a time."""
        try:
            with self._opener() as stream:
                stream.seek(self._offset + start * self._sample_bytes)
                for first in range(start, self.n_samples, batch_size):
                    yield self._read(stream, min(batch_size, self.n_samples - first))
                while start < self.n_samples and stream.read(_BLOCK_BYTES):
                    pass  # reaching the end makes gzip and zip compare their checksum
        except READ_ERRORS as error:
            raise self._failure(error) from error

    def take(self, indices: Sequence[int]) -> Array:
        """Return the samples at `indices` in one forward pass."""
        parts = np.empty((len(indices), *self.shape), self.dtype)
        try:
            with self._opener() as stream:
                for row, index in enumerate(indices):
                    stream.seek(self._offset + index * self._sample_bytes)
                    parts[row] = self._read(stream, 1)[0]
        except READ_ERRORS as error:
            raise self._failure(error) from error
        return parts

    def _read(self, stream: IO[bytes], count: int) -> Array:
        raw = read_exactly(stream, count * self._sample_bytes)
        return as_native(raw, self._stored).reshape(count, *self.shape)

    def _failure(self, error: BaseException) -> DataError:
        if isinstance(error, MemoryError):
            return DataError(
                f"{self.label} has samples of {self._sample_bytes} bytes, and a batch of them does "
                "not fit into memory; use a smaller batch size."
            )
        reason = first_line(error)
        return DataError(
            f"{self.label} cannot be read to its end ({reason}); "
            "the file is damaged or incomplete: write or download it again."
        )


def read_exactly(stream: IO[bytes], n_bytes: int) -> Array:
    """Read `n_bytes` bytes.

    Args:
        stream: open at the right place.
        n_bytes: how many bytes.

    Returns:
        `(n_bytes,)` uint8.

    Raises:
        EOFError: the stream ends earlier.
    """
    raw = np.empty(n_bytes, np.uint8)
    view = raw.data
    done = 0
    while done < n_bytes:
        got = stream.readinto(view[done : done + _BLOCK_BYTES])  # type: ignore[attr-defined]
        if not got:
            raise EOFError(f"it ends {n_bytes - done} bytes too early")
        done += got
    return raw


def as_native(raw: Array, stored: np.dtype[Any]) -> Array:
    """Give raw bytes their element type, in native byte order.

    Args:
        raw: `(n_bytes,)` uint8, overwritten when bytes have to be swapped.
        stored: element type as stored.

    Returns:
        `(n_elements,)` in native byte order; any non-zero byte is True for bool.
    """
    if stored == np.bool_:
        return np.not_equal(raw, 0)
    array: Array = raw.view(stored)
    if not stored.isnative:
        return np.asarray(array.byteswap(inplace=True).view(stored.newbyteorder("=")))
    return array


class FortranColumn(BlockColumn):
    """A Fortran-ordered array: the sample index runs fastest, so each element needs its own seek.

    It is slower than C order, but memory stays at one batch.
    """

    def __init__(
        self, label: str, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        super().__init__(label, lambda: open_binary(path), offset, shape, dtype)

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield batches gathered element by element."""
        try:
            with self._opener() as stream:
                for first in range(start, self.n_samples, batch_size):
                    yield self._gather(stream, first, min(batch_size, self.n_samples - first))
        except READ_ERRORS as error:
            raise self._failure(error) from error

    def take(self, indices: Sequence[int]) -> Array:
        """Return the samples at `indices`."""
        try:
            with self._opener() as stream:
                return np.concatenate([self._gather(stream, index, 1) for index in indices])
        except READ_ERRORS as error:
            raise self._failure(error) from error

    def _gather(self, stream: IO[bytes], first: int, count: int) -> Array:
        itemsize = self._stored.itemsize
        elements = math.prod(self.shape)
        raw = np.empty((elements, count * itemsize), np.uint8)
        for element in range(elements):
            stream.seek(self._offset + (element * self.n_samples + first) * itemsize)
            raw[element] = read_exactly(stream, count * itemsize)
        flat = as_native(raw.reshape(-1), self._stored).reshape(*self.shape[::-1], count)
        return np.ascontiguousarray(flat.T)
