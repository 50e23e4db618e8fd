"""The correct answers, from files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data.answers import read_array
from reluflow.data.formats.idx import GZIP_MAGIC, idx_column, is_idx
from reluflow.data.sets.find import find_set
from reluflow.data.sets.standard import open_set
from reluflow.data.sources.places import open_binary, place_of
from reluflow.errors import DataError, OptionError


def read_labels(
    path: str | os.PathLike[str], name: str = "label", limit: int | None = None
) -> NDArray[np.int64]:
    """Read class numbers.

    Args:
        path: .npz with an array of that name, .npy, or idx, gzipped or not; recognised by the first
            bytes; or a standard data set, as for `open_set`.
        name: of the array in an .npz.
        limit: the first so many only.

    Returns:
        `(n,)` int64 class numbers.

    Raises:
        DataError: no such file or array, or it does not hold one whole number per input.

    Example:
        >>> read_labels("models/fashion_mnist_test_2000.npz", limit=4).tolist()
        [9, 2, 1, 1]
    """
    of_set = _labels_of_set(path)
    if of_set is not None:
        return of_set[:limit]
    file = place_of(path)
    if _begins_as_idx(file):
        column = idx_column(file)
        _check(file, column.dtype, (column.n_samples, *column.shape))
        parts = column.stream(0, column.n_samples)  # read to the end, where checksums are compared
        return np.concatenate(list(parts))[:limit].astype(np.int64)
    array = read_array(file, name)
    _check(file, array.dtype, array.shape)
    return array[:limit].astype(np.int64)


def read_answers(
    path: str | os.PathLike[str], name: str = "label", limit: int | None = None
) -> NDArray[Any]:
    """Read correct answers of any kind: class numbers, maps of them, bits, or numbers.

    Args:
        path: .npz with an array of that name, .npy, or idx, gzipped or not; or a standard data set.
        name: of the array in an .npz.
        limit: the first so many inputs only.

    Returns:
        `(n, ...)`, whole numbers as int64, others as they are.

    Raises:
        DataError: no such file or array, or it does not hold finite numbers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/masks.npy", np.ones((3, 2, 2), np.uint8))
        ...     found = read_answers(f"{folder}/masks.npy")
        >>> found.shape, found.dtype.name
        ((3, 2, 2), 'int64')
    """
    file = place_of(path)
    if _begins_as_idx(file) or find_set(path) is not None:
        return read_labels(file, name, limit)
    array = read_array(file, name)
    if array.ndim < 1 or array.dtype.kind not in "iubf" or not np.isfinite(array).all():
        raise DataError(
            f"labels of '{file}' are {array.dtype} {list(array.shape)}; give finite numbers, the "
            "first axis over the inputs."
        )
    whole = array.dtype.kind in "iu"
    return array[:limit].astype(np.int64) if whole else array[:limit]


def has_array(path: str | os.PathLike[str], name: str) -> bool:
    """Tell whether an .npz holds an array of this name; an unreadable file holds none.

    A standard data set with classes counts as one with an array "label".

    Args:
        path: of the file, which need not exist.
        name: of the array.

    Example:
        >>> file = "models/fashion_mnist_test_2000.npz"
        >>> has_array(file, "label"), has_array(file, "mask"), has_array("missing.npz", "label")
        (True, False, False)
    """
    if (place := find_set(path)) is not None:
        return name == "label" and open_set(place.folder, place.split).labels is not None
    if not (file := place_of(path)).is_file():
        return False  # reading a pipe would block
    try:
        with open_binary(file) as stream, zipfile.ZipFile(stream) as archive:
            return f"{name}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def check_label_name(name: str | None, file: str | os.PathLike[str] | None) -> None:
    """Refuse the name of an array where no archive could contain it.

    Args:
        name: of the array; None: none was given.
        file: of the correct answers; None: they do not come from a file. A missing file passes;
            reading it reports the error.

    Raises:
        OptionError: the name would have no effect.

    Example:
        >>> check_label_name("label", "models/fashion_mnist_test_2000.npz")
        >>> check_label_name(None, None)
    """
    path = None if file is None else place_of(file)
    may_hold = path is not None and (path.suffix == ".npz" or not path.is_file() or _is_zip(path))
    if name is not None and not may_hold:
        raise OptionError(
            "label_name is given, but does nothing without an .npz file of answers; leave it out, "
            "or give both."
        )


def read_targets(
    path: str | os.PathLike[str], name: str = "label", limit: int | None = None
) -> NDArray[np.float32]:
    """Read numbers that a model should give, for losses other than those of classes.

    Args:
        path: .npz with an array of that name, or .npy.
        name: of the array in an .npz.
        limit: the first so many inputs only.

    Returns:
        `(n, ...)` float32 targets.

    Raises:
        DataError: no such file or array, or it does not hold finite numbers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/data.npz", price=np.array([1.5, 2.5, 4.0]))
        ...     read_targets(f"{folder}/data.npz", "price", limit=2).tolist()
        [1.5, 2.5]
    """
    file = place_of(path)
    array = read_array(file, name)
    if array.ndim < 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise DataError(
            f"targets of '{file}' are {array.dtype} {list(array.shape)}; give finite numbers, the "
            "first axis over the inputs."
        )
    return array[:limit].astype(np.float32)


def _labels_of_set(path: str | os.PathLike[str]) -> NDArray[np.int64] | None:
    """Return the classes of a standard data set, None for any other path."""
    place = find_set(path)
    if place is None:
        return None
    found = open_set(place.folder, place.split)
    if found.labels is None:
        raise DataError(f"{found.title} has no classes; give another split.")
    return found.labels


def _check(file: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if len(shape) != 1 or dtype.kind not in "iu":
        raise DataError(
            f"labels of '{file}' are {dtype} {list(shape)}; give one whole number an input."
        )


def _is_zip(path: Path) -> bool:
    with open_binary(path) as stream:
        return zipfile.is_zipfile(stream)


def _begins_as_idx(file: Path) -> bool:
    if not file.is_file():
        return False  # reading it says what is wrong; a pipe would block
    try:
        with open_binary(file) as stream:
            head = stream.read(4)
    except OSError:
        return False
    return is_idx(head) or head.startswith(GZIP_MAGIC)
