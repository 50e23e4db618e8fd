"""Sorted records (key 0, key 1, count, first sample): sorting, merging, files of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import numba
import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OutputError
from reluflow.files import appearing
from reluflow.patterns.tables import native

Records = NDArray[np.uint64]
"""`(n, 4)` uint64, sorted by (key 0, key 1), keys unique."""

RECORD_BYTES = 32
CHUNK = 1 << 16
"""Records per chunk: 2 MiB."""

_BUCKET = 128


@numba.njit(nogil=True, cache=True)
def _merge_two(a, b, out):  # type: ignore[no-untyped-def]
    i, j, n = 0, 0, 0
    while i < a.shape[0] and j < b.shape[0]:
        same = a[i, 0] == b[j, 0] and a[i, 1] == b[j, 1]
        a_first = a[i, 0] < b[j, 0] or (a[i, 0] == b[j, 0] and a[i, 1] < b[j, 1])
        source, k = (a, i) if (same or a_first) else (b, j)
        for c in range(4):
            out[n, c] = source[k, c]
        if same:
            out[n, 2] += b[j, 2]
            out[n, 3] = min(a[i, 3], b[j, 3])
        if same or a_first:
            i += 1
        if same or not a_first:
            j += 1
        n += 1
    for k in range(i, a.shape[0]):
        out[n] = a[k]
        n += 1
    for k in range(j, b.shape[0]):
        out[n] = b[k]
        n += 1
    return n


@numba.njit(nogil=True, cache=True)
def upper_bound(records, k0, k1):  # type: ignore[no-untyped-def]
    """Return how many records have a key at most (k0, k1)."""
    low, high = 0, records.shape[0]
    while low < high:
        middle = (low + high) // 2
        r0, r1 = records[middle, 0], records[middle, 1]
        if r0 < k0 or (r0 == k0 and r1 <= k1):
            low = middle + 1
        else:
            high = middle
    return low


def merge_two(a: Records, b: Records) -> Records:
    """Return the union of two sorted sets of records, counts added, `first` the smaller."""
    out = np.empty((len(a) + len(b), 4), np.uint64)
    return out[: _merge_two(a, b, out)]


@numba.njit(nogil=True, cache=True)
def _bucket_order(records, bits, order):  # type: ignore[no-untyped-def]
    """Sort by the first `bits` bits of the key, then each bucket by insertion.

    Return False, with `order` unusable, when the keys crowd into few buckets.
    """
    n = records.shape[0]
    shift = np.uint64(64 - bits)
    ends = np.zeros((1 << bits) + 1, np.int64)
    for i in range(n):
        ends[np.int64(records[i, 0] >> shift) + 1] += 1
    if ends.max() > _BUCKET:
        return False
    for k in range(1, ends.shape[0]):
        ends[k] += ends[k - 1]
    high = np.empty(n, np.uint64)
    for i in range(n):
        k0 = records[i, 0]
        bucket = np.int64(k0 >> shift)
        at = ends[bucket]
        ends[bucket] += 1
        high[at] = k0
        order[at] = i
    begin = 0
    for k in range(1 << bits):
        end = ends[k]
        for i in range(begin + 1, end):
            k0, index = high[i], order[i]
            j = i - 1
            while j >= begin and (
                high[j] > k0 or (high[j] == k0 and records[order[j], 1] > records[index, 1])
            ):
                high[j + 1], order[j + 1] = high[j], order[j]
                j -= 1
            high[j + 1], order[j + 1] = k0, index
        begin = end
    return True


def sort_order(records: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return the order that sorts records by key, keys unique."""
    order = np.empty(len(records), np.intp)
    bits = max(1, len(records).bit_length() - 3)
    if _bucket_order(records, bits, order):
        return order
    return np.lexsort((records[:, 1], records[:, 0]))


def sort_records(records: NDArray[np.uint64]) -> Records:
    """Return records in the order of their keys, by the native library where there is one."""
    if native.has_counting():
        return native.sort_records(records)
    return records[sort_order(records)]


