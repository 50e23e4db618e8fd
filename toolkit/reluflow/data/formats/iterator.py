"""Any Python iterable of batches, divided into batches of the requested size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from reluflow.data.formats.datasets import Iterated, iterated, with_batch_axis
from reluflow.data.formats.foreign import as_array
from reluflow.data.formats.items import match_item
from reluflow.data.sources.batch_size import check_multiple
from reluflow.data.sources.column import Array, native
from reluflow.data.sources.source import Batch, DataSource, fingerprint
from reluflow.data.sources.spec import DataDescription, InputSpec
from reluflow.data.sources.validate import check_array, check_lengths
from reluflow.data.sources.words import tensor
from reluflow.errors import DataError


class IteratorSource(DataSource):
    """Batches from an iterable, an iterator or a callable that returns one.

    Every item is a *batch*: its arrays have the model's full rank, the batch axis first.
    An item is one array (a model with one input), a tuple or list of arrays in input order,
    or a dict input name -> array; labels behind the inputs, or of other names, are left alone, and
    `notes` says so. Items of a dataset of torch, TensorFlow or Hugging Face may be samples without
    the batch axis. A batch never mixes samples of different shape: where an
    item's shape differs from the one before, a short batch ends there.
    An iterator or generator can be read once, an iterable or callable any number of times.
    The fingerprint covers the model's inputs and the limit only, never the values.

    Args:
        source: what is iterated.
        inputs: what the model wants, in its order.
        limit: use the first so many samples only.

    Example:
        >>> spec = InputSpec("x", np.dtype("float32"), ("N", 2))
        >>> pieces = (np.full((3, 2), number, np.float32) for number in range(4))
        >>> data = IteratorSource(pieces, (spec,), limit=10)
        >>> data.rereadable, [len(batch["x"]) for batch in data.batches(4)]
        (False, [4, 4, 2])
    """

    def __init__(
        self, source: object, inputs: tuple[InputSpec, ...], limit: int | None = None
    ) -> None:
        self.inputs = inputs
        self._given: Iterated = iterated(source)
        self._told = False
        self._limit = limit
        self._spent = False
        self._begun: Iterator[object] | None = None
        self.once = self._given.once
        again = callable(self._given.source) or not isinstance(source, Iterator)
        self.rereadable = again and not self.once
        described = {
            spec.name: str(spec.dtype) + " of unknown rank"
            if spec.shape is None
            else tensor(spec.dtype, spec.shape[1:])
            for spec in inputs
        }
        self.description = DataDescription(
            kind="iterator",
            source=f"Python {type(source).__name__}",
            n_samples=None,
            inputs=described,
            preprocessing={},
            fingerprint=fingerprint("iterator", described, limit),
        )

    def first(self) -> Batch | None:
        """Return the first sample as a batch of one; its item is kept for the next reader."""
        items = self._open()
        item = next(items, None)
        self._begun = items if item is None else itertools.chain([item], items)
        if item is None:
            return None
        batch = self._batch(item, 0)
        return {k: a[:1] for k, a in batch.items()} if all(map(len, batch.values())) else None

    def _open(self) -> Iterator[object]:
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return begun
        if self._spent and not self.rereadable:
            if self.once:
                self.check_rereadable()
            raise DataError(
                "data are an iterator that has been read already and cannot start again; "
                "give a list, a dataset or a function that returns a new iterator."
            )
        self._spent = True
        source: Any = self._given.source() if callable(self._given.source) else self._given.source
        if not isinstance(source, Iterable):
            raise DataError(
                f"data came from a function that returned {type(source).__name__}; "
                "let it return an iterator of batches."
            )
        return iter(source)

    def _batch(self, item: object, number: int) -> Batch:
        """Return an item as a checked batch, and keep what is to be said of the first one."""
        what = f"item {number} of the data"
        found = match_item(item, self.inputs, what, labelled=self._given.labelled)
        if not self._told:
            self._told, self.notes = True, found.sentences()
        return as_batch(found.values, self.inputs, what, labelled=self._given.labelled)

    def _batches(self, batch_size: int, start: int) -> Iterator[Batch]:
        seen = start
        for batch in rechunk(self._pieces(start), batch_size):
            length = len(next(iter(batch.values())))
            seen += length
            if length < batch_size:
                check_multiple(length, self.inputs)
            yield batch
        if seen == 0:
            raise DataError(
                "data have zero samples: the iterator yielded nothing; give at least one."
            )

    def _take(self, indices: Sequence[int]) -> Batch:
        found: list[Batch] = []
        left = list(indices)
        first = 0
        for item in self._pieces(0):
            length = len(next(iter(item.values())))
            rows = [index - first for index in left if index < first + length]
            if rows:
                found.append({name: array[rows] for name, array in item.items()})
                left = left[len(rows) :]
            first += length
            if not left:
                break
        if left:
            raise DataError(
                f"data have {first} samples, so sample {left[0]} is not among them; give numbers "
                f"below {first}."
            )
        return {name: _join([part[name] for part in found]) for name in found[0]}

    def _pieces(self, start: int) -> Iterator[Batch]:
        """Yield checked items without the first `start` samples and those past the limit."""
        skip, left = start, None if self._limit is None else self._limit - start
        for number, item in enumerate(self._open()):
            if left is not None and left <= 0:
                return
            batch = self._batch(item, number)
            length = len(next(iter(batch.values())))
            if skip >= length:
                skip -= length
                continue
            stop = length if left is None else min(length, skip + left)
            yield {name: array[skip:stop] for name, array in batch.items()}
            left = None if left is None else left - (stop - skip)
            skip = 0


def as_batch(
    values: Mapping[str, object],
    inputs: Sequence[InputSpec],
    what: str,
    *,
    labelled: bool = False,
) -> Batch:
    """Turn the values of one item into a checked batch.

    Args:
        values: input name -> anything array-like.
        inputs: what the model wants.
        what: the item, in words that begin a sentence.
        labelled: whether items come from a dataset and may be samples.

    Returns:
        Input name -> array, C-contiguous, in native byte order.

    Raises:
        DataError: shapes, types or lengths are not what the model expects.
    """
    arrays = {
        spec.name: as_array(values[spec.name], f"{what} gives", f" for input '{spec.name}'")
        for spec in inputs
    }
    arrays = with_batch_axis(arrays, inputs, labelled)
    batch = {spec.name: _checked(arrays[spec.name], spec, what) for spec in inputs}
    check_lengths({name: len(array) for name, array in batch.items()}, f"{what} has")
    return batch


def _checked(array: Array, spec: InputSpec, what: str) -> Array:
    try:
        check_array(spec, array.dtype, array.shape)
    except DataError as error:
        raise DataError(f"{what}: {error}") from None
    return native(array)


def rechunk(pieces: Iterable[Batch], batch_size: int) -> Iterator[Batch]:
    """Regroup batches of any length into batches of one length, in order.

    At most one piece and one batch are held in memory. A piece that is long enough is sliced in
    place; only what crosses a boundary is copied.

    Args:
        pieces: batches of any length.
        batch_size: samples per batch.

    Returns:
        Batches of `batch_size` samples; shorter at the end and where sample shapes change.

    Example:
        >>> parts = [{"x": np.zeros((3, 2))}, {"x": np.zeros((4, 2))}]
        >>> [len(batch["x"]) for batch in rechunk(parts, 5)]
        [5, 2]
    """
    held: Batch = {}
    filled = 0
    for piece in pieces:
        length = len(next(iter(piece.values())))
        if filled and any(held[name].shape[1:] != piece[name].shape[1:] for name in held):
            yield {name: array[:filled] for name, array in held.items()}
            held, filled = {}, 0
        at = 0
        while at < length:
            if filled == 0 and length - at >= batch_size:
                yield {name: array[at : at + batch_size] for name, array in piece.items()}
                at += batch_size
                continue
            if filled == 0:
                held = {n: np.empty((batch_size, *a.shape[1:]), a.dtype) for n, a in piece.items()}
            step = min(batch_size - filled, length - at)
            for name, array in piece.items():
                held[name][filled : filled + step] = array[at : at + step]
            filled, at = filled + step, at + step
            if filled == batch_size:
                yield held
                held, filled = {}, 0
    if filled:
        yield {name: array[:filled] for name, array in held.items()}


def _join(parts: list[Array]) -> Array:
    if len({part.shape[1:] for part in parts}) > 1:
        raise DataError(
            "the samples at these indices differ in shape, so they do not fit one array; "
            "take them one at a time."
        )
    return np.concatenate(parts)


def is_batches(source: object) -> bool:
    """Tell whether a source can be read as an iterator of batches."""
    return isinstance(source, Iterable) or isinstance(source, Callable)  # type: ignore[arg-type]
