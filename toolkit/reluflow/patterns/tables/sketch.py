"""Counts in memory of fixed size: exact while patterns are few, estimated by sketches beyond.

The sketches are those of the package datasketches: HyperLogLog for the number of distinct patterns,
count-min for how often one occurred. Both depend on the set of samples alone, neither on their
order nor on how they were divided, so that accumulators may be merged in any order.
"""

from __future__ import annotations

import importlib.util
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError, OutputError
from reluflow.patterns.tables.counts import PatternCounts
from reluflow.patterns.tables.records import Records, write_atomically

EXACT_PATTERNS = 1 << 14
"""Distinct patterns up to which counts are exact."""
CANDIDATES = 1 << 10
"""Patterns that are remembered as perhaps frequent."""
SKETCH_BYTES = 5 << 20
"""What one accumulator takes at most, about."""

_BUFFER_BYTES = 1 << 21
"""Of the exact table: it holds 20,480 patterns, more than `EXACT_PATTERNS`."""
_LOG_REGISTERS = 16
_DEVIATIONS = 3
_WITHIN_DEVIATIONS = 0.9973
_HASHES, _BUCKETS = 5, 1 << 16
_FILE = "sketch.npz"


@dataclass(frozen=True, slots=True, eq=False)
class PatternEstimate:
    """What sketches tell of patterns that were too many to be counted.

    Attributes:
        patterns: estimated number of distinct patterns.
        low: lower end of its interval.
        high: upper end.
        confidence: probability that the number is in the interval, in [0, 1].
        count_error: a count is never too low, and too high by at most so many samples.
        count_confidence: probability of that for any one pattern, in [0, 1].
        least_share: all patterns whose share of the samples is larger are in `keys`.
        keys: `(n, 2)` uint64, the frequent patterns, in descending order of `counts`.
        counts: `(n,)` int64, estimated.
        first: `(n,)` int64, a sample that showed each; the first one seen since it was remembered.

    Example:
        >>> counts = SketchCounts()
        >>> counts.add(np.arange(40_000, dtype=np.uint64).reshape(-1, 2), 0)
        >>> found = counts.estimate()
        >>> found.confidence, found.count_error, len(found.keys)
        (0.9973, 1, 0)

    Reference: docs/scale.md.
    """

    patterns: int
    low: int
    high: int
    confidence: float
    count_error: int
    count_confidence: float
    least_share: float
    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]
    first: NDArray[np.int64]


