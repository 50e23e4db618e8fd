"""Exact counting of patterns in bounded memory: a growing table that spills sorted runs."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError, OutputError
from reluflow.patterns.tables import native
from reluflow.patterns.tables import table as _table
from reluflow.patterns.tables.count_table import CountTable, check_keys
from reluflow.patterns.tables.records import (
    CHUNK,
    RECORD_BYTES,
    FileSource,
    Records,
    Source,
    chunks,
    merge_sources,
    sort_records,
    write_atomically,
    write_run,
)
from reluflow.patterns.tables.threads import LEAST_KEYS, MOST_KEYS, insert_in_threads

DEFAULT_MEMORY_BYTES = 256 << 20

_SLOT_BUDGET = 2 * RECORD_BYTES
"""Bytes that a slot may take at the worst moment: 8 of the index, 20 of records, and in addition
the sorted copy in `finish` or the old table while growing (half a slot more)."""
_MIN_SLOTS = 64
_START_SLOTS = 4096
_QUICK_GROWTH = 4
_QUICK_UNTIL = 1 << 16
"""Small tables grow faster: they take little memory, and each growth moves all records."""
_NEARLY_ALL = 0.9
"""Where at least this share of a batch was new, the rest is expected to be new, and room is made
at once: the pool of patterns is then at least five times as large as the part of it seen so far."""
_AHEAD = 4
"""Records get memory for larger tables in advance, so that they move less often: memory that is not
written yet takes only addresses."""
_MANIFEST = "counts.json"
_VERSION = 1


class PatternCounts:
    """A mutable accumulator of pattern counts: exact, mergeable, of bounded memory.

    Patterns are kept in dense records under an open-addressing index that doubles as it fills.
    At the memory limit the table is sorted and written to a run file, and counting continues;
    `finish` merges the runs. One object must not be used by several threads at once; the work
    itself releases the GIL.

    Example:
        >>> counts = PatternCounts()
        >>> counts.add(np.array([[5, 0], [2, 0], [5, 0]], np.uint64), first_index=0)
        >>> counts.finish().count_histogram()[0].tolist()
        [1, 2]
        >>> other = PatternCounts()
        >>> more = np.array([[2, 0], [7, 0]], np.uint64)
        >>> PatternCounts.add_to_all([(counts, more, 3), (other, more, 3)])
        >>> counts.merge(other)
        >>> counts.samples, counts.finish().total
        (7, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     counts.snapshot(Path(folder))
        ...     again = PatternCounts.restore(Path(folder), spill_dir=Path(folder, "spilled"))
        ...     again.spill()
        ...     again.spilled_bytes, again.finish() == counts.finish()
        ...     run = write_run(Path(folder), chunks(counts.finish().source))
        ...     PatternCounts.from_run(run, spilled_bytes=0).samples
        (96, True)
        7

    Reference: docs/spec.md, section 2, counts; thesis eq. 3.3.
    """

    def __init__(
        self,
        memory_limit_bytes: int = DEFAULT_MEMORY_BYTES,
        spill_dir: Path | None = None,
        on_spill: Callable[[str], None] | None = None,
    ) -> None:
        """Start empty.

        Args:
            memory_limit_bytes: the most memory that the table may take, in bytes, including growing
                and sorting; at least 4096.
            spill_dir: folder for run files; None: a temporary directory, made when needed.
            on_spill: called with one sentence each time a run is written.

        Raises:
            OptionError: the limit is too small.
        """
        if memory_limit_bytes < _MIN_SLOTS * _SLOT_BUDGET:
            raise OptionError(
                f"memory_limit_bytes is {memory_limit_bytes}, but a table needs at least "
                f"{_MIN_SLOTS * _SLOT_BUDGET}; give it some megabytes."
            )
        self._limit = memory_limit_bytes
        largest = min(memory_limit_bytes // _SLOT_BUDGET, _table.MAX_SLOTS)
        self._max_slots = 1 << (largest.bit_length() - 1)
        self._spill_dir = spill_dir
        self._on_spill = on_spill
        self._temporary: _TemporaryFolder | None = None
        self._clear(min(_START_SLOTS, self._max_slots))
        self._runs: list[FileSource] = []
        self._spilled_bytes = 0
        self._samples = 0

    @property
    def samples(self) -> int:
        """Number of samples counted, repeats included."""
        return self._samples

    @property
    def spilled_bytes(self) -> int:
        """Bytes written to run files so far."""
        return self._spilled_bytes

    @property
    def load(self) -> float:
        """Filled share of the table's slots, in [0, 1]."""
        return self._used / len(self._index)

    @property
    def nbytes(self) -> int:
        """The most that the table may take at its present size, in bytes, including sorting."""
        return len(self._index) * _SLOT_BUDGET

    def spill(self) -> None:
        """Write the table to disk and shrink it, so that others can use the memory.

        Raises:
            OutputError: a run cannot be written; nothing is lost.
        """
        if self._used:
            self._spill()
        self._clear(min(_START_SLOTS, self._max_slots))

    def add(
        self,
        keys: NDArray[np.uint64],
        first_index: int,
        *,
        threads: int = 1,
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        """Count the keys of a batch.

        Args:
            keys: `(n, 2)` uint64.
            first_index: global index of the batch's first sample; sample i has
                `first_index + i`.
            threads: number of threads that large batches are shared among; the counts do not
                depend on it. Each keeps 4 bytes per key in addition to the table, half a megabyte
                at most.
            pool: runs the threads, none of which may be that of the caller; None: a pool is made
                when `threads` is above 1.

        Raises:
            OptionError: wrong type or shape, a negative index, or no thread.
            OutputError: a run cannot be written.
        """
        keys = _checked(keys, first_index)
        if threads < 1:
            raise OptionError(
                f"threads is {threads}, but must be at least 1; give 1 for no threads."
            )
        at = 0
        if threads > 1 and len(keys) >= LEAST_KEYS:
            at = self._add_in_threads(keys, first_index, threads, pool)
        self._add_keys(keys, first_index, at)
        self._samples += len(keys)

    @staticmethod
    def add_to_all(
        batches: Sequence[tuple[PatternCounts, NDArray[np.uint64], int]], *, threads: int = 1
    ) -> None:
        """Count one batch for each of several accumulators, as `add` does, in one call.

        The loop over the accumulators is compiled too: threads that count for many of them do not
        wait for each other's Python code.

        Args:
            batches: (accumulator, keys, first index) as for `add`; each accumulator once.
            threads: as for `add`: this many share each large batch, one batch after the other.

        Raises:
            OptionError: wrong type or shape of keys, or a negative index.
            OutputError: a run cannot be written.
        """
        if threads > 1:
            for counts, keys, first in batches:
                counts.add(keys, first, threads=threads)
            return
        checked = [(counts, _checked(keys, first), first) for counts, keys, first in batches]
        jobs = np.array([counts._job(keys, first) for counts, keys, first in checked], np.int64)
        _insert_all(jobs.reshape(-1, 9))
        for (counts, keys, first), row in zip(checked, jobs.tolist(), strict=True):
            before, counts._used = counts._used, row[3]
            if row[8] < len(keys):
                counts._make_room(_expected(row[3] - before, row[8], len(keys) - row[8]))
                counts._add_keys(keys, first, row[8])
            counts._samples += len(keys)

    def merge(self, other: PatternCounts) -> None:
        """Add the counts of another accumulator, which has counted other samples.

        Its run files are referenced, not copied: they must stay where they are.

        Args:
            other: the other accumulator, not changed.

        Raises:
            OutputError: a run cannot be written.
        """
        for start in range(0, other._used, CHUNK):
            self._add_records(other._records[start : min(start + CHUNK, other._used)])
        self._runs.extend(other._runs)
        self._spilled_bytes += other._spilled_bytes
        self._samples += other._samples

    def finish(self) -> CountTable:
        """Return the counts in canonical order; the accumulator can be used further.

        They are in memory when nothing was spilled, else merged from the runs into one file, which
        takes no more memory than the limit.

        Raises:
            OutputError: a run cannot be read or the merged file cannot be written.
        """
        if not self._runs:
            return CountTable.from_records(sort_records(self._records[: self._used]))
        if self._used:
            self._spill()
        self._clear(_MIN_SLOTS)
        if len(self._runs) > 1:
            # Each buffered record is held about four times: when read, cut, merged and written.
            size = self._limit // (4 * RECORD_BYTES * len(self._runs))
            size = max(16, min(CHUNK, size))
            sources: list[Source] = list(self._runs)
            merged = write_run(self._directory(), merge_sources(sources, size), self._temporary)
            self._runs = [merged]
        source = self._runs[0]
        return CountTable(len(source), self._samples, source)

    def snapshot(self, directory: Path) -> None:
        """Write a checkpoint: the table as one file, the runs as references to their files.

        Atomic: a crash leaves the earlier checkpoint of the directory intact. Runs in a
        temporary directory of this object are linked (or copied) into `directory` once.

        Args:
            directory: of this accumulator alone; made if missing.

        Raises:
            OutputError: it cannot be written.
        """
        state = write_run(directory, [self._records[: self._used]])
        self._runs = [self._keep_run(run, directory) for run in self._runs]
        manifest = {
            "version": _VERSION,
            "samples": self._samples,
            "spilled_bytes": self._spilled_bytes,
            "slots": len(self._index),
            "state": {"file": state.path.name, "records": len(state)},
            "runs": [{"file": str(r.path.resolve()), "records": len(r)} for r in self._runs],
        }
        text = json.dumps(manifest, indent=1).encode()
        write_atomically(directory / _MANIFEST, lambda f: f.write(text), "a checkpoint")
        keep = {state.path.resolve()} | {run.path.resolve() for run in self._runs}
        for file in directory.glob("*.records"):
            if file.resolve() not in keep:
                file.unlink(missing_ok=True)

    @classmethod
    def restore(
        cls,
        directory: Path,
        memory_limit_bytes: int = DEFAULT_MEMORY_BYTES,
        spill_dir: Path | None = None,
        on_spill: Callable[[str], None] | None = None,
    ) -> Self:
        """Return an accumulator as it was at the last `snapshot` into a directory.

        Args:
            directory: as given to `snapshot`.
            memory_limit_bytes: as for a new accumulator; may differ from before.
            spill_dir: as for a new accumulator; may differ from before.
            on_spill: as for a new accumulator.

        Raises:
            OutputError: there is no checkpoint, or a file of it is missing or damaged.
        """
        manifest = _read_manifest(directory / _MANIFEST)
        counts = cls(memory_limit_bytes, spill_dir, on_spill)
        counts._clear(min(int(manifest["slots"]), counts._max_slots))
        counts._runs = [FileSource(Path(r["file"]), r["records"]) for r in manifest["runs"]]
        state = FileSource(directory / manifest["state"]["file"], manifest["state"]["records"])
        for source in [state, *counts._runs]:
            source.check()
        counts._spilled_bytes = manifest["spilled_bytes"]
        for piece in chunks(state):
            counts._add_records(piece)
        counts._samples = manifest["samples"]
        return counts

    @classmethod
    def from_run(
        cls,
        run: FileSource,
        spilled_bytes: int,
        memory_limit_bytes: int = DEFAULT_MEMORY_BYTES,
        spill_dir: Path | None = None,
        on_spill: Callable[[str], None] | None = None,
    ) -> Self:
        """Return an accumulator that holds finished counts, which stay in their file.

        Args:
            run: the counts, sorted.
            spilled_bytes: what was put on disk while they were counted.
            memory_limit_bytes: as for a new accumulator.
            spill_dir: as for a new accumulator.
            on_spill: as for a new accumulator.

        Raises:
            OutputError: the file is missing or damaged.
        """
        run.check()
        counts = cls(memory_limit_bytes, spill_dir, on_spill)
        counts._runs, counts._spilled_bytes = [run], spilled_bytes
        counts._samples = sum(int(piece[:, 2].sum()) for piece in chunks(run))
        return counts

    def _clear(self, slots: int) -> None:
        """Start again with an empty table of this many slots."""
        self._index = np.zeros(slots, np.uint64)
        self._records: NDArray[np.uint64] = np.empty((_most(slots), 4), np.uint64)
        self._used = 0

    def _job(self, keys: NDArray[np.uint64], first_index: int, at: int = 0) -> tuple[int, ...]:
        """Return the row of `_table.insert_all` that counts `keys[at:]`."""
        index, records = self._index, self._records
        most = _most(len(index))
        table = (index.ctypes.data, len(index), records.ctypes.data, self._used, most)
        return (*table, keys.ctypes.data, len(keys), first_index, at)

    def _add_keys(
        self, keys: NDArray[np.uint64], first_index: int, at: int = 0, coming: int = 0
    ) -> None:
        """Count `keys[at:]`; `coming`: number of keys with those that come after."""

        def step(*table: Any) -> tuple[int, int]:
            job = np.array([self._job(keys, first_index, at=table[-1])], np.int64)
            _insert_all(job)
            return int(job[0, 8]), int(job[0, 3])

        self._insert(step, len(keys), at, coming)

    def _add_in_threads(
        self,
        keys: NDArray[np.uint64],
        first_index: int,
        threads: int,
        pool: ThreadPoolExecutor | None,
    ) -> int:
        """Count keys in threads while all that may be new have room; return how many it counted."""
        with ThreadPoolExecutor(threads) if pool is None else nullcontext(pool) as workers:
            at = 0
            while len(keys) - at >= LEAST_KEYS:
                if self._room < LEAST_KEYS and _QUICK_UNTIL <= len(self._index) < self._max_slots:
                    self._grow(2)
                n = min(len(keys) - at, self._room, MOST_KEYS)
                if n < LEAST_KEYS:  # nearly full, or small: one thread is fast enough
                    self._add_keys(keys[: at + LEAST_KEYS], first_index, at, len(keys))
                    at += LEAST_KEYS
                    continue
                part = keys[at : at + n]
                self._used = insert_in_threads(
                    self._index, self._records, self._used, part, first_index + at, workers, threads
                )
                at += n
            return at

    def _insert(
        self, step: Callable[..., tuple[int, int]], n: int, at: int = 0, coming: int = 0
    ) -> None:
        while True:
            begin, before, most = at, self._used, _most(len(self._index))
            at, self._used = step(self._index, self._records, self._used, most, at)
            if at >= n:
                return
            self._make_room(_expected(self._used - before, at - begin, max(n, coming) - at))

    def _add_records(self, new: Records) -> None:
        self._insert(
            lambda index, records, used, most, at: _table.insert_records(
                index, records, used, most, at, new
            ),
            len(new),
        )

    @property
    def _room(self) -> int:
        return _most(len(self._index)) - self._used

    def _make_room(self, expected: int = 0) -> None:
        """Grow at once to the size for `expected` more patterns; spill at the largest size."""
        slots = len(self._index)
        if slots >= self._max_slots:
            self._spill()
            return
        factor = _QUICK_GROWTH if slots < _QUICK_UNTIL else 2
        while _most(factor * slots) < self._used + expected:
            factor *= 2
        self._grow(factor)

    def _grow(self, factor: int) -> None:
        old, taken = self._index, self._records[: self._used]
        slots = min(factor * len(old), self._max_slots)
        self._index = np.zeros(slots, np.uint64)
        _table.move_index(old, self._index)
        if len(self._records) < _most(slots):
            room = min(_most(_AHEAD * slots), _most(self._max_slots))
            self._records = np.empty((room, 4), np.uint64)
            self._records[: len(taken)] = taken

    def _spill(self) -> None:
        n = self._used
        pieces = [sort_records(self._records[:n])]
        run = write_run(self._directory(), pieces, self._temporary)
        self._runs.append(run)
        self._spilled_bytes += n * RECORD_BYTES
        self._index[:] = 0
        self._used = 0
        if self._on_spill is not None:
            self._on_spill(
                f"The pattern counts reached their memory limit, so {n} patterns "
                f"({n * RECORD_BYTES} bytes) spill to {run.path}; the counts stay exact."
            )

    def _directory(self) -> Path:
        if self._spill_dir is not None:
            return self._spill_dir
        if self._temporary is None:
            try:
                self._temporary = _TemporaryFolder()
            except OSError as error:
                raise OutputError(
                    f"no temporary directory can be made for the pattern counts ({error}); "
                    "name one with spill_dir."
                ) from error
        return self._temporary.path

    def _keep_run(self, run: FileSource, directory: Path) -> FileSource:
        if run.keep is None:
            return run
        target = directory / run.path.name
        try:
            os.link(run.path, target)
        except OSError:
            try:
                shutil.copyfile(run.path, target)
            except OSError as error:
                raise OutputError(
                    f"a checkpoint cannot be written to {directory} ({error}); "
                    "name a directory on a disk with free space that you may write to."
                ) from error
        return FileSource(target, run.n)


def _insert_all(jobs: NDArray[np.int64]) -> None:
    """Run the jobs by the native library, or in numba where there is none."""
    (native.insert_all if native.has_counting() else _table.insert_all)(jobs)


def _most(slots: int) -> int:
    """Return how many records a table of this many slots can hold."""
    return slots * 5 // 8


def filled_share(patterns: int) -> float:
    """Return the share of slots in use of the least table that holds so many patterns.

    Args:
        patterns: their number; the order in which they came plays no part.

    Example:
        >>> filled_share(1024)
        0.25

    Reference: docs/decisions/0046-parts-merged-by-files.md.
    """
    slots = _START_SLOTS
    while _most(slots) < patterns:
        slots *= 2
    return patterns / slots


def _expected(fresh: int, seen: int, left: int) -> int:
    """Return how many of the remaining keys can be expected to be new patterns."""
    return left if fresh >= _NEARLY_ALL * max(seen, 1) else 0


def _checked(keys: NDArray[np.uint64], first_index: int) -> NDArray[np.uint64]:
    check_keys(keys)
    if first_index < 0:
        raise OptionError(
            f"first_index is {first_index}, but must be 0 or more; "
            "give the global index of the first sample."
        )
    return np.ascontiguousarray(keys)


class _TemporaryFolder:
    """A temporary directory that is removed with the last table that reads from it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="reluflow-counts-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text())
        if manifest["version"] != _VERSION:
            raise ValueError(f"its version is {manifest['version']}, not {_VERSION}")
        return dict(manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{path} is no checkpoint of pattern counts ({error}); "
            "start again without resuming, or name the right directory."
        ) from error