class Source(Protocol):
    """A source of sorted records, read piece by piece."""

    def read(self, start: int, count: int) -> Records:
        """Return records `start` to `start + count`, fewer at the end."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class MemorySource:
    """Sorted records in memory."""

    records: Records

    def read(self, start: int, count: int) -> Records:
        """Return records `start` to `start + count`, fewer at the end."""
        return self.records[start : start + count]

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True, slots=True)
class FileSource:
    """Sorted records in a file that never changes.

    Attributes:
        path: the file, `n` records of 32 bytes, little-endian.
        n: number of records.
        keep: whatever must outlive the file's use (a temporary directory).
    """

    path: Path
    n: int
    keep: object = field(default=None, compare=False, repr=False)

    def read(self, start: int, count: int) -> Records:
        """Return records `start` to `start + count`, fewer at the end."""
        count = max(0, min(count, self.n - start))
        try:
            flat = np.fromfile(self.path, dtype="<u8", count=4 * count, offset=RECORD_BYTES * start)
        except OSError as error:
            raise OutputError(
                f"the run file {self.path} of the pattern counts cannot be read ({error}); "
                "keep the spill directory until the counts are finished, then run again."
            ) from error
        if len(flat) != 4 * count:
            raise OutputError(
                f"the run file {self.path} of the pattern counts is shorter than its {self.n} "
                "records; it was cut, so delete the checkpoint and run again."
            )
        return flat.astype(np.uint64, copy=False).reshape(-1, 4)

    def check(self) -> None:
        """See whether the file is as long as its records.

        Raises:
            OutputError: it is missing, cut or longer.
        """
        try:
            size = self.path.stat().st_size
        except OSError:
            size = -1
        if size != self.n * RECORD_BYTES:
            found = "is missing" if size < 0 else f"holds {size} bytes"
            raise OutputError(
                f"the run file {self.path} {found}, but the checkpoint needs it with "
                f"{self.n * RECORD_BYTES} bytes; start again without resuming."
            )

    def __len__(self) -> int:
        return self.n


@dataclass(frozen=True, slots=True)
class Moved:
    """Sorted records whose samples are numbered behind others.

    Attributes:
        source: the records, their samples numbered from 0.
        by: number of the samples before them.
    """

    source: Source
    by: int

    def read(self, start: int, count: int) -> Records:
        """Return records `start` to `start + count`, fewer at the end."""
        return self.source.read(start, count) + np.array([0, 0, 0, self.by], np.uint64)

    def __len__(self) -> int:
        return len(self.source)


def chunks(source: Source, size: int = CHUNK) -> Iterator[Records]:
    """Yield the records of a source in pieces of `size`."""
    for start in range(0, len(source), size):
        yield source.read(start, size)


def merge_sources(sources: Sequence[Source], size: int = CHUNK) -> Iterator[Records]:
    """Yield the merged records of sorted sources; at most `size` records of each in memory."""
    buffers = [source.read(0, size) for source in sources]
    positions = [len(b) for b in buffers]
    while True:
        live = [b for b in buffers if len(b)]
        if not live:
            return
        k0, k1 = min((int(b[-1, 0]), int(b[-1, 1])) for b in live)
        parts = []
        for i, source in enumerate(sources):
            cut = upper_bound(buffers[i], np.uint64(k0), np.uint64(k1)) if len(buffers[i]) else 0
            parts.append(buffers[i][:cut])
            buffers[i] = buffers[i][cut:]
            if not len(buffers[i]) and positions[i] < len(source):
                buffers[i] = source.read(positions[i], size)
                positions[i] += len(buffers[i])
        yield _merge_all([p for p in parts if len(p)])


def _merge_all(parts: list[Records]) -> Records:
    while len(parts) > 1:
        pairs = [merge_two(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[2 * len(pairs) :]
    return parts[0]


def write_run(directory: Path, pieces: Iterable[Records], keep: object = None) -> FileSource:
    """Write records to a new file, synced to disk and renamed into place when complete.

    Raises:
        OutputError: the directory cannot be written or the disk is full.
    """
    path = directory / f"run-{uuid.uuid4().hex}.records"
    written = 0

    def write(handle: BinaryIO) -> None:
        nonlocal written
        for piece in pieces:
            handle.write(np.ascontiguousarray(piece, dtype="<u8").data)
            written += len(piece)

    write_atomically(path, write, "the pattern counts")
    return FileSource(path, written, keep)


def write_atomically(path: Path, write: Callable[[BinaryIO], object], what: str) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: the file; its directory is made if missing.
        write: writes the content to the open file.
        what: named in the error sentence.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as temporary, temporary.open("wb") as handle:
            write(handle)
    except OSError as error:
        raise OutputError(
            f"{what} cannot be written to {path.parent} ({error.strerror or error}); "
            "name a directory on a disk with free space that you may write to."
        ) from error
