"""The right answers, and how often a model gives them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError


def read_labels(
    path: str | os.PathLike[str], name: str = "label", limit: int | None = None
) -> NDArray[np.int64]:
    """Read class numbers.

    Args:
        path: .npz with an array of that name, or .npy.
        name: of the array in an .npz.
        limit: the first so many only.

    Returns:
        `(n,)` class numbers.

    Raises:
        DataError: no such file or array, or it does not hold one whole number an input.
    """
    file = Path(path)
    try:
        loaded = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"labels '{file}' cannot be read as .npz or .npy; save them with numpy.savez"
        ) from error
    if isinstance(loaded, np.ndarray):
        array = loaded
    else:
        with loaded:
            if name not in loaded.files:
                raise DataError(
                    f"'{file}' holds no array {name!r} but {', '.join(loaded.files) or 'none'}; "
                    "name the one with the class numbers"
                )
            array = loaded[name]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"labels of '{file}' are {array.dtype} {list(array.shape)}; "
            "give one whole number an input"
        )
    return array[:limit].astype(np.int64)


def accuracy(outputs: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the share of inputs whose largest output is that of the label.

    Args:
        outputs: `(n, classes)`; axes of size 1 behind it do not count.
        labels: `(n,)`.

    Example:
        >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
        0.5
    """
    chosen = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return float(np.mean(chosen == labels))
