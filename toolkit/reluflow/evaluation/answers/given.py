"""What an evaluation compares with: the correct answers, or those of the float model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data import check_label_name, find_set, has_array, read_answers
from reluflow.errors import OptionError

_NAME = "label"


def choose_answers(
    labels: Any,
    data: Any,
    name: str | None = None,
    *,
    limit: int | None = None,
    has_float: bool = True,
) -> tuple[NDArray[Any] | None, str | None]:
    """Return the correct answers, None where those of the float model are used, and a note on that.

    Args:
        labels: the answers, or a file of them (.npz, .npy, idx); None: the array `name` of the
            .npz that the inputs come from, if it holds one.
        data: the inputs; relevant where they are the path of an .npz.
        name: array of an .npz with the answers; None: "label", if there is one.
        limit: the first so many inputs only.
        has_float: whether there is a float model whose answers can be used.

    Returns:
        `(n, ...)` answers or None, and the sentence that says why they are None.

    Raises:
        OptionError: there is nothing to compare with, or `name` is given without an archive.
        DataError: the file cannot be read, or has no such array.

    Example:
        >>> import numpy as np
        >>> images = "models/fashion_mnist_test_2000.npz"
        >>> answers, note = choose_answers(None, images, limit=3)
        >>> answers.shape, note
        ((3,), None)
        >>> choose_answers(None, np.zeros((2, 4)))[1]
        'No labels are given: all is judged by the answers of the float model.'
    """
    file = _file(labels) if labels is not None else _archive(data)
    check_label_name(name, file)
    if labels is not None and file is None:
        return np.asarray(labels)[:limit], None
    wanted = _NAME if name is None else name
    if file is not None and (labels is not None or name is not None or has_array(file, wanted)):
        return read_answers(file, wanted, limit), None
    why = "no labels are given" if file is None else f"{str(file)!r} holds no array {wanted!r}"
    if not has_float:
        raise OptionError(
            f"{why}, and the float model that the file was converted from is not named, so there "
            "is nothing to judge by; give float_model, labels or label_name."
        )
    return None, f"{why[0].upper()}{why[1:]}: all is judged by the answers of the float model."


def _file(given: Any) -> Path | None:
    return Path(given) if isinstance(given, str | os.PathLike) else None


def _archive(data: Any) -> Path | None:
    """Return the file of the inputs where it may also hold answers."""
    file = _file(data)
    if file is None or file.suffix == ".npz":
        return file
    return file if find_set(file) is not None else None
