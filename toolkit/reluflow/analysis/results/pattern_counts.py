"""Every distinct pattern of a site, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from reluflow.frames import Shown, Tabular

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 20


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PatternCounts(Tabular):
    """All distinct patterns of one site and how often each was seen.

    `reluflow.count_patterns` and `reluflow.read_patterns` return one per site. A frame has the
    columns of `patterns.parquet`: `fingerprint` (16 bytes), `count`, `first_index`.

    Attributes:
        site: its name.
        fingerprints: `(n, 2)` uint64, the high and the low word of each pattern, ascending.
        counts: `(n,)` int64, samples that showed it, exact.
        first_index: `(n,)` int64, number of the first sample that showed it, in the order in which
            the site saw them: of an input with `positions` samples, input * positions + position.

    Example:
        >>> keys = np.array([[0, 1], [0, 9]], np.uint64)
        >>> found = PatternCounts("relu", keys, np.array([3, 5]), np.array([0, 2]))
        >>> len(found), found.samples, found.hexadecimal()[1][-4:]
        (2, 8, '0009')

    Reference: thesis, equation 3.3.
    """

    site: str
    fingerprints: NDArray[np.uint64]
    counts: NDArray[np.int64]
    first_index: NDArray[np.int64]

    _shown: ClassVar[Shown] = {
        "fingerprint": ("fingerprint", "text"),
        "count": ("count", "count"),
        "first index": ("first_index", "count"),
    }

    def __len__(self) -> int:
        """Number of distinct patterns."""
        return len(self.counts)

    @property
    def samples(self) -> int:
        """Number of samples, repeats included."""
        return int(self.counts.sum())

    def hexadecimal(self) -> list[str]:
        """Return the fingerprints as 32 hexadecimal digits each, as reports write them."""
        return [f"{high:016x}{low:016x}" for high, low in self.fingerprints.tolist()]

    def _heading(self) -> str:
        return f"{self.site}: {len(self):,} patterns of {self.samples:,} samples"

    def _records(self) -> Sequence[dict[str, Any]]:
        columns = (self.hexadecimal(), self.counts.tolist(), self.first_index.tolist())
        names = ("fingerprint", "count", "first_index")
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        order = np.argsort(-self.counts, kind="stable")[:_SHOWN]
        few = PatternCounts(
            self.site, self.fingerprints[order], self.counts[order], self.first_index[order]
        )
        return super(PatternCounts, few)._rows()

    def _sentences(self) -> Sequence[str]:
        return [f"The {_SHOWN} most frequent are shown."] if len(self) > _SHOWN else []

    def to_arrow(self) -> pa.Table:
        """Return one row per pattern: `fingerprint` (16 bytes), `count`, `first_index` (int64)."""
        import pyarrow as pa

        data = pa.py_buffer(np.ascontiguousarray(self.fingerprints, dtype=">u8").tobytes())
        fingerprint = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(self), [None, data])
        return pa.table(
            {
                "fingerprint": fingerprint,
                "count": pa.array(self.counts, pa.int64()),
                "first_index": pa.array(self.first_index, pa.int64()),
            }
        )


Chunk = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]


def join_chunks(site: str, chunks: Iterable[Chunk]) -> PatternCounts:
    """Return the patterns of a site from parts of its table.

    Args:
        site: its name.
        chunks: keys `(n, 2)`, counts `(n,)` and first samples `(n,)`, in ascending order of keys.

    Example:
        >>> part = np.array([[0, 1]], np.uint64), np.array([2]), np.array([0])
        >>> len(join_chunks("relu", [part]))
        1
    """
    empty = np.zeros((0, 2), np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys, counts, first = zip(*[empty, *chunks], strict=True)
    return PatternCounts(site, np.concatenate(keys), np.concatenate(counts), np.concatenate(first))
