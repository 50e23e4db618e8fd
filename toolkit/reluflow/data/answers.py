"""One complete array of a file: the correct answers for the inputs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from reluflow.data.formats.idx import GZIP_MAGIC, idx_column, is_idx
from reluflow.data.formats.npy import MAGIC, npy_column
from reluflow.data.formats.npz import array_names, npz_array
from reluflow.data.sources.blocks import READ_ERRORS
from reluflow.data.sources.column import Array, Column
from reluflow.data.sources.places import open_binary
from reluflow.data.sources.words import first_line, listing
from reluflow.errors import DataError

_FORMATS = ".npz, .npy or idx"
_BOMB_BYTES = 2**30
_BOMB_RATIO = 100


def read_array(path: Path, name: str, what: str = "labels") -> Array:
    """Read one complete array, with the same care as the inputs: nothing is unpickled.

    Args:
        path: .npz, .npy or idx, gzipped or not; recognised by the first bytes.
        name: of the array in an .npz.
        what: what the file should contain, for error messages.

    Returns:
        `(n, ...)`.

    Raises:
        DataError: no regular file, none of the formats, damaged, no array of that name, or an
            archive in which a few bytes would expand to more than a GiB.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{what} '{path}' are no regular file; give {_FORMATS}.")
        with open_binary(path) as stream:
            head = stream.read(16)
        column = _column(path, head, name, what)
        parts = list(column.stream(0, max(column.n_samples, 1)))
        return np.concatenate(parts) if parts else np.empty((0, *column.shape), column.dtype)
    except READ_ERRORS as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise DataError(
            f"{what} '{path}' cannot be read as {_FORMATS} ({reason}); save them with numpy.savez."
        ) from error


def _column(path: Path, head: bytes, name: str, what: str) -> Column:
    if head.startswith(MAGIC):
        return npy_column(path)
    if head.startswith(GZIP_MAGIC) or is_idx(head):
        return idx_column(path)
    if not head.startswith(b"PK"):
        raise DataError(
            f"{what} '{path}' cannot be read as {_FORMATS}; save them with numpy.savez."
        )
    names = array_names(path)
    if name not in names:
        raise DataError(
            f"'{path}' holds no array {name!r} but {listing(names)}; name the one with the {what}."
        )
    _refuse_bomb(path, name)
    return npz_array(path, name)


def _refuse_bomb(path: Path, name: str) -> None:
    with open_binary(path) as file, zipfile.ZipFile(file) as archive:
        info = archive.getinfo(f"{name}.npy")
    if info.file_size > max(_BOMB_BYTES, _BOMB_RATIO * info.compress_size):
        raise DataError(
            f"array {name!r} of '{path}' would grow from {info.compress_size:,} to "
            f"{info.file_size:,} bytes; save it again, as .npy, if that is meant."
        )
