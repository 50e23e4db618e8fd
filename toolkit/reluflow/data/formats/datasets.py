"""Datasets and loaders of torch, TensorFlow, Keras and Hugging Face; none of them is imported.

They are recognised by the names of their classes. A dataset with a length and an index becomes
columns, read by index as often as needed; everything else is iterated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluflow.data.formats.foreign import as_array
from reluflow.data.formats.items import Matched, is_sample, match_item
from reluflow.data.sources.column import Array, Column, native
from reluflow.data.sources.source import hash_array
from reluflow.data.sources.spec import InputSpec
from reluflow.data.sources.words import first_line, listing
from reluflow.errors import DataError

_TORCH = "torch.utils.data."
_ITERABLE = (
    "torch.utils.data.dataset.IterableDataset",
    "datasets.iterable_dataset.IterableDataset",
)
_DRAWN = tuple(
    f"torch.utils.data.sampler.{name}"
    for name in ("RandomSampler", "SubsetRandomSampler", "WeightedRandomSampler")
)
"""Samplers that give another order each time."""
_TENSORFLOW = "tensorflow.python.data.ops.dataset_ops.DatasetV2"
_HUGGING_FACE = "datasets.arrow_dataset.Dataset"
_SPLITS = ("datasets.dataset_dict.DatasetDict", "datasets.dataset_dict.IterableDatasetDict")


def _classes(source: object) -> list[str]:
    return [f"{kind.__module__}.{kind.__name__}" for kind in type(source).__mro__]


def refuse_splits(source: Any) -> None:
    """Refuse a dictionary of splits, and name them.

    Raises:
        DataError: it is one.
    """
    if any(name in _SPLITS for name in _classes(source)):
        splits = list(source)
        raise DataError(
            f"data are a {type(source).__name__} of the splits {listing(splits)}; "
            f"give one of them, for example data[{splits[0] if splits else 'train'!r}]."
        )


@dataclass(frozen=True, slots=True)
class Iterated:
    """How a dataset or loader is iterated.

    Attributes:
        source: what to iterate, or a function that returns it.
        labelled: whether items hold labels behind the inputs.
        once: why a second pass gives another order, with what to do; "" where it does not.
    """

    source: Any
    labelled: bool = False
    once: str = ""


def iterated(source: Any) -> Iterated:
    """Return how something is iterated; a plain iterable comes back as it is.

    Example:
        >>> iterated([1, 2])
        Iterated(source=[1, 2], labelled=False, once='')
    """
    names = _classes(source)
    if _ITERABLE[1] in names:
        plain = getattr(source, "_formatting", None) is None
        return Iterated(source.with_format("numpy") if plain else source, True)
    if _TENSORFLOW in names:
        return Iterated(source, True, _shuffled_by_tensorflow(source))
    if any(name.startswith(_TORCH) for name in names):
        ours = hasattr(source, "__getitem__") and _ITERABLE[0] not in names
        return Iterated(_by_index(source) if ours else source, True, _shuffled_by_torch(source))
    if not isinstance(source, Iterable) and is_indexed(source):
        return Iterated(_by_index(source), True)
    return Iterated(source)


def is_indexed(source: object) -> bool:
    """Tell whether something has a length and items by number, like a PyDataset of Keras."""
    return hasattr(source, "__getitem__") and hasattr(source, "__len__")


def _by_index(source: Any) -> Callable[[], Iterator[Any]]:
    return lambda: (source[at] for at in range(len(source)))


def _shuffled_by_torch(source: Any) -> str:
    samplers = [getattr(source, "sampler", None)]
    samplers.append(getattr(getattr(source, "batch_sampler", None), "sampler", None))
    if any(set(_DRAWN) & set(_classes(sampler)) for sampler in samplers):
        return (
            f"as this {type(source).__name__} shuffles them anew each time; give one with "
            "shuffle=False"
        )
    return ""


def _shuffled_by_tensorflow(source: Any) -> str:
    left = [source]
    while left:
        each = left.pop()
        if getattr(each, "_reshuffle_each_iteration", False):
            return (
                "as this tf.data.Dataset shuffles them anew each time; give one without shuffle, "
                "or shuffle with reshuffle_each_iteration=False"
            )
        inputs = getattr(each, "_inputs", None)
        left += list(inputs()) if callable(inputs) else []
    return ""


class Rows:
    """A dataset with a length and an index: its samples as arrays, by input.

    Attributes:
        n_samples: number of samples.
        matched: which parts of a sample feed the model; of the first one.
        first: input name -> `(1, ...)` array, the first sample.
    """

    def __init__(self, source: Any, inputs: tuple[InputSpec, ...]) -> None:
        self.source = source
        self.inputs = inputs
        self.by_columns = _HUGGING_FACE in _classes(source)
        self.n_samples = len(source)
        if self.n_samples == 0:
            raise DataError("data have zero samples: the dataset is empty; give at least one.")
        what = "sample 0 of the data"
        self.matched: Matched = match_item(self._item(0), inputs, what, labelled=True)
        if self.by_columns:
            self._keep_columns()
        self._held: tuple[list[int], dict[str, Array]] = ([], {})
        self.first = self.block([0])

    def _keep_columns(self) -> None:
        """Let a table decode only what the model reads, as numpy arrays of its own types."""
        names = [self.matched.taken.get(spec.name, spec.name) for spec in self.inputs]
        if self.source.format["type"] is None:
            self.source = self.source.with_format("numpy", columns=names)

    def _item(self, at: int) -> Any:
        return self.source[at]

    def block(self, indices: Sequence[int]) -> dict[str, Array]:
        """Return input name -> `(n, ...)` array of these samples; the last block is kept.

        Args:
            indices: of samples, ascending.

        Raises:
            DataError: a sample differs in shape or type from the first, or cannot be read.
        """
        wanted = list(indices)
        if self._held[0] != wanted:
            self._held = (wanted, self._read(wanted))
        return self._held[1]

    def _read(self, indices: list[int]) -> dict[str, Array]:
        if self.by_columns:
            rows = self.source[indices]
            parts = {
                spec.name: list(rows[self.matched.taken.get(spec.name, spec.name)])
                for spec in self.inputs
            }
        else:
            found = [self._values(at) for at in indices]
            parts = {spec.name: [each[spec.name] for each in found] for spec in self.inputs}
        return {name: _stacked(name, values, indices) for name, values in parts.items()}

    def _values(self, at: int) -> dict[str, Any]:
        what = f"sample {at} of the data"
        return match_item(self.source[at], self.inputs, what, labelled=True).values

    def holds_batches(self) -> bool:
        """Tell whether each item is a batch already, having the batch axis."""
        return all(
            spec.shape is not None and self.first[spec.name].ndim - 1 == len(spec.shape)
            for spec in self.inputs
        )

    def columns(self) -> dict[str, Column]:
        """Return one column per input."""
        return {spec.name: RowColumn(self, spec.name) for spec in self.inputs}

    def identity(self) -> dict[str, Any]:
        """Return what tells these data from others: type, length and first sample."""
        return {
            "dataset": _classes(self.source)[0],
            "n_samples": self.n_samples,
            "first": {name: hash_array(array) for name, array in self.first.items()},
            "fingerprint": str(getattr(self.source, "_fingerprint", "")),
        }

    def words(self) -> str:
        """Return a few words by which a person knows the data again."""
        return f"{_classes(self.source)[0].split('.')[0]} {type(self.source).__name__}"


class RowColumn(Column):
    """The samples of one input out of `Rows`."""

    def __init__(self, rows: Rows, name: str) -> None:
        self.rows = rows
        self.name = name
        self.n_samples = rows.n_samples
        self.shape = rows.first[name].shape[1:]
        self.dtype = rows.first[name].dtype

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield `(<= batch_size, *shape)` arrays."""
        for first in range(start, self.n_samples, batch_size):
            yield self._checked(range(first, min(first + batch_size, self.n_samples)))

    def take(self, indices: Sequence[int]) -> Array:
        """Return the samples at `indices`."""
        return self._checked([int(at) for at in indices])

    def _checked(self, indices: Sequence[int]) -> Array:
        found = self.rows.block(indices)[self.name]
        if found.shape[1:] != self.shape or found.dtype != self.dtype:
            raise DataError(
                f"samples {indices[0]} to {indices[-1]} of the data are {found.dtype} "
                f"{list(found.shape[1:])} for input '{self.name}', but the first is {self.dtype} "
                f"{list(self.shape)}; give samples of one shape and type, or a loader that makes "
                "batches of them."
            )
        return found