class SketchCounts(PatternCounts):
    """A `PatternCounts` that estimates where it would write to disk.

    Up to `EXACT_PATTERNS` distinct patterns it is exact, and `estimate` returns None; whether it is
    depends on the patterns alone. Beyond, `finish` is refused. One takes `SKETCH_BYTES` at most.

    Raises:
        OptionError: datasketches is not installed.

    Example:
        >>> keys = np.random.default_rng(0).integers(0, 2**64, (20_000, 2), np.uint64)
        >>> counts = SketchCounts()
        >>> counts.add(keys[:10_000], 0)
        >>> counts.estimate() is None, counts.finish().total
        (True, 10000)
        >>> counts.add(keys, 10_000)
        >>> found = counts.estimate()
        >>> found.low <= 20_000 <= found.high, counts.samples
        (True, 30000)

    Reference: docs/scale.md.
    """

    def __init__(
        self,
        memory_limit_bytes: int = _BUFFER_BYTES,
        spill_dir: Path | None = None,
        on_spill: Callable[[str], None] | None = None,
    ) -> None:
        """Start empty.

        Args:
            memory_limit_bytes: plays no part, as those below, which `PatternCounts` takes.
            spill_dir: plays no part.
            on_spill: plays no part.

        Raises:
            OptionError: datasketches is not installed.
        """
        need_sketches()
        super().__init__(_BUFFER_BYTES)
        self._sketch: _Sketch | None = None

    def finish(self) -> Any:
        """Return the exact counts.

        Raises:
            OptionError: there were too many patterns for them.
        """
        if self._settle() is not None:
            raise OptionError(
                f"there are more than {EXACT_PATTERNS} patterns, which were not counted but "
                "estimated; ask for estimate()."
            )
        return super().finish()

    def estimate(self) -> PatternEstimate | None:
        """Return what the sketches tell, None where the counts are exact."""
        sketch = self._settle()
        return None if sketch is None else sketch.estimate(self.samples)

    def merge(self, other: PatternCounts, moved: int = 0) -> None:
        """Add the counts of another accumulator; estimates do not depend on the order.

        Args:
            other: has counted other samples; not changed.
            moved: added to the numbers of its samples.
        """
        assert isinstance(other, SketchCounts)
        records = other._records[: other._used].copy()
        records[:, 3] += np.uint64(moved)
        self._add_records(records)
        self._samples += other._samples
        if other._sketch is not None:
            self._sketch = self._sketch or _Sketch()
            self._sketch.merge(other._sketch, moved)

    def snapshot(self, directory: Path) -> None:
        """Write a checkpoint: the table, then the sketches.

        Args:
            directory: of this accumulator alone; made if missing.

        Raises:
            OutputError: it cannot be written.
        """
        super().snapshot(directory)
        if self._sketch is not None:
            arrays = self._sketch.arrays()
            write_atomically(
                directory / _FILE, lambda file: np.savez(file, **arrays), "a checkpoint"
            )

    @classmethod
    def restore(
        cls,
        directory: Path,
        memory_limit_bytes: int = _BUFFER_BYTES,
        spill_dir: Path | None = None,
        on_spill: Callable[[str], None] | None = None,
    ) -> Self:
        """Return an accumulator as it was at the last `snapshot` into a directory.

        Args:
            directory: as given to `snapshot`.
            memory_limit_bytes: plays no part.
            spill_dir: plays no part.
            on_spill: plays no part.

        Raises:
            OutputError: there is no checkpoint, or a file of it is missing or damaged.
        """
        counts = super().restore(directory)
        counted = int(counts._records[: counts._used, 2].sum())
        if counted != counts.samples:
            counts._sketch = _read_sketch(directory / _FILE, counts.samples - counted)
        return counts

    def spill(self) -> None:
        """Do nothing: what an accumulator takes is bounded."""

    def _spill(self) -> None:
        self._sketch = self._sketch or _Sketch()
        self._sketch.add(self._records[: self._used])
        self._index[:] = 0
        self._used = 0

    def _settle(self) -> _Sketch | None:
        """Return the sketches with all samples in them, None where the counts are exact."""
        if self._sketch is not None or self._used > EXACT_PATTERNS:
            self._spill()
        return self._sketch


