"""Approximate counts: errors within their bounds, the same in whatever order they are merged."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reluflow.errors import OptionError, OutputError
from reluflow.patterns import SketchCounts
from reluflow.patterns.tables.sketch import EXACT_PATTERNS, PatternEstimate, merge_snapshots

pytest.importorskip("datasketches")

SAMPLES = 100_000


def stream(seed: int, n: int = SAMPLES) -> NDArray[np.uint64]:
    """Return keys of which some are frequent: shares from 0.06 % to 10 %, the rest rare."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 2**64, (n, 2), np.uint64)
    shares = [0.1, 0.03, 0.01, 0.004, 0.002, 0.0006]
    which = rng.choice(len(shares) + 1, n, p=[*shares, 1 - sum(shares)])
    for frequent in range(len(shares)):
        keys[which == frequent] = (frequent, seed)
    return keys


def counted(keys: NDArray[np.uint64], first: int = 0) -> SketchCounts:
    counts = SketchCounts()
    for start in range(0, len(keys), 9_000):
        counts.add(keys[start : start + 9_000], first + start)
    return counts


def same(one: PatternEstimate | None, other: PatternEstimate | None) -> bool:
    assert one is not None and other is not None
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("patterns", "low", "high", "count_error", "keys", "counts", "first")
    )


@pytest.mark.parametrize("seed", range(20))
def test_errors_are_within_their_bounds(seed: int) -> None:
    keys = stream(seed)
    found = counted(keys).estimate()
    assert found is not None
    patterns, first, times = np.unique(keys, axis=0, return_index=True, return_counts=True)
    assert found.low <= len(patterns) <= found.high
    assert found.high - found.low < 0.03 * len(patterns)
    true = {tuple(key): count for key, count in zip(patterns.tolist(), times.tolist(), strict=True)}
    for key, count in zip(found.keys.tolist(), found.counts.tolist(), strict=True):
        assert true[tuple(key)] <= count <= true[tuple(key)] + found.count_error
    frequent = {key for key, count in true.items() if count > found.least_share * SAMPLES}
    assert frequent and frequent <= set(map(tuple, found.keys.tolist()))
    assert (np.diff(found.counts) <= 0).all()
    assert (keys[found.first] == found.keys).all()
    assert len(first)


def test_the_order_of_merges_plays_no_part() -> None:
    keys = stream(1)
    edges = [0, 20_000, 60_000, SAMPLES]
    parts = [(counted(keys[a:b]), a) for a, b in itertools.pairwise(edges)]
    whole = counted(keys).estimate()
    for order in itertools.permutations(parts):
        left, right = SketchCounts(), SketchCounts()
        left.merge(*order[0])
        left.merge(*order[1])  # (a + b) + c
        left.merge(*order[2])
        right.merge(*order[1])
        right.merge(*order[2])  # a + (b + c)
        right.merge(*order[0])
        assert same(left.estimate(), whole) and same(right.estimate(), whole)


def test_few_patterns_are_counted_exactly() -> None:
    keys = stream(2, EXACT_PATTERNS + 1)
    keys[:, 0] = np.arange(len(keys))
    counts = counted(keys[:-1])
    assert counts.estimate() is None and counts.finish().total == EXACT_PATTERNS
    more = SketchCounts()
    more.add(keys[-1:], 0)
    counts.merge(more)
    assert counts.estimate() is not None
    with pytest.raises(OptionError, match="were not counted but estimated"):
        counts.finish()


def test_a_pattern_of_every_tenth_buffer_is_remembered() -> None:
    rng = np.random.default_rng(5)
    counts = SketchCounts()
    for block in range(20):
        keys = rng.integers(0, 2**64, (20_480, 2), np.uint64)
        if block % 10 == 0:
            keys[::30] = (7, 7)
        counts.add(keys, 20_480 * block)
    found = counts.estimate()
    assert found is not None and [7, 7] in found.keys.tolist()


def test_snapshots(tmp_path: Path) -> None:
    keys = stream(3)
    half = SAMPLES // 2
    for name, part in (("a", keys[:half]), ("b", keys[half:])):
        counted(part).snapshot(tmp_path / name)
    both = merge_snapshots([tmp_path / "a", tmp_path / "b"], [0, half], tmp_path / "whole")
    assert same(both.estimate(), counted(keys).estimate())
    assert same(SketchCounts.restore(tmp_path / "whole").estimate(), both.estimate())
    (tmp_path / "b" / "sketch.npz").write_bytes((tmp_path / "a" / "sketch.npz").read_bytes()[:-9])
    with pytest.raises(OutputError, match=r"sketch.npz is no checkpoint"):
        SketchCounts.restore(tmp_path / "b")
    (tmp_path / "b" / "sketch.npz").unlink()
    with pytest.raises(OutputError, match=r"sketch.npz is no checkpoint"):
        SketchCounts.restore(tmp_path / "b")
