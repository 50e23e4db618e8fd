"""A network on one polygon: only the units that may change their sign there are left.

Units of one sign on the whole polygon are linear, so they are multiplied out. Each of the others
has its affine map, `base`, and the weights with which earlier ones reach it. Whether a unit may
change is decided by bounds: its value is affine in the plane's coordinates plus, for every unit y
left before it, a share of y's own affine relaxation and of an error between 0 and its `span`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reluflow.cells.kernels.lines import RELATIVE
from reluflow.cells.kernels.tables import Tables
from reluflow.cells.lowering.columns import AFFINE, ONE, Columns, Floats, with_columns
from reluflow.errors import ModelError
from reluflow.patterns.words import unit_words

ROUNDING = 2.0**-46
"""A value below this share of the largest at its site is rounding, and counts as 0."""
MOST_ENTRIES = 2**28
"""Entries of one tensor as columns, at most: two gigabytes."""


class TooManyError(Exception):
    """More units may change their sign than the caller wants to handle at once."""


def _rounding(name: str, low: Floats, high: Floats) -> float:
    """Return the tolerance of a switch whose values lie between these."""
    largest = float(np.abs([low, high]).max(initial=0.0))
    if not np.isfinite(largest):
        raise ModelError(
            f"switch {name!r} has no exact cells: not all of its values are finite; ask for "
            "raster cells."
        )
    return ROUNDING * largest


@dataclass(slots=True, eq=False)
class Level:
    """The groups of one switch whose decision is open.

    A group of one row is a unit, whose output is max(0, row); a group of several is their maximum.

    Attributes:
        key: index of the switch among all of the walk.
        first: number of the groups left before this level.
        base: `(n_rows, 3)` affine maps.
        weights: `(n_rows, first)` of earlier groups' outputs.
        counts: `(n_groups,)` rows of each group.
        words: `(n_rows, 2)` what a row adds to the key where it is the output.
        labels: `(n_groups,)` number of the group among all switches.
        least: tolerance of the level.
    """

    key: int
    first: int
    base: Floats
    weights: Floats
    counts: NDArray[np.int64]
    words: NDArray[np.uint64]
    labels: NDArray[np.int64]
    least: float


@dataclass(slots=True, eq=False)
class Switch:
    """One switch of the network, as the walk meets it: a name and its size."""

    name: str
    groups: int
    candidates: int
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The units that are left first: on the polygon they are affine, and 0 on a straight line.

    Attributes:
        maps: `(n, 3)`.
        least: `(n,)` tolerances.
        labels: `(n,)` numbers of the units among all switches.
    """

    maps: Floats
    least: Floats
    labels: NDArray[np.int64]


