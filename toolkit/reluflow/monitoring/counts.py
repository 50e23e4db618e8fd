"""Counts of the patterns of a site during training, and their measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.monitoring.records import Measures
from reluflow.patterns import (
    CountTable,
    PatternCounts,
    changes,
    entropy,
    merge,
    most_frequent,
    relative_entropy,
    unit_activity,
    weighted_jaccard,
)


@dataclass(frozen=True, slots=True, eq=False)
class SiteCounts:
    """What one site showed on the data.

    Attributes:
        table: the counts of its patterns.
        active: `(units,)` int64, in how many samples each unit was active.
        load: filled share of the memory that the patterns were counted in, in [0, 1]; None where
            that is not known, as for sums and for counts read back.

    Example:
        >>> keys = np.array([[0, 1], [0, 2], [0, 1]], np.uint64)
        >>> once = SiteCounts.of(keys, np.array([2, 1]))
        >>> twice = once + once
        >>> twice.table.samples, twice.table.total, twice.active.tolist()
        (6, 2, [4, 2])
        >>> SiteCounts.from_arrays(twice.to_arrays()).table.samples
        6

    Reference: docs/spec.md, section 3.
    """

    table: CountTable
    active: NDArray[np.int64]
    load: float | None = None

    @classmethod
    def of(cls, keys: NDArray[np.uint64], active: NDArray[np.int64]) -> SiteCounts:
        """Count one pass.

        Args:
            keys: `(samples, 2)` fingerprints of the patterns.
            active: `(units,)`, in how many samples each unit was active.

        Returns:
            The counts.
        """
        return cls(CountTable.from_keys(keys), active)

    def __add__(self, other: SiteCounts) -> SiteCounts:
        """Return the sum of both counts."""
        return SiteCounts(merge(self.table, other.table), self.active + other.active)

    def to_arrays(self) -> dict[str, NDArray[np.int64]]:
        """Return the counts as arrays that every framework saves; keys as int64, bit for bit."""
        chunks = list(self.table.iter_chunks())
        return {
            "keys": np.concatenate([chunk[0] for chunk in chunks]).view(np.int64),
            "counts": np.concatenate([chunk[1] for chunk in chunks]),
            "active": self.active,
        }

    @classmethod
    def from_arrays(cls, values: Mapping[str, NDArray[np.int64]]) -> SiteCounts:
        """Return what `to_arrays` described.

        Args:
            values: the arrays by name.
        """
        keys, counts = values["keys"].view(np.uint64), values["counts"]
        records = np.zeros((len(keys), 4), np.uint64)
        records[:, :2], records[:, 2] = keys, counts
        return cls(CountTable.from_records(records), values["active"])


class SiteCounter:
    """Counts one site over several passes, in bounded memory.

    Example:
        >>> counter = SiteCounter()
        >>> counter.add(np.array([[0, 1], [0, 2]], np.uint64), np.array([1, 1]))
        >>> counter.add(np.array([[0, 1], [0, 1]], np.uint64), np.array([2, 0]))
        >>> found = counter.finish()
        >>> found.table.samples, found.table.total, found.active.tolist()
        (4, 2, [3, 1])
        >>> 0 < found.load < 1
        True

    Reference: docs/spec.md, section 3.
    """

    def __init__(self) -> None:
        """Start without counts."""
        self._counts = PatternCounts()
        self._active: NDArray[np.int64] | None = None

    def add(self, keys: NDArray[np.uint64], active: NDArray[np.int64]) -> None:
        """Count one pass.

        Args:
            keys: `(samples, 2)` fingerprints of the patterns.
            active: `(units,)`, in how many samples each unit was active.
        """
        self._counts.add(keys, self._counts.samples)
        self._active = active if self._active is None else self._active + active

    def finish(self) -> SiteCounts:
        """Return the counts of all passes; `load` is that of the counting table."""
        active = np.zeros(0, np.int64) if self._active is None else self._active
        load = self._counts.load  # before finishing, which may empty the table
        return SiteCounts(self._counts.finish(), active, load)


class PatternHistory:
    """Measures counts against those at the start and those of the previous measurement.

    Attributes:
        first: site -> its counts at the start; empty before the first measurement.
        last: site -> its counts at the latest measurement.

    Example:
        >>> counts = SiteCounts.of(np.array([[0, 1], [0, 2]], np.uint64), np.array([1, 2]))
        >>> history = PatternHistory()
        >>> history.measure({"relu": counts})["relu"]["jaccard_initial"]
        1.0
        >>> history.measure({"relu": counts})["relu"]["born"]
        0.0

    Reference: docs/spec.md, section 3.
    """

    def __init__(self) -> None:
        """Start without counts."""
        self.first: dict[str, SiteCounts] = {}
        self.last: dict[str, SiteCounts] = {}

    def measure(self, found: dict[str, SiteCounts]) -> Measures:
        """Return the measures of each site, and keep its counts.

        Args:
            found: site -> its counts now.
        """
        self.first = self.first or found
        rows = {
            name: measure_site(counts, self.first.get(name), self.last.get(name))
            for name, counts in found.items()
        }
        self.last = found
        return rows


def measure_site(
    now: SiteCounts, first: SiteCounts | None, last: SiteCounts | None
) -> dict[str, float | int]:
    """Return the measures of one site, by their keys in `reluflow.patterns.QUANTITIES`.

    Args:
        now: its counts.
        first: its counts at the start; None: this is the start.
        last: its counts at the previous measurement.

    Returns:
        Key -> value; `table_load` only where it is known, the changes since `last` only where
        there is one.

    Example:
        >>> counts = SiteCounts.of(np.array([[0, 1], [0, 2]], np.uint64), np.array([1, 2]))
        >>> measured = measure_site(counts, None, None)
        >>> measured["patterns"], measured["entropy_bits"], measured["always_on_fraction"]
        (2, 1.0, 0.5)

    Reference: docs/spec.md, section 3.
    """
    table, units = now.table, len(now.active)
    activity = unit_activity(now.active, table.samples)
    found: dict[str, float | int] = {
        "patterns": table.total,
        "samples": table.samples,
        "patterns_per_sample": table.total / max(1, table.samples),
        "entropy_bits": entropy(table),
        "relative_entropy": relative_entropy(table, units),
        "most_frequent_fraction": most_frequent(table),
        "mean_active_fraction": float(activity.fraction.mean()),
        "dead_fraction": activity.dead / units,
        "always_on_fraction": activity.always_on / units,
        "jaccard_initial": weighted_jaccard(table, (first or now).table),
    }
    if now.load is not None:
        found["table_load"] = now.load
    if last is not None:
        change = changes(last.table, table)
        found |= {"net_change": change.net, "born": change.born, "died": change.died}
        found["jaccard_previous"] = weighted_jaccard(last.table, table)
    return found
