"""The classes of inputs: given, in a file, or in the archive of the inputs."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data.labels import read_labels
from reluflow.data.sets.standard import open_set
from reluflow.data.sources.source import DataSource
from reluflow.errors import DataError

_NAMES = ("label", "labels")
Classes = tuple[NDArray[np.int64] | None, str]


def find_classes(labels: Any, source: DataSource) -> Classes:
    """Return the classes of the inputs and where they came from; None and "" without.

    Args:
        labels: `(n,)` whole numbers, one per input, or a file as for `read_labels`; None looks
            for an array "label" or "labels" in the .npz that the inputs come from, and takes the
            classes of a standard data set.
        source: the inputs.

    Returns:
        `(n,)` int64 classes or None, and the description of their origin that a report shows.

    Raises:
        DataError: labels were given that cannot be read or are too few.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> inputs = load("models/fashion_resnet8.onnx").inputs
        >>> data = open_data("models/fashion_mnist_test_2000.npz", inputs)
        >>> labels, origin = find_classes(None, data)
        >>> labels[:4].tolist(), origin
        ([9, 2, 1, 1], "array 'label' of models/fashion_mnist_test_2000.npz")
    """
    if labels is None:
        return _beside(source)
    if isinstance(labels, str | os.PathLike):
        return _enough(read_labels(labels), source), os.fspath(labels)
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"labels are {array.dtype} {list(array.shape)}; give one whole number an input."
        )
    return _enough(array.astype(np.int64), source), "labels given"


def _beside(source: DataSource) -> Classes:
    if source.description.kind == "set":
        found_set = open_set(source.description.source)
        if found_set.labels is None:
            return None, ""
        return _enough(found_set.labels, source), f"the classes of {found_set.title}"
    ignored = source.description.preprocessing.get("ignored", ())
    for name in _NAMES:
        if source.description.kind == "npz" and name in ignored:
            try:
                found = _enough(read_labels(source.description.source, name), source)
            except DataError:  # an array of another kind that merely has this name
                continue
            return found, f"array {name!r} of {source.description.source}"
    return None, ""


def _enough(labels: NDArray[np.int64], source: DataSource) -> NDArray[np.int64]:
    n = source.n_samples
    if n is not None and len(labels) < n:
        raise DataError(f"labels are {len(labels)}, but the data have {n} inputs; give one each.")
    return labels