@dataclass(eq=False)
class Tracker:
    """Collects the levels of a region while a network is walked.

    Attributes:
        corners: `(n, 2)` of the polygon, in coordinates within [-1, 1].
        most: raise `TooManyError` beyond this many groups.
        edges: labels of the units that are 0 on its edges.
        levels: what is open, in order.
        switches: all switches met.
        keys: for each, what the decided units add to its key.
        left: number of open groups.
        lines: the first open units.
        near: units decided by a value that the tolerance made 0, those of the edges left out.
    """

    corners: Floats
    most: int
    edges: NDArray[np.int64]
    levels: list[Level] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    keys: list[NDArray[np.uint64]] = field(default_factory=list)
    left: int = 0
    lines: Lines | None = None
    near: int = 0

    def __post_init__(self) -> None:
        self._at = np.column_stack([self.corners, np.ones(len(self.corners))])
        self._relaxed = np.zeros((0, 3))
        self._errors = np.zeros((0, 0))
        self._spans = np.zeros(0)

    def _register(self, name: str, groups: int, candidates: int) -> int:
        offset = 0
        if self.switches:
            last = self.switches[-1]
            offset = last.offset + last.groups
        self.switches.append(Switch(name, groups, candidates, offset))
        self.keys.append(np.zeros(2, np.uint64))
        return len(self.switches) - 1

    def bounds(self, flat: Floats) -> tuple[Floats, Floats]:
        """Return the least and the greatest value, at most, of `(n_columns, n)` values."""
        affine = flat[:AFFINE]
        if len(flat) > AFFINE:
            m = len(flat) - AFFINE
            affine = affine + self._relaxed[:m].T @ flat[AFFINE:]
            errors = self._errors[:m, :m].T @ flat[AFFINE:]
            errors *= self._spans[:m, None]
        values = self._at @ affine
        low, high = values.min(axis=0), values.max(axis=0)
        if len(flat) > AFFINE:
            high = high + np.maximum(errors, 0).sum(axis=0)
            low = low + np.minimum(errors, 0).sum(axis=0)
        return low, high

    def relu(self, z: Columns, name: str) -> Columns:
        """Return max(0, z), the units of which are a switch."""
        flat = z.array.reshape(len(z.array), -1)
        low, high = self.bounds(flat)
        least = _rounding(name, low, high)
        tolerance = np.maximum(least, RELATIVE * np.abs(flat[:AFFINE]).sum(axis=0))
        off = high <= tolerance
        on = ~off & (low >= -tolerance)
        key = self._register(name, flat.shape[1], 1)
        close = (np.abs(np.where(off, high, low)) <= tolerance) & (on | off) & flat.any(axis=0)
        close[np.intersect1d(self.edges - self.switches[key].offset, np.flatnonzero(close))] = False
        self.near += int(close.sum())
        words = unit_words(flat.shape[1])
        self.keys[key] = np.bitwise_xor.reduce(words[on], axis=0, initial=np.uint64(0))
        live = np.flatnonzero(~(on | off))
        if self.lines is None and not self.left and len(live):
            labels = self.switches[key].offset + live
            self.lines = Lines(flat[:AFFINE, live].T.copy(), tolerance[live], labels)
        self._count(len(live))
        out = np.where(on, flat, 0.0)
        if len(live):
            self._relax(flat, live, np.minimum(low[live], 0.0), high[live])
            self._level(flat, key, live, np.ones(len(live), np.int64), words[live], live, least)
            out = self._appended(out, live)
        return Columns(out.reshape(len(out), *z.array.shape[1:]))

    def greatest(self, flat: Floats, windows: NDArray[np.int64], name: str) -> Floats:
        """Return the maxima over windows of `(n_columns, n)` values, each a group of a switch.

        Args:
            flat: the values.
            windows: `(n_groups, n_candidates)` positions, -1 for none.
            name: of the switch.
        """
        low, high = self.bounds(flat)
        least = _rounding(name, low, high)
        key = self._register(name, *windows.shape)
        words = unit_words(windows.size).reshape(*windows.shape, 2)
        there = windows >= 0
        lows, highs = (
            np.where(there, low[windows], -np.inf),
            np.where(there, high[windows], -np.inf),
        )
        best = lows.max(axis=1)
        open_ = there & (highs >= best[:, None])
        winner = np.argmax(open_, axis=1)
        undecided = np.flatnonzero(open_.sum(axis=1) > 1)
        chosen: list[NDArray[np.int64]] = []
        groups: list[int] = []
        for group in undecided:
            left = self._distinct(flat, windows[group], np.flatnonzero(open_[group]), least)
            winner[group] = left[0]
            if len(left) > 1:
                chosen.append(left)
                groups.append(int(group))
                self._count(1)
        live = np.asarray(groups, np.int64)
        decided = np.setdiff1d(np.arange(len(windows)), live)
        self.keys[key] = np.bitwise_xor.reduce(
            words[decided, winner[decided]], axis=0, initial=np.uint64(0)
        )
        out = np.zeros((len(flat), len(windows)))
        out[:, decided] = flat[:, windows[decided, winner[decided]]]
        if groups:
            counts = np.asarray([len(each) for each in chosen], np.int64)
            rows = np.concatenate([windows[g, c] for g, c in zip(groups, chosen, strict=True)])
            own = np.concatenate([words[g, c] for g, c in zip(groups, chosen, strict=True)])
            self._open(best[live], highs[live].max(axis=1))
            self._level(flat, key, rows, counts, own, live, least)
            out = self._appended(out, live)
        return out

    def _distinct(
        self, flat: Floats, window: NDArray[np.int64], open_: NDArray[np.int64], least: float
    ) -> NDArray[np.int64]:
        """Return the candidates that may be the greatest somewhere, equal ones once."""
        columns = flat[:, window[open_]]
        _, first = np.unique(columns, axis=1, return_index=True)
        open_ = open_[np.sort(first)]
        if len(open_) == 1:
            return open_
        columns = flat[:, window[open_]]
        kept = np.ones(len(open_), np.bool_)
        for i in range(len(open_)):
            if kept[i]:
                _, high = self.bounds(columns - columns[:, [i]])
                scale = np.abs(columns[:AFFINE]).sum(axis=0) + np.abs(columns[:AFFINE, i]).sum()
                kept &= (high > -np.maximum(least, RELATIVE * scale)) | (np.arange(len(open_)) == i)
        return open_[kept]

    def _count(self, more: int) -> None:
        if self.left + more > self.most:
            raise TooManyError
        self.left += more

    def _appended(self, out: Floats, live: NDArray[np.int64]) -> Floats:
        """Give each open group a column of its own."""
        if (AFFINE + self.left) * out[0].size > MOST_ENTRIES:
            raise TooManyError
        wide = with_columns(out, AFFINE + self.left)
        wide[AFFINE + self.left - len(live) + np.arange(len(live)), live] = 1.0
        return wide

    def _level(
        self,
        flat: Floats,
        key: int,
        rows: NDArray[np.int64],
        counts: NDArray[np.int64],
        words: NDArray[np.uint64],
        groups: NDArray[np.int64],
        least: float,
    ) -> None:
        labels = self.switches[key].offset + groups
        first = self.left - len(groups)
        weights = np.zeros((len(rows), first))
        weights[:, : len(flat) - AFFINE] = flat[AFFINE:, rows].T
        base = np.ascontiguousarray(flat[:AFFINE, rows].T)
        self.levels.append(Level(key, first, base, weights, counts, words, labels, least))

    def _relax(self, flat: Floats, live: NDArray[np.int64], low: Floats, high: Floats) -> None:
        """Note for units that slope z <= max(0, z) <= slope z + span on the polygon."""
        slope = high / (high - low)
        m, old = len(live), len(self._spans)
        own = with_columns(flat[:, live], AFFINE + old)
        affine = (own[:AFFINE] + self._relaxed.T @ own[AFFINE:]).T * slope[:, None]
        errors = (self._errors.T @ own[AFFINE:]).T * slope[:, None]
        self._extend(affine, np.hstack([errors, np.eye(m)]), -slope * low)

    def _open(self, low: Floats, high: Floats) -> None:
        """Note for maxima that they lie between two numbers."""
        m, old = len(low), len(self._spans)
        affine = np.zeros((m, 3))
        affine[:, ONE] = low
        self._extend(affine, np.hstack([np.zeros((m, old)), np.eye(m)]), high - low)

    def _extend(self, affine: Floats, errors: Floats, spans: Floats) -> None:
        old, m = len(self._spans), len(spans)
        square = np.zeros((old + m, old + m))
        square[:old, :old], square[old:] = self._errors, errors
        self._errors = square
        self._relaxed = np.vstack([self._relaxed, affine])
        self._spans = np.concatenate([self._spans, spans])


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """The network that is left of a polygon, ready for `descend`.

    Attributes:
        tables: arrays that the kernels read.
        keys: `(n_switches, 2)` uint64, what the decided groups contribute.
        outputs: number of outputs, the last rows.
        groups: number of groups left.
    """

    tables: Tables
    keys: NDArray[np.uint64]
    outputs: int
    groups: int


