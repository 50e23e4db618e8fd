"""A source of batches: the interface that all kinds of data offer to the other rooms."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from reluflow.data.sources.batch_size import (
    DEFAULT_BATCH,
    agreed_batch_size,
    check_batch_size,
    check_multiple,
)
from reluflow.data.sources.column import Array, Column
from reluflow.data.sources.spec import DataDescription, InputSpec
from reluflow.data.sources.validate import check_array, check_lengths
from reluflow.data.sources.words import tensor
from reluflow.errors import DataError, OptionError

Batch = dict[str, Array]
_HASHED_BYTES = 1 << 22
"""Bytes hashed at a time: a memory-mapped array of any size is never completely in memory."""


class DataSource(ABC):
    """Batches of all inputs of a model, one in memory at a time.

    Attributes:
        inputs: what the model wants, in its order.
        description: where the data come from, as kept in results.
        rereadable: whether the data can be read a second time.
        once: why not, with what to give instead; "" where an iterator is simply spent.
        notes: sentences on what of the data is left alone; of an iterator once it has been read.

    Example:
        >>> from reluflow.data import open_data
        >>> spec = InputSpec("x", np.dtype("float32"), ("N", 3))
        >>> data = open_data(np.arange(15, dtype=np.float32).reshape(5, 3), [spec])
        >>> data.n_samples, [len(batch["x"]) for batch in data.batches(2)]
        (5, [2, 2, 1])
        >>> data.take([4, 0])["x"].tolist(), data.first()["x"].tolist()
        ([[12.0, 13.0, 14.0], [0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]])
        >>> data.fitting_batch_size(None), data.fitting_batch_size(2)
        (64, 2)
        >>> data.check_batch(2)
        >>> data.check_rereadable()
    """

    inputs: tuple[InputSpec, ...]
    description: DataDescription
    rereadable: bool = True
    once: str = ""
    notes: tuple[str, ...] = ()

    @property
    def n_samples(self) -> int | None:
        """The number of samples, None while unknown."""
        return self.description.n_samples

    def batches(self, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Yield input name -> `(n, ...)` array, C-contiguous, in native byte order.

        Args:
            batch_size: samples per batch; the last batch may be shorter.
            start: the first sample.

        Returns:
            An iterator; whatever it yields may be overwritten or freed once it moves on.

        Raises:
            OptionError: the batch size or start is not accepted.
            DataError: see `check_batch`; while iterating, when the data turn out damaged or of
                wrong shape.
        """
        self.check_batch(batch_size)
        n_samples = self.n_samples
        if isinstance(start, bool) or not isinstance(start, int | np.integer) or start < 0:
            raise OptionError(f"start is {start!r}; give a sample number of at least 0.")
        if n_samples is not None and start > n_samples:
            raise OptionError(
                f"start is {start}, but the data have only {n_samples} samples; give {n_samples} "
                "at most."
            )
        return self._batches(int(batch_size), int(start))

    def fitting_batch_size(self, wanted: int | None, default: int = DEFAULT_BATCH) -> int:
        """Return the model's own batch size, the requested one, or the default.

        Args:
            wanted: the requested batch size, at least 1; None: any will do.
            default: where neither the model nor the caller names one.

        Raises:
            OptionError: the model is made for another batch size than the requested one.
        """
        agreed = agreed_batch_size(self.inputs, wanted)
        return default if agreed is None else agreed

    def check_batch(self, batch_size: int) -> None:
        """Refuse a batch size that the model or the number of samples does not allow.

        Args:
            batch_size: samples per batch.

        Raises:
            OptionError: the model has another fixed batch size.
            DataError: a fixed batch size that does not divide the number of samples.
        """
        check_batch_size(batch_size, self.inputs)
        if self.n_samples is not None:
            check_multiple(self.n_samples, self.inputs)

    def check_rereadable(self) -> None:
        """Refuse data that can be read only once, where several passes are needed.

        Raises:
            DataError: they are such.
        """
        if not self.rereadable:
            why = f", {self.once}." if self.once else "; save them to a file and give its path."
            raise DataError(f"the data can be read once only{why}")

    def take(self, indices: Sequence[int]) -> Batch:
        """Read single samples again.

        Args:
            indices: sample numbers, in any order, repeats allowed.

        Returns:
            Input name -> `(len(indices), ...)` array in the order of `indices`.

        Raises:
            OptionError: an index out of range.
            DataError: the data cannot be read a second time, or are damaged.
        """
        wanted = [int(index) for index in indices]
        n_samples = self.n_samples
        for index in wanted:
            if index < 0 or (n_samples is not None and index >= n_samples):
                count = "an unknown number of" if n_samples is None else n_samples
                raise OptionError(
                    f"indices hold {index}, but the data have {count} samples; give numbers of "
                    "samples that are there, from 0 on."
                )
        if not wanted:
            raise OptionError("indices are empty; give at least one sample number.")
        order = sorted(set(wanted))
        rows = np.searchsorted(order, wanted)
        return {name: array[rows] for name, array in self._take(order).items()}

    def first(self) -> Batch | None:
        """Return the first sample as a batch of one, None where there is none; nothing is consumed.

        Raises:
            DataError: the data cannot be read, or do not fit the model.
        """
        return None if self.n_samples == 0 else self._take([0])

    @abstractmethod
    def _batches(self, batch_size: int, start: int) -> Iterator[Batch]:
        """Yield the batches; the arguments are checked."""

    @abstractmethod
    def _take(self, indices: Sequence[int]) -> Batch:
        """Return the samples at `indices`, which ascend and are unique."""


