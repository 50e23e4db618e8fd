"""Writing a model so that it works wherever it is put, external data included."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from onnx import ModelProto, TensorProto

from reluflow.errors import ModelError, OutputError
from reluflow.files import appearing, what_stands_there
from reluflow.graph.proto.external import (
    SMALL_ELEMENTS,
    elements,
    external_part,
    is_external,
    walk_graphs,
    walk_tensors,
)

_PIECE = 2**22
"""Bytes copied at a time from one file of weights to another: bounds memory."""
_ALIGNMENT = 64
"""A tensor's offset in its file is a multiple of this many bytes."""
_TYPED_BYTES = 8
"""The most that one number takes in a typed field of a tensor, such as float_data."""
PROTOBUF_LIMIT = 2**31 - 2**20
"""Bytes that one protobuf file may take, with room for its own framing."""


def save_model(
    proto: ModelProto, base_dir: Path | None, path: Path, limit: int = PROTOBUF_LIMIT
) -> None:
    """Write a model and the files that it needs.

    Args:
        proto: the model, not changed.
        base_dir: folder that its external data lie in.
        path: file to write.
        limit: bytes above which in-memory weights go to a file of their own.

    Raises:
        OutputError: a file cannot be written.
    """
    folder = path.parent
    try:
        if not folder.is_dir():
            raise OutputError(
                f"cannot write {str(path)!r}: the folder {str(folder)!r} does not exist; "
                "make it first."
            )
        proto = _place_external(proto, base_dir or Path(), path)
        if memory_bytes(proto) > limit:
            proto = _externalise(proto, path, limit)
        with _new_file(path) as file:
            file.write(proto.SerializeToString())
    except OSError as error:
        raise OutputError(
            f"cannot write {str(path)!r}: {error.strerror or error}; choose a writable place."
        ) from error


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield an open file that becomes `path` if everything succeeds."""
    what = what_stands_there(path)
    if what == "a folder":
        raise OutputError(f"cannot write {str(path)!r}: it is a folder; give the path of a file.")
    if what:
        raise OutputError(
            f"cannot write {str(path)!r}: it is {what}, which would be replaced by a file; give "
            "the path of a new file."
        )
    with appearing(path) as partial, partial.open("wb") as file:
        yield file


def _place_external(proto: ModelProto, base: Path, path: Path) -> ModelProto:
    """Put external data files where a model saved at `path` finds them."""
    locations = dict.fromkeys(
        external_part(tensor).location for tensor in walk_tensors(proto) if is_external(tensor)
    )
    renamed = {}
    for location in locations:
        placed = _place(base / location, path, location)
        if placed != location:
            renamed[location] = placed
    if not renamed:
        return proto
    copy = ModelProto()
    copy.CopyFrom(proto)
    for tensor in walk_tensors(copy):
        for entry in tensor.external_data if is_external(tensor) else ():
            if entry.key == "location" and entry.value in renamed:
                entry.value = renamed[entry.value]
    return copy


def _place(source: Path, path: Path, location: str) -> str:
    """Copy one data file next to `path`; return its location.

    A hard link would be cheaper, but ONNX refuses data files that have several names.
    """
    for candidate in _candidates(path, location):
        target = path.parent / candidate
        if target.exists():
            if target.samefile(source) or filecmp.cmp(source, target):
                return candidate
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with _new_file(target) as file, open(source, "rb") as original:
            _copy_with_holes(original, file)
        shutil.copystat(source, target)
        return candidate
    raise AssertionError("unreachable: candidates never end")


def _copy_with_holes(original: IO[bytes], file: IO[bytes]) -> None:
    """Copy a file; holes in the original remain holes in the copy."""
    size = os.fstat(original.fileno()).st_size
    at = 0
    while at < size:
        at, end = _next_data(original.fileno(), at, size)
        original.seek(at)
        file.seek(at)
        while at < end and (piece := original.read(min(_PIECE, end - at))):
            at += file.write(piece)
        if at < end:
            break
    file.truncate(size)


def _next_data(descriptor: int, at: int, size: int) -> tuple[int, int]:
    """Return where the next data after a position start and end; (size, size) after the last."""
    if not hasattr(os, "SEEK_DATA"):
        return at, size
    try:
        start = os.lseek(descriptor, at, os.SEEK_DATA)
        return start, os.lseek(descriptor, start, os.SEEK_HOLE)
    except OSError as error:
        return (size, size) if error.errno == errno.ENXIO else (at, size)


def _candidates(path: Path, location: str) -> Iterator[str]:
    """Yield the location itself, then alternatives in case a file of that name exists."""
    yield location
    number = 0
    while True:
        suffix = f".{number}" if number else ""
        yield f"{path.stem}.{Path(location).name}{suffix}"
        number += 1


def memory_bytes(proto: ModelProto) -> int:
    """Return about how many bytes the tensors in a protobuf take, without external ones."""
    return sum(
        len(tensor.raw_data) if tensor.HasField("raw_data") else _TYPED_BYTES * elements(tensor)
        for tensor in walk_tensors(proto)
        if not is_external(tensor)
    )


def _externalise(proto: ModelProto, path: Path, limit: int) -> ModelProto:
    """Return a copy whose large raw initializers are in `<name>.data`, and write that file."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    data_path = path.with_name(f"{path.name}.data")
    with _new_file(data_path) as file:
        for graph in walk_graphs(copy):
            for tensor in graph.initializer:
                if tensor.HasField("raw_data") and elements(tensor) > SMALL_ELEMENTS:
                    _move_out(tensor, data_path.name, file.tell, file.write)
        left = memory_bytes(copy)
        if left > limit:
            raise ModelError(
                f"the model keeps {left} bytes of weights outside its initializers' raw data, "
                "where they cannot be moved to a file; export it again with external data."
            )
    return copy


def _move_out(
    tensor: TensorProto,
    location: str,
    tell: Callable[[], int],
    write: Callable[[bytes], int],
) -> None:
    data = tensor.raw_data
    # a cache line, and more than any element's size: a mapped file then has aligned numbers
    write(b"\0" * (-tell() % _ALIGNMENT))
    entries = {"location": location, "offset": str(tell()), "length": str(len(data))}
    write(data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
