"""The samples of one input, read in order or by index: the parts of every stored source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Column(ABC):
    """The samples that feed one input of a model.

    Attributes:
        n_samples: number of samples.
        shape: of one sample, without the batch axis.
        dtype: element type in native byte order.
    """

    n_samples: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield `(<= batch_size, *shape)` arrays from sample `start` to the end."""

    @abstractmethod
    def take(self, indices: Sequence[int]) -> Array:
        """Return the samples at `indices`, ascending and unique, as `(n, *shape)`."""


def native(array: Array) -> Array:
    """Return the array C-contiguous and in native byte order, copied only where needed.

    Example:
        >>> native(np.array([1, 2], ">i2")).dtype.isnative
        True
    """
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


class ArrayColumn(Column):
    """An array in memory (or one that numpy maps from a file)."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.n_samples = array.shape[0]
        self.shape = array.shape[1:]
        self.dtype = array.dtype.newbyteorder("=")

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield slices; views where the array is contiguous and native already."""
        for first in range(start, self.n_samples, batch_size):
            yield native(self.array[first : first + batch_size])

    def take(self, indices: Sequence[int]) -> Array:
        """Return the samples at `indices`."""
        return native(self.array[np.asarray(indices, np.intp)])


@dataclass
class MappedColumn(Column):
    """Another column with a function applied to each batch.

    Attributes:
        base: the raw samples.
        function: maps `(n, *base.shape)` to `(n, *shape)`, sample by sample.
        shape: of one sample after the function.
        dtype: after the function.
    """

    base: Column
    function: Callable[[Array], Array]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        self.n_samples = self.base.n_samples

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield the mapped batches."""
        for batch in self.base.stream(start, batch_size):
            yield self.function(batch)

    def take(self, indices: Sequence[int]) -> Array:
        """Return the mapped samples at `indices`."""
        return self.function(self.base.take(indices))


class PickedColumn(Column):
    """Samples that lie in a file each: a batch is picked sample by sample."""

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield batches of picked samples."""
        for first in range(start, self.n_samples, batch_size):
            yield self.take(range(first, min(first + batch_size, self.n_samples)))


class LimitedColumn(Column):
    """The first `limit` samples of another column."""

    def __init__(self, base: Column, limit: int) -> None:
        self.base = base
        self.n_samples = min(limit, base.n_samples)
        self.shape = base.shape
        self.dtype = base.dtype

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield batches up to the limit."""
        left = self.n_samples - start
        if left <= 0:
            return
        for batch in self.base.stream(start, min(batch_size, left)):
            yield batch[:left]
            left -= len(batch)
            if left <= 0:
                return

    def take(self, indices: Sequence[int]) -> Array:
        """Return the samples at `indices`."""
        return self.base.take(indices)
