"""CIFAR-10 and CIFAR-100, in their binary and in their Python version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.data.sets.batches import PIXELS, read_images, read_pickle
from reluflow.data.sets.joined import JoinedColumn, LoadedColumn
from reluflow.data.sources.blocks import BlockColumn
from reluflow.data.sources.column import Array, Column, MappedColumn
from reluflow.errors import DataError

SHAPE = (3, 32, 32)
Labels = NDArray[np.int64]
_TEN, _HUNDRED = 10, 100
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
FILES = {_TEN: {"train": _BATCHES, "test": ("test_batch",)}}
FILES[_HUNDRED] = {"train": ("train",), "test": ("test",)}
"""Names of the files by number of classes and split; those of the binary version end in .bin."""
_NAMES = {_TEN: ("batches.meta", "label_names"), _HUNDRED: ("meta", "fine_label_names")}
_NAMES_BINARY = {_TEN: "batches.meta.txt", _HUNDRED: "fine_label_names.txt"}


def is_cifar(folder: Path, classes: int) -> bool:
    """Tell whether a folder has the files of a version.

    Args:
        folder: where they would be.
        classes: 10 or 100.
    """
    names = [names[0] for names in FILES[classes].values()]
    if not all((folder / name).is_file() or (folder / f"{name}.bin").is_file() for name in names):
        return False
    # CIFAR-100's names are plain ones, so a file of class names has to be there too.
    return classes == _TEN or any(
        (folder / name).is_file() for name in (_NAMES[_HUNDRED][0], _NAMES_BINARY[_HUNDRED])
    )


def open_cifar(
    folder: Path, classes: int, split: str
) -> tuple[Column, Labels, tuple[str, ...], list[Path]]:
    """Open a split.

    Args:
        folder: of the files.
        classes: 10 or 100.
        split: "train" or "test".

    Returns:
        uint8 images `(3, 32, 32)`, red, green, blue; `(n,)` classes; their names; the files.

    Raises:
        DataError: a file is missing or damaged.
    """
    wanted = FILES[classes][split]
    is_binary = (folder / f"{wanted[0]}.bin").is_file()
    paths = [folder / (f"{name}.bin" if is_binary else name) for name in wanted]
    for path in paths:
        if not path.is_file():
            raise DataError(f"'{folder}' has no file {path.name}; download the data set again.")
    opened = [_binary(path, classes) if is_binary else _pickled(path, classes) for path in paths]
    labels = np.concatenate([labels for _, labels in opened])
    if len(labels) and labels.max() >= classes:
        raise DataError(
            f"'{folder}' has images of class {labels.max()}, but there are {classes} classes from "
            "0 on; download the data set again."
        )
    column = JoinedColumn([column for column, _ in opened])
    return column, labels, _names(folder, classes, is_binary), paths


def _binary(path: Path, classes: int) -> tuple[Column, Labels]:
    marks = 1 if classes == _TEN else 2  # CIFAR-100 stores the coarse class before the fine one
    size, rest = divmod(path.stat().st_size, marks + PIXELS)
    if rest or not size:
        raise DataError(
            f"'{path}' has {path.stat().st_size} bytes, no whole number of images of "
            f"{marks + PIXELS}; download the data set again."
        )
    records = BlockColumn(
        f"'{path}'", lambda: path.open("rb"), 0, (size, marks + PIXELS), np.dtype(np.uint8)
    )

    def images(batch: Array) -> Array:
        return np.ascontiguousarray(batch[:, marks:]).reshape(-1, *SHAPE)

    labels = [part[:, marks - 1].astype(np.int64) for part in records.stream(0, 1000)]
    return MappedColumn(records, images, SHAPE, records.dtype), np.concatenate(labels)


def _pickled(path: Path, classes: int) -> tuple[Column, Labels]:
    entry = "labels" if classes == _TEN else "fine_labels"
    _, labels = read_images(path, entry)
    return LoadedColumn(len(labels), SHAPE, lambda: read_images(path, entry)[0]), labels


def _names(folder: Path, classes: int, is_binary: bool) -> tuple[str, ...]:
    """Return the names of the classes, numbers where their file is missing."""
    file, entry = _NAMES[classes]
    found: Sequence[object] = ()
    if is_binary and (folder / _NAMES_BINARY[classes]).is_file():
        text = (folder / _NAMES_BINARY[classes]).read_text("utf-8", errors="replace")
        found = text.split()
    elif not is_binary and (folder / file).is_file():
        found = read_pickle(folder / file).get(entry, ())
    if len(found) != classes:
        return tuple(map(str, range(classes)))
    return tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in found)