def assemble(tracker: Tracker, out: Floats | None) -> Region:
    """Join the levels of a walk and the columns `(n_columns, n_out)` of its outputs."""
    levels, n_groups = tracker.levels, tracker.left
    bases = [level.base for level in levels]
    n_out = 0 if out is None else out.shape[1]
    if out is not None:
        bases.append(out[:AFFINE].T)
    base = np.ascontiguousarray(np.concatenate(bases).T) if bases else np.zeros((3, 0))
    n_rows = base.shape[1]
    weights = np.zeros((n_groups, n_rows))
    site_row, site_group = [0], [0]
    for level in levels:
        row = site_row[-1]
        weights[: level.first, row : row + len(level.base)] = level.weights.T
        site_row.append(row + len(level.base))
        site_group.append(site_group[-1] + len(level.counts))
    if out is not None:
        weights[: len(out) - AFFINE, n_rows - n_out :] = out[AFFINE:]
    low, high, reach = _ranges(weights, site_group, site_row, n_rows)
    tables = Tables(
        base,
        weights,
        np.asarray(site_row, np.int64),
        np.asarray(site_group, np.int64),
        _joined(
            [np.cumsum(v.counts) - v.counts + r for v, r in zip(levels, site_row, strict=False)]
        ),
        _joined([level.counts for level in levels]),
        np.concatenate([*(np.full(len(v.base), v.least) for v in levels), np.zeros(n_out)]),
        np.concatenate([*(v.words for v in levels), np.zeros((n_out, 2), np.uint64)]),
        _joined([np.full(len(level.counts), level.key) for level in levels]),
        low,
        high,
        reach,
        _joined([level.labels for level in levels]),
    )
    keys = np.stack(tracker.keys) if tracker.keys else np.zeros((0, 2), np.uint64)
    return Region(tables, keys, n_out, n_groups)


def _joined(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *arrays]).astype(np.int64)


def _ranges(
    weights: Floats, site_group: list[int], site_row: list[int], n_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that each level's groups reach, and how far those so far have reached."""
    n = len(site_group) - 1
    low, high, reach = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    for k in range(n):
        rows = np.flatnonzero(weights[site_group[k] : site_group[k + 1]].any(axis=0))
        if len(rows):
            low[k], high[k] = rows[0], rows[-1] + 1
        reach[k] = max(site_row[k + 1], high[k], reach[k - 1] if k else 0)
    if n:
        reach[n - 1] = n_rows
    return low, high, reach
