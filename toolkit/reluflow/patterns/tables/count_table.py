"""The finished counts: unique patterns sorted by key, in memory or in a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.patterns.tables.records import (
    CHUNK,
    MemorySource,
    Records,
    Source,
    chunks,
    merge_sources,
    upper_bound,
    write_run,
)

Chunk = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class CountTable:
    """Pattern counts in canonical order: sorted by key, every key once.

    Two tables of the same samples are equal bit for bit, however the samples were divided.

    Attributes:
        total: number of distinct patterns.
        samples: N, the sum of all counts.
        source: where the sorted records are; private to the room.

    Example:
        >>> table = CountTable.from_keys(np.array([[5, 0], [2, 0], [5, 0]], np.uint64))
        >>> keys, counts, first = table.top(1)
        >>> keys.tolist(), counts.tolist(), first.tolist()
        ([[5, 0]], [2], [0])
        >>> [counts.tolist() for _, counts, _ in table.iter_chunks(size=1)]
        [[1], [2]]
        >>> [array.tolist() for array in table.count_histogram()]
        [[1, 2], [1, 1]]
        >>> CountTable.from_records(np.array([[2, 0, 1, 1], [5, 0, 2, 0]], np.uint64)) == table
        True
        >>> CountTable.from_counts(np.array([3, 0, 1])).total  # of the thesis' table
        2

    Reference: docs/spec.md, section 2, counts.
    """

    total: int
    samples: int
    source: Source

    @classmethod
    def from_keys(cls, keys: NDArray[np.uint64], first_index: int = 0) -> CountTable:
        """Count an array of keys in memory.

        Args:
            keys: `(n, 2)` uint64.
            first_index: global index of the first sample.

        Returns:
            The table.

        Raises:
            OptionError: wrong type or shape.

        Example:
            >>> table = CountTable.from_keys(np.array([[5, 0], [2, 0], [5, 0]], np.uint64))
            >>> table.total, table.samples
            (2, 3)
        """
        check_keys(keys)
        records = np.empty((len(keys), 4), np.uint64)
        records[:, :2] = keys
        records[:, 2] = 1
        records[:, 3] = np.arange(first_index, first_index + len(keys), dtype=np.uint64)
        order = np.lexsort((records[:, 3], records[:, 1], records[:, 0]))
        records = records[order]
        fresh = np.ones(len(records), np.bool_)
        fresh[1:] = (records[1:, :2] != records[:-1, :2]).any(axis=1)
        starts = np.flatnonzero(fresh)
        out = records[starts]
        out[:, 2] = np.diff(starts, append=len(records))
        return cls.from_records(out)

    @classmethod
    def from_counts(cls, counts: NDArray[np.int64]) -> CountTable:
        """Return a fixed-size table of the thesis as a count table, so that all measures apply.

        Args:
            counts: `(table_size,)` from `thesis_counts`; slot i becomes key (i, 0). The first
                sample of a slot is not known and left 0.

        Reference: thesis 3.1.2, Algorithm 2.
        """
        used = np.flatnonzero(counts)
        records = np.zeros((len(used), 4), np.uint64)
        records[:, 0] = used
        records[:, 2] = counts[used]
        return cls.from_records(records)

    @classmethod
    def from_records(cls, records: Records) -> CountTable:
        """Return a table over records that are sorted by key and unique already.

        Args:
            records: `(n, 4)` uint64: the two words of the key, count, first sample.
        """
        return cls(len(records), int(records[:, 2].sum()), MemorySource(records))

    @property
    def in_memory(self) -> bool:
        """Whether the counts are held in memory rather than in a file."""
        return isinstance(self.source, MemorySource)

    def iter_chunks(self, size: int = CHUNK) -> Iterator[Chunk]:
        """Yield (keys `(n, 2)`, counts `(n,)`, first `(n,)`) in ascending order of the keys.

        Args:
            size: patterns per chunk; only the last one may hold fewer.
        """
        for piece in chunks(self.source, size):
            yield (
                np.ascontiguousarray(piece[:, :2]),
                piece[:, 2].astype(np.int64),
                piece[:, 3].astype(np.int64),
            )

    def count_histogram(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how often patterns were seen, and how many of them that often; ascending.

        Returns:
            `(k,)` counts that occur, ascending, and `(k,)` how many patterns have each.
        """
        values = np.zeros(0, np.int64)
        multiplicities = np.zeros(0, np.int64)
        for _, counts, _ in self.iter_chunks():
            more, how_many = np.unique(counts, return_counts=True)
            both = np.concatenate([values, more])
            weights = np.concatenate([multiplicities, how_many])
            values, inverse = np.unique(both, return_inverse=True)
            multiplicities = np.zeros(len(values), np.int64)
            np.add.at(multiplicities, inverse, weights)
        return values, multiplicities

    def top(self, k: int) -> Chunk:
        """Return (keys, counts, first) of the k most frequent patterns; ties in order of the key.

        Args:
            k: at least 0; fewer are returned when there are fewer patterns.
        """
        best = np.zeros((0, 4), np.uint64)
        for piece in chunks(self.source):
            if len(best) >= k > 0:
                piece = piece[piece[:, 2] > best[-1, 2]]
            both = np.concatenate([best, piece])
            order = np.lexsort((both[:, 1], both[:, 0], ~both[:, 2]))[:k]
            best = both[order]
        return best[:, :2].copy(), best[:, 2].astype(np.int64), best[:, 3].astype(np.int64)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CountTable):
            return NotImplemented
        if (self.total, self.samples) != (other.total, other.samples):
            return False
        pairs = zip(chunks(self.source), chunks(other.source), strict=True)
        return all(np.array_equal(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]


def check_keys(keys: NDArray[np.uint64]) -> None:
    """Raise OptionError unless `keys` is `(n, 2)` uint64."""
    if keys.dtype != np.uint64 or keys.ndim != 2 or keys.shape[1] != 2:
        raise OptionError(
            f"keys is {keys.dtype} {list(keys.shape)}, but uint64 [n, 2] is wanted; "
            "pass the keys of fingerprint()."
        )


def merge(a: CountTable, b: CountTable, directory: Path | None = None) -> CountTable:
    """Return the sum of two tables of counts; associative and commutative.

    Args:
        a: counts of some samples.
        b: counts of other samples.
        directory: where the result is written, needed when one of them is in a file.

    Raises:
        OptionError: a table is in a file and `directory` is None.
        OutputError: the directory cannot be written.

    Example:
        >>> a = CountTable.from_keys(np.array([[5, 0], [2, 0]], np.uint64))
        >>> b = CountTable.from_keys(np.array([[5, 0]], np.uint64), first_index=2)
        >>> merge(a, b) == merge(b, a), merge(a, b).samples
        (True, 3)

    Reference: docs/spec.md, section 2, counts.
    """
    if directory is None and not (a.in_memory and b.in_memory):
        raise OptionError(
            "directory is None, but one of the tables lives in a file; "
            "name a directory where the merged table may be written."
        )
    pieces = merge_sources([a.source, b.source])
    if directory is None:
        parts = list(pieces)
        empty = np.zeros((0, 4), np.uint64)
        return CountTable.from_records(np.concatenate(parts) if parts else empty)
    written = write_run(directory, pieces)
    return CountTable(len(written), a.samples + b.samples, written)


def merge_join(
    a: CountTable, b: CountTable
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Yield the counts in `a` and in `b` of the patterns in both, piece by piece."""
    walks = [_Walk(a.source), _Walk(b.source)]
    while len(walks[0].buffer) and len(walks[1].buffer):
        left, right = (_as_keys(w.buffer) for w in walks)
        _, in_a, in_b = np.intersect1d(left, right, assume_unique=True, return_indices=True)
        yield walks[0].buffer[in_a, 2], walks[1].buffer[in_b, 2]
        ends = [tuple(w.buffer[-1, :2].tolist()) for w in walks]
        for walk in walks:
            walk.drop(min(ends))


def _as_keys(records: Records) -> NDArray[np.void]:
    return np.ascontiguousarray(records[:, :2]).view([("k0", "<u8"), ("k1", "<u8")])[:, 0]


class _Walk:
    """A walk over sorted records that drops those that both sides have passed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0
        self.buffer = np.zeros((0, 4), np.uint64)
        self._fill()

    def _fill(self) -> None:
        self.buffer = self._source.read(self._position, CHUNK)
        self._position += len(self.buffer)

    def drop(self, end: tuple[int, ...]) -> None:
        cut = upper_bound(self.buffer, np.uint64(end[0]), np.uint64(end[1]))
        self.buffer = self.buffer[cut:]
        if not len(self.buffer):
            self._fill()
