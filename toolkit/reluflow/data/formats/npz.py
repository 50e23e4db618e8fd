"""The .npz archive: several arrays by name, streamed from the zip, never inflated completely."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reluflow.data.formats.npy import read_header
from reluflow.data.sources.blocks import READ_ERRORS, BlockColumn
from reluflow.data.sources.column import Column
from reluflow.data.sources.places import open_binary
from reluflow.data.sources.spec import InputSpec
from reluflow.data.sources.words import first_line, listing
from reluflow.errors import DataError


@dataclass(frozen=True, slots=True)
class NpzColumns:
    """The arrays of an archive that feed the model.

    Attributes:
        columns: input name -> samples.
        ignored: names of the other arrays.
    """

    columns: dict[str, Column]
    ignored: tuple[str, ...]


def npz_columns(path: Path, inputs: Sequence[InputSpec]) -> NpzColumns:
    """Open the arrays of an archive that the model's inputs name.

    An archive with one array feeds a model with one input, whatever their names.

    Args:
        path: the file.
        inputs: what the model wants.

    Returns:
        The columns and the names of the arrays that were ignored.

    Raises:
        DataError: not a zip file, damaged, an input without an array, or an array that cannot be
            read.
    """
    members = _members(path)
    wanted = [spec.name for spec in inputs]
    if len(members) == 1 and len(wanted) == 1:
        names = {wanted[0]: next(iter(members))}
    else:
        missing = [name for name in wanted if name not in members]
        if missing:
            keywords = ", ".join(f"'{name}': ..." for name in wanted)
            raise DataError(
                f"'{path}' holds the arrays {listing(members)}, but the model wants "
                f"{listing(wanted)}; save it with numpy.savez(path, **{{{keywords}}})."
            )
        names = {name: name for name in wanted}
    columns = {name: _column(path, members[key]) for name, key in names.items()}
    ignored = tuple(name for name in members if name not in names.values())
    return NpzColumns(columns, ignored)


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays of an archive.

    Raises:
        DataError: not a zip file, damaged, or without an array.
    """
    return list(_members(path))


def npz_array(path: Path, name: str) -> Column:
    """Open one array of an archive by its name; see `npz_columns` for what is refused."""
    return _column(path, _members(path)[name])


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    try:
        with open_binary(path) as file, zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    except (*READ_ERRORS, NotImplementedError) as error:
        raise DataError(
            f"'{path}' is no readable .npz archive ({first_line(error)}); "
            "write or download it again."
        ) from error
    members = {info.filename.removesuffix(".npy"): info for info in infos}
    if not members:
        raise DataError(f"'{path}' is a zip without any .npy array; save it with numpy.savez.")
    if len(members) < len(infos):
        raise DataError(f"'{path}' holds two arrays of one name; save it again with numpy.savez.")
    return members


class _Member(io.BufferedIOBase):
    """An open member that closes its archive when it is closed."""

    def __init__(self, path: Path, info: zipfile.ZipInfo) -> None:
        self._file = open_binary(path)
        try:
            self._stream = zipfile.ZipFile(self._file).open(info)
        except BaseException:
            self._file.close()
            raise

    def read(self, size: int | None = -1, /) -> bytes:
        return self._stream.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()


def _column(path: Path, info: zipfile.ZipInfo) -> Column:
    label = f"array '{info.filename.removesuffix('.npy')}' of '{path}'"

    def opener() -> IO[bytes]:
        return _Member(path, info)  # type: ignore[return-value]

    try:
        with opener() as stream:
            header = read_header(stream, label)
    except (*READ_ERRORS, NotImplementedError) as error:
        raise DataError(
            f"{label} cannot be opened ({first_line(error)}); write or download the file again."
        ) from error
    if header.offset + header.n_bytes != info.file_size:
        raise DataError(
            f"{label} is damaged: its header promises {header.n_bytes} bytes of elements, "
            f"the archive holds {info.file_size - header.offset}; write or download it again."
        )
    if header.fortran:
        raise DataError(
            f"{label} is in Fortran order, which cannot be streamed out of an archive; "
            "save numpy.ascontiguousarray(x) instead."
        )
    return BlockColumn(label, opener, header.offset, header.shape, header.dtype)