def _stacked(name: str, values: Sequence[object], indices: Sequence[int]) -> Array:
    arrays = [as_array(value, "a sample is", f" for input '{name}'") for value in values]
    try:
        return native(np.stack(arrays))
    except ValueError as error:
        raise DataError(
            f"samples {indices[0]} to {indices[-1]} of the data differ in shape for input "
            f"'{name}' ({first_line(error)}); give samples of one shape, or a loader that makes "
            "batches of them."
        ) from error


def open_rows(source: Any, inputs: tuple[InputSpec, ...]) -> Rows | None:
    """Return a dataset by index, or None where it is no such dataset, or one of whole batches.

    Args:
        source: anything.
        inputs: what the model wants.

    Raises:
        DataError: it is empty, or its first sample does not hold the inputs.
    """
    names = _classes(source)
    table = _HUGGING_FACE in names
    mapped = "torch.utils.data.dataset.Dataset" in names and _ITERABLE[0] not in names
    if not table and not (mapped and is_indexed(source)):
        return None
    rows = Rows(source, inputs)
    return None if rows.holds_batches() else rows


def with_batch_axis(
    values: dict[str, Array], inputs: Sequence[InputSpec], labelled: bool
) -> dict[str, Array]:
    """Return the arrays of one item with a batch axis, where all lack it and items may be samples.

    Args:
        values: input name -> array.
        inputs: what the model wants.
        labelled: whether the item comes from a dataset, whose items may be samples.
    """
    if labelled and all(is_sample(values[spec.name], spec) for spec in inputs):
        return {name: array[None] for name, array in values.items()}
    return values
