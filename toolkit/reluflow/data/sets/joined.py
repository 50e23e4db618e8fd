"""Several files of samples as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from reluflow.data.sources.column import Array, ArrayColumn, Column


class LoadedColumn(Column):
    """Samples of a file that is read as a whole, whenever it is needed, and not kept."""

    def __init__(self, n_samples: int, shape: tuple[int, ...], load: Callable[[], Array]) -> None:
        self.n_samples, self.shape, self.dtype = n_samples, shape, np.dtype(np.uint8)
        self._load = load

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield batches of the loaded file."""
        yield from ArrayColumn(self._load()).stream(start, batch_size)

    def take(self, indices: Sequence[int]) -> Array:
        """Return the samples at `indices`."""
        return ArrayColumn(self._load()).take(indices)


class JoinedColumn(Column):
    """The samples of several columns, one after the other; a batch may reach over their ends."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = list(columns)
        self.n_samples = sum(each.n_samples for each in columns)
        self.shape, self.dtype = columns[0].shape, columns[0].dtype

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield full batches, the last one apart."""
        held, filled = np.empty((batch_size, *self.shape), self.dtype), 0
        for column in self.columns:
            if start >= column.n_samples:
                start -= column.n_samples
                continue
            for piece in column.stream(start, batch_size):
                rest = piece
                while len(rest):
                    taken = rest[: batch_size - filled]
                    held[filled : filled + len(taken)] = taken
                    filled += len(taken)
                    rest = rest[len(taken) :]
                    if filled == batch_size:
                        yield held
                        held, filled = np.empty_like(held), 0
            start = 0
        if filled:
            yield held[:filled]

    def take(self, indices: Sequence[int]) -> Array:
        """Return the samples at `indices`, each file read once."""
        wanted, first, parts = np.asarray(indices), 0, []
        for column in self.columns:
            here = wanted[(wanted >= first) & (wanted < first + column.n_samples)] - first
            if len(here):
                parts.append(column.take(here.tolist()))
            first += column.n_samples
        return np.concatenate(parts)
