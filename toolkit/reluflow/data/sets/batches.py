"""Batches of CIFAR's Python version: pickles, read without running anything that they name."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data.sources.words import first_line
from reluflow.errors import DataError

PIXELS = 3 * 32 * 32
_MOST_BYTES = 1 << 28
"""Of a file: the largest of them, CIFAR-100's, has 155 MB."""
_VERSION = 1
"""Of the state that numpy pickles for an array: version, shape, type, order, bytes."""


class _Type:
    """What a pickle says of numpy's type of elements; nothing of numpy is called."""

    def __init__(self, name: Any, *rest: Any) -> None:
        self.name = _text(name)

    def __setstate__(self, state: Any) -> None:
        pass


class _Bytes:
    """What a pickle says of numpy's array, as plain values."""

    def __init__(self, *given: Any) -> None:
        self.shape: Any = ()
        self.kind = ""
        self.content: Any = b""

    def __setstate__(self, state: Any) -> None:
        version, self.shape, kind, is_fortran, self.content = state
        self.kind = kind.name
        if version != _VERSION or is_fortran:
            self.kind = "of another layout"


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> _Bytes:
    found = _Bytes()
    found.__setstate__((_VERSION, shape, kind, order != "C", content))
    return found


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Bytes,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encoded,
}
for _core in ("core", "_core"):
    _ALLOWED[f"numpy.{_core}.multiarray", "_reconstruct"] = _Bytes
    _ALLOWED[f"numpy.{_core}.numeric", "_frombuffer"] = _from_buffer


class _Reader(pickle._Unpickler):
    """Python's own unpickler, whose memory follows the file, with the names above and no others."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None


def read_pickle(path: Path) -> dict[str, Any]:
    """Read a dictionary of plain values and arrays of bytes.

    Args:
        path: of the file, from an untrusted place.

    Returns:
        Its entries by name; arrays are uint8, as stored.

    Raises:
        DataError: the file is no such pickle, or names anything but numpy's arrays of bytes.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(
                f"'{path}' has {path.stat().st_size:,} bytes, more than any file of CIFAR; "
                "download the data set again."
            )
        with path.open("rb") as file:
            found = _Reader(file, encoding="bytes").load()
        return {_text(name): _plain(value) for name, value in found.items()}
    except DataError:
        raise
    except Exception as error:  # a damaged pickle fails in any of a dozen ways
        raise DataError(
            f"'{path}' cannot be read as a file of CIFAR's Python version ({first_line(error)}); "
            "download the data set again."
        ) from error


def read_images(path: Path, labels: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the images of one file and their classes.

    Args:
        path: of the file.
        labels: entry with the classes, "labels" or "fine_labels".

    Returns:
        `(n, 3, 32, 32)` uint8 images, red, green, blue, and `(n,)` classes.

    Raises:
        DataError: the file does not hold them.
    """
    found = read_pickle(path)
    images, classes = found.get("data"), found.get(labels)
    images = images if isinstance(images, np.ndarray) else np.zeros(0, np.uint8)
    fits = (
        len(images) > 0
        and images.shape[1:] == (PIXELS,)
        and isinstance(classes, list)
        and len(classes) == len(images)
        and all(isinstance(each, int) and each >= 0 for each in classes)
    )
    if not fits:
        raise DataError(
            f"'{path}' does not hold 'data' of {PIXELS} bytes an image and as many {labels!r}; "
            "download the data set again."
        )
    return images.reshape(-1, 3, 32, 32), np.array(classes, np.int64)


def _plain(value: Any) -> Any:
    if not isinstance(value, _Bytes):
        return value
    if value.kind not in ("u1", "|u1"):
        raise ValueError(f"it holds an array {value.kind}")
    return np.frombuffer(value.content, np.uint8).reshape(value.shape)


def _text(name: Any) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)