class ColumnSource(DataSource):
    """One column per input, all of the same length."""

    def __init__(
        self,
        columns: Mapping[str, Column],
        inputs: tuple[InputSpec, ...],
        *,
        kind: str,
        source: str,
        preprocessing: Mapping[str, Any],
        identity: object,
    ) -> None:
        """Check the columns against the model.

        Args:
            columns: input name -> its samples.
            inputs: what the model wants.
            kind: see `DataDescription`.
            source: see `DataDescription`.
            preprocessing: see `DataDescription`.
            identity: plain JSON values that distinguish these data from others.

        Raises:
            DataError: a column does not fit its input, or lengths differ.
        """
        self.inputs = inputs
        self.columns = dict(columns)
        lengths = {name: column.n_samples for name, column in columns.items()}
        n_samples = check_lengths(lengths, f"'{source}' has")
        for spec in inputs:
            column = columns[spec.name]
            check_array(spec, column.dtype, (n_samples, *column.shape))
        described = {s.name: tensor(columns[s.name].dtype, columns[s.name].shape) for s in inputs}
        self.description = DataDescription(
            kind=kind,
            source=source,
            n_samples=n_samples,
            inputs=described,
            preprocessing=dict(preprocessing),
            fingerprint=fingerprint(kind, n_samples, described, dict(preprocessing), identity),
        )

    def _batches(self, batch_size: int, start: int) -> Iterator[Batch]:
        names = [spec.name for spec in self.inputs]
        streams = [self.columns[name].stream(start, batch_size) for name in names]
        for arrays in zip(*streams, strict=True):
            yield dict(zip(names, arrays, strict=True))

    def _take(self, indices: Sequence[int]) -> Batch:
        try:
            return {spec.name: self.columns[spec.name].take(indices) for spec in self.inputs}
        except MemoryError as error:
            raise DataError(
                f"{len(indices)} samples do not fit into memory at once; take fewer."
            ) from error


def fingerprint(*parts: object) -> str:
    """Return the SHA-256 of canonical JSON, 64 hexadecimal digits.

    Example:
        >>> fingerprint("npy", 3) == fingerprint("npy", 3) != fingerprint("npy", 4)
        True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_array(array: Array) -> str:
    """Return the SHA-256 of an array's bytes in C order, read block by block."""
    digest = hashlib.sha256()
    step = max(1, _HASHED_BYTES // max(1, array[:1].nbytes))
    for first in range(0, len(array), step):
        block = np.ascontiguousarray(array[first : first + step])
        digest.update(block.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