class _Sketch:
    """Both sketches, and the patterns that may be frequent.

    A pattern is remembered when its share of one buffer is at least half of 1 / `CANDIDATES`, and
    dropped when `CANDIDATES` others have been seen more often. So one whose share of all samples is
    above 1 / `CANDIDATES`, plus the error of a count, is there at the end: after it was last
    dropped, when its share was no larger, its share of each buffer was below the half.
    """

    def __init__(self) -> None:
        import datasketches

        self._kind = datasketches.tgt_hll_type.HLL_8
        self._distinct: Any = datasketches.hll_sketch(_LOG_REGISTERS, self._kind)
        self._counts: Any = datasketches.count_min_sketch(_HASHES, _BUCKETS)
        self._candidates: Records = np.zeros((0, 4), np.uint64)

    def add(self, records: Records) -> None:
        """Take in a table: keys that are all different, their counts and first samples."""
        once = records[:, 2] == 1
        often, times = records[~once], records[~once, 2].astype(np.float64)
        # Two words of a fingerprint: the sketches' errors do not depend on each other. They take
        # one key per call: `map` calls without a step of Python, and most patterns are new.
        _call(self._distinct.update, _signed(records, 1))
        _call(self._counts.update, _signed(records[once], 0))
        _call(self._counts.update, _signed(often, 0), times.tolist())
        samples = int(records[:, 2].sum())
        frequent = records[:, 2] >= max(1, samples // (2 * CANDIDATES))
        self._remember(records[frequent])

    def merge(self, other: _Sketch, moved: int) -> None:
        """Take in the sketches of other samples."""
        self._distinct = self._joined(self._distinct, other._distinct)
        self._counts.merge(other._counts)
        candidates = other._candidates.copy()
        candidates[:, 3] += np.uint64(moved)
        self._remember(candidates)

    def estimate(self, samples: int) -> PatternEstimate:
        """Return what is known."""
        # An estimate that was made while updating depends on the order of the updates; of a
        # union with itself it depends on the registers alone.
        distinct = self._joined(self._distinct, self._distinct)
        error = self._counts.get_relative_error()
        least = 1 / CANDIDATES + 2 * error
        found = self._candidates[self._candidates[:, 2] >= least * samples]
        low, high = (
            bound(_DEVIATIONS) for bound in (distinct.get_lower_bound, distinct.get_upper_bound)
        )
        least_patterns = EXACT_PATTERNS + 1  # fewer would have been counted
        return PatternEstimate(
            patterns=min(samples, max(least_patterns, round(distinct.get_estimate()))),
            low=max(least_patterns, math.floor(low)),
            high=min(samples, math.ceil(high)),
            confidence=_WITHIN_DEVIATIONS,
            count_error=math.ceil(error * samples),
            count_confidence=1 - math.exp(-_HASHES),
            least_share=least,
            keys=found[:, :2].copy(),
            counts=found[:, 2].astype(np.int64),
            first=found[:, 3].astype(np.int64),
        )

    def arrays(self) -> dict[str, Any]:
        """Return all that is known as arrays."""
        blobs = {
            "distinct": self._distinct.serialize_updatable(),
            "counts": self._counts.serialize(),
        }
        arrays = {name: np.frombuffer(blob, np.uint8) for name, blob in blobs.items()}
        return {**arrays, "candidates": self._candidates}

    @classmethod
    def of_arrays(cls, arrays: Any) -> _Sketch:
        """Return what `arrays` was made of."""
        import datasketches

        sketch = cls()
        sketch._distinct = datasketches.hll_sketch.deserialize(arrays["distinct"].tobytes())
        sketch._counts = datasketches.count_min_sketch.deserialize(arrays["counts"].tobytes())
        sketch._candidates = arrays["candidates"].astype(np.uint64).reshape(-1, 4)
        return sketch

    @property
    def samples(self) -> int:
        """Samples that were taken in."""
        return int(self._counts.total_weight)

    def _remember(self, more: Records) -> None:
        """Keep the most frequent of the candidates and some more, counted anew."""
        both = np.concatenate([self._candidates, more])
        both = both[np.lexsort((both[:, 3], both[:, 1], both[:, 0]))]
        fresh = np.ones(len(both), np.bool_)
        fresh[1:] = (both[1:, :2] != both[:-1, :2]).any(axis=1)
        both = both[fresh]  # of equal ones that of the first sample
        both[:, 2] = [self._counts.get_estimate(word) for word in _signed(both, 0)]
        order = np.lexsort((both[:, 1], both[:, 0], ~both[:, 2]))
        self._candidates = both[order[:CANDIDATES]]

    def _joined(self, *sketches: Any) -> Any:
        import datasketches

        union = datasketches.hll_union(_LOG_REGISTERS)
        for each in sketches:
            union.update(each)
        return union.get_result(self._kind)


def need_sketches() -> None:
    """Raise OptionError unless the package of the sketches is installed.

    Example:
        >>> need_sketches()
    """
    if importlib.util.find_spec("datasketches") is None:
        raise OptionError(
            "approximate counts need the package datasketches, which is not installed; "
            "pip install 'reluflow[approximate]', or count exactly."
        )


def merge_snapshots(
    folders: Iterable[Path], moved: Iterable[int], target: Path | None = None
) -> SketchCounts:
    """Return the sum of what accumulators have written.

    Args:
        folders: as given to `SketchCounts.snapshot`.
        moved: added to the numbers of the samples of each.
        target: where the sum is written as a snapshot too; None: nowhere.

    Raises:
        OutputError: a snapshot is missing or damaged, or the new one cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     counts = SketchCounts()
        ...     counts.add(np.array([[5, 0], [2, 0]], np.uint64), 0)
        ...     counts.snapshot(Path(folder, "one"))
        ...     both = merge_snapshots([Path(folder, "one")] * 2, [0, 2])
        >>> both.samples, both.finish().total
        (4, 2)
    """
    whole = SketchCounts()
    for folder, shift in zip(folders, moved, strict=True):
        whole.merge(SketchCounts.restore(folder), shift)
    if target is not None:
        whole.snapshot(target)
    return whole


def _read_sketch(path: Path, samples: int) -> _Sketch:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            sketch = _Sketch.of_arrays(arrays)
        if sketch.samples != samples:
            raise ValueError(f"it holds {sketch.samples} samples, not {samples}")
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, BadZipFile) as error:
        raise OutputError(
            f"{path} is no checkpoint of pattern counts ({error}); "
            "start again without resuming, or name the right directory."
        ) from error
    return sketch


def _call(function: Callable[..., Any], *arguments: Iterable[Any]) -> None:
    """Call a function for one of each of the arguments after the other."""
    deque(map(function, *arguments), maxlen=0)


def _signed(records: Records, column: int) -> list[int]:
    """Return a word of each key as the sketches take it."""
    return list(records[:, column].astype(np.int64).tolist())
