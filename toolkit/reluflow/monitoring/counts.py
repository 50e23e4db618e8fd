"""Counts of the patterns of a site during training, and their measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.monitoring.records import Measures
from reluflow.patterns import (
    CountTable,
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
        Key -> value; the changes since `last` only where there is one.

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
        "entropy_bits": entropy(table),
        "relative_entropy": relative_entropy(table, units),
        "most_frequent_fraction": most_frequent(table),
        "mean_active_fraction": float(activity.fraction.mean()),
        "dead_fraction": activity.dead / units,
        "always_on_fraction": activity.always_on / units,
        "jaccard_initial": weighted_jaccard(table, (first or now).table),
    }
    if last is not None:
        change = changes(last.table, table)
        found |= {"net_change": change.net, "born": change.born, "died": change.died}
        found["jaccard_previous"] = weighted_jaccard(last.table, table)
    return found
