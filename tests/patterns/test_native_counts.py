"""Counting by the native library against counting in numba: the same tables."""

from __future__ import annotations

import numpy as np
import pytest

from reluflow.patterns import CountTable, PatternCounts
from reluflow.patterns.tables import native, table, threads
from reluflow.patterns.tables.records import sort_order, sort_records

pytestmark = pytest.mark.skipif(not native.has_counting(), reason="the native library is not there")


def keys_of(kind: str, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 2**64, (n, 2), dtype=np.uint64)
    if kind == "few":
        keys = keys[rng.integers(0, min(7, n), n)] if n else keys
    elif kind == "half new":
        keys = keys[np.where(rng.random(n) < 0.5, np.arange(n), 0)] if n else keys
    elif kind == "runs":
        keys = np.repeat(keys, 5, axis=0)[:n]
    elif kind == "slots":
        keys = np.stack([np.arange(n) % 3001, np.zeros(n)], axis=1).astype(np.uint64)
    elif kind == "one first half":
        keys[:, 0] = 2**64 - 1
    elif kind == "four first halves":
        keys[:, 0] >>= np.uint64(62)
    return keys


KINDS = ["random", "few", "half new", "runs", "slots", "one first half", "four first halves"]


def counted(keys: np.ndarray, batch: int, n_threads: int, limit: int) -> CountTable:
    counts = PatternCounts(memory_limit_bytes=limit)
    for i in range(0, len(keys), batch):
        counts.add(keys[i : i + batch], 3 + i, threads=n_threads)
    return counts.finish()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("n", "batch", "limit"),
    [
        (0, 1, 1 << 26),
        (1, 1, 1 << 26),
        (999, 13, 1 << 26),
        (90_000, 40_000, 1 << 26),
        (30_000, 7_000, 1 << 19),  # these spill
        (40_000, 40_000, 1 << 21),
    ],
)
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_tables_are_the_same(
    kind: str, n: int, batch: int, limit: int, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of(kind, n)
    ours = counted(keys, batch, n_threads, limit)
    monkeypatch.setattr(native, "has_counting", lambda: False)
    assert ours == counted(keys, batch, n_threads, limit)
    assert ours == CountTable.from_keys(keys, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [5, 400, 640])
def test_one_table_is_filled_alike(kind: str, most: int) -> None:
    keys = keys_of(kind, 900)
    filled = []
    for insert in (native.insert_all, table.insert_all):
        index, records = np.zeros(1024, np.uint64), np.zeros((640, 4), np.uint64)
        job = [index.ctypes.data, 1024, records.ctypes.data, 0, most]
        jobs = np.array([[*job, keys.ctypes.data, len(keys), 50, 2]], np.int64)
        insert(jobs)
        used = int(jobs[0, 3])
        assert used <= most
        filled.append((index, records[:used], jobs[0, 3]))
        # A full table stops either at once or after the keys looked at in one go.
        assert jobs[0, 8] <= len(keys) if used == most else jobs[0, 8] == len(keys)
    for ours, theirs in zip(*filled, strict=True):
        if filled[0][2] < most:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stretch", [(0, 512), (512, 1024), (1023, 1024), (100, 101)])
def test_a_share_is_counted_alike(kind: str, stretch: tuple[int, int]) -> None:
    keys = keys_of(kind, 600)
    found = []
    for insert in (native.insert_share, threads.insert_share):
        index, records = np.zeros(1024, np.uint64), np.zeros((700, 4), np.uint64)
        base, fresh, left = insert(index, records, 20, keys, 9, *stretch)
        found.append((base, fresh, left, index, records))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["random", "slots", "one first half", "four first halves"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 47, 50, 3000, 70_000])
def test_records_are_sorted_alike(kind: str, n: int) -> None:
    keys = np.unique(keys_of(kind, n), axis=0)
    records = np.arange(4 * len(keys), dtype=np.uint64).reshape(-1, 4)
    records[:, :2] = np.random.default_rng(1).permutation(keys)
    np.testing.assert_array_equal(sort_records(records), records[sort_order(records)])
