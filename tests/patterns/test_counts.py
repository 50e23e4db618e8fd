"""Exact counting: against a dictionary, sharded, spilled, checkpointed."""

from __future__ import annotations

import itertools
import json
import os
import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.errors import OptionError, OutputError
from reluflow.patterns import CountTable, PatternCounts, merge
from reluflow.patterns.tables.records import sort_order

SMALL = 4096
"""The smallest memory that a table can have: 64 slots."""


def random_keys(n, kinds, seed=0):
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 2**64, (kinds, 2), dtype=np.uint64)
    pool[::3, 1] = pool[0, 1]
    pool[1::3, 0] = pool[0, 0]  # ties in the first word
    return pool[rng.integers(0, kinds, n)]


def brute_force(keys):
    counts = Counter(map(tuple, keys.tolist()))
    first: dict[tuple[int, ...], int] = {}
    for i, key in enumerate(map(tuple, keys.tolist())):
        first.setdefault(key, i)
    return [(key, counts[key], first[key]) for key in sorted(counts)]


def listed(table, size=1 << 16):
    return [
        (tuple(k), int(c), int(f))
        for keys, counts, first in table.iter_chunks(size)
        for k, c, f in zip(keys.tolist(), counts, first, strict=True)
    ]


def counted(keys, limit=SMALL, spill_dir=None, batch=37, first=0, on_spill=None):
    counts = PatternCounts(limit, spill_dir, on_spill)
    for i in range(0, len(keys), batch):
        counts.add(keys[i : i + batch], first + i)
    return counts


@settings(max_examples=60)
@given(
    n=st.integers(0, 600),
    kinds=st.integers(1, 400),
    seed=st.integers(0, 99),
    batch=st.integers(1, 200),
    limit=st.sampled_from([SMALL, 10_000, 1 << 20]),
)
def test_equals_a_dictionary(n, kinds, seed, batch, limit):
    keys = random_keys(n, kinds, seed)
    table = counted(keys, limit, batch=batch).finish()
    expected = brute_force(keys)
    assert listed(table) == expected
    assert (table.total, table.samples) == (len(expected), n)
    assert table == CountTable.from_keys(keys)


@pytest.mark.parametrize("shards", [1, 2, 4, 8])
@pytest.mark.parametrize("limit", [SMALL, 1 << 20])
def test_shards_in_any_order_are_bit_identical(shards, limit):
    keys = random_keys(3000, 900, 1)
    whole = CountTable.from_keys(keys)
    rng = np.random.default_rng(shards)
    cuts = np.sort(rng.integers(0, len(keys), shards - 1))
    bounds = [0, *cuts.tolist(), len(keys)]
    parts = [counted(keys[a:b], limit, first=a) for a, b in itertools.pairwise(bounds)]
    order = rng.permutation(shards)
    total = PatternCounts(limit)
    for i in order:
        total.merge(parts[i])
    assert listed(total.finish()) == listed(whole)
    assert total.samples == len(keys)


@settings(max_examples=30)
@given(
    cuts=st.lists(st.integers(0, 500), min_size=2, max_size=2).map(sorted), seed=st.integers(0, 9)
)
def test_merge_is_associative_and_commutative(cuts, seed):
    keys = random_keys(500, 120, seed)
    a, b = cuts
    x, y, z = (CountTable.from_keys(keys[s:e], s) for s, e in ((0, a), (a, b), (b, len(keys))))
    whole = CountTable.from_keys(keys)
    assert merge(merge(x, y), z) == whole
    assert merge(x, merge(y, z)) == whole
    assert merge(merge(z, x), y) == whole


def test_merge_of_tables_in_files(tmp_path):
    keys = random_keys(2000, 800, 2)
    a = counted(keys[:1000], spill_dir=tmp_path).finish()
    b = counted(keys[1000:], spill_dir=tmp_path, first=1000).finish()
    assert not a.in_memory and not b.in_memory
    assert merge(a, b, tmp_path) == CountTable.from_keys(keys)
    with pytest.raises(OptionError, match=r"directory is None, but one of the tables lives in"):
        merge(a, b)


def test_adding_after_finish():
    keys = random_keys(900, 300, 3)
    for limit in (SMALL, 1 << 20):
        counts = counted(keys[:500], limit)
        assert counts.finish() == CountTable.from_keys(keys[:500])
        counts.add(keys[500:], 500)
        assert counts.finish() == CountTable.from_keys(keys)


def test_first_sample_when_batches_come_out_of_order():
    keys = random_keys(800, 50, 4)
    counts = PatternCounts()
    for start in (400, 0, 600, 200):
        counts.add(keys[start : start + 200], start)
    assert counts.finish() == CountTable.from_keys(keys)


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 300), min_size=0, max_size=6),
    limit=st.sampled_from([SMALL, 1 << 20]),
    seed=st.integers(0, 99),
)
def test_adding_to_all_is_adding_to_each(tmp_path_factory, sizes, limit, seed):
    folder = tmp_path_factory.mktemp("runs")
    together = [PatternCounts(limit, folder / f"{i}") for i in range(len(sizes))]
    each: list[list[np.ndarray]] = [[] for _ in sizes]
    for step in range(3):
        keys = [random_keys(n, n + 1, seed + step) for n in sizes]
        firsts = [counts.samples for counts in together]
        PatternCounts.add_to_all(list(zip(together, keys, firsts, strict=True)))
        each = [[*old, new] for old, new in zip(each, keys, strict=True)]
    for counts, parts in zip(together, each, strict=True):
        assert counts.samples == sum(map(len, parts))
        assert counts.finish() == CountTable.from_keys(np.concatenate(parts))


def test_adding_to_all_refuses_what_add_refuses():
    counts, keys = PatternCounts(SMALL), random_keys(3, 3)
    with pytest.raises(OptionError, match=r"keys is float64 \[3, 2\]"):
        PatternCounts.add_to_all([(counts, keys.astype(float), 0)])
    with pytest.raises(OptionError, match="first_index is -1, but must be 0 or more"):
        PatternCounts.add_to_all([(counts, keys, -1)])
    assert counts.samples == 0


def test_keys_whose_tags_agree_are_told_apart():
    rng = np.random.default_rng(17)
    first = rng.integers(0, 2**64, 500, dtype=np.uint64)
    # The hash sees key 0 XOR key 1 with its halves swapped: all of these have one hash.
    second = (first << np.uint64(32)) | (first >> np.uint64(32))
    keys = np.stack([first, second], axis=1)
    assert listed(counted(keys, 1 << 20).finish()) == brute_force(keys)


def test_spills_are_announced_once_each_and_counted(tmp_path):
    said: list[Any] = []
    counts = counted(random_keys(1000, 1000, 5), spill_dir=tmp_path, on_spill=said.append)
    runs = list(tmp_path.glob("run-*.records"))
    assert len(said) == len(runs) > 3
    assert counts.spilled_bytes == sum(f.stat().st_size for f in runs)
    assert "spill to" in said[0] and "stay exact" in said[0]
    assert 0.0 < counts.load <= 0.625


def test_memory_stays_bounded(tmp_path):
    limit = 1 << 20
    keys = np.random.default_rng(6).integers(0, 2**64, (100_000, 2), dtype=np.uint64)
    for first in (SMALL, limit):  # compile first: spilling, growing
        counted(keys[:5000], first, tmp_path).finish()
    tracemalloc.start()
    counts = PatternCounts(limit, tmp_path)
    for i in range(0, len(keys), 1000):
        counts.add(keys[i : i + 1000], i)
    table = counts.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table.total == len(keys)
    assert peak < limit


def test_a_table_keeps_its_temporary_files_alive():
    keys = random_keys(1000, 700, 7)
    table = counted(keys).finish()
    folder = table.source.path.parent
    assert table == CountTable.from_keys(keys)
    del table
    assert not folder.exists()


def test_merged_counts_keep_the_other_ones_temporary_files_alive():
    keys = random_keys(1000, 700, 8)
    total = PatternCounts(SMALL)
    total.merge(counted(keys))
    assert total.finish() == CountTable.from_keys(keys)


@pytest.mark.parametrize("own_dir", [False, True])
@pytest.mark.parametrize("limit", [SMALL, 1 << 20])
def test_snapshot_and_restore(tmp_path, own_dir, limit):
    keys = random_keys(2000, 900, 9)
    spill = tmp_path / "spill" if own_dir else None
    counts = PatternCounts(limit, spill)
    for i in range(0, 1200, 100):
        counts.add(keys[i : i + 100], i)
        counts.snapshot(tmp_path / "checkpoint")
    spilled = counts.spilled_bytes
    counts.add(keys[1200:], 1200)  # lost work
    del counts
    resumed = PatternCounts.restore(tmp_path / "checkpoint", limit, spill)
    assert (resumed.samples, resumed.spilled_bytes) == (1200, spilled)
    resumed.add(keys[1200:], 1200)
    assert resumed.finish() == CountTable.from_keys(keys)


def test_restore_with_less_memory(tmp_path):
    keys = random_keys(1500, 1200, 10)
    counted(keys, 1 << 20).snapshot(tmp_path)
    assert PatternCounts.restore(tmp_path, SMALL).finish() == CountTable.from_keys(keys)


def test_snapshot_does_not_rewrite_runs(tmp_path):
    counts = counted(random_keys(500, 500, 11), spill_dir=tmp_path / "runs")
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").iterdir()}
    counts.snapshot(tmp_path / "a")
    counts.snapshot(tmp_path / "a")
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").iterdir()} == before
    assert len(list((tmp_path / "a").glob("*.records"))) == 1


def test_a_snapshot_that_fails_leaves_the_earlier_one(tmp_path, monkeypatch):
    keys = random_keys(400, 100, 12)
    counts = counted(keys[:200])
    counts.snapshot(tmp_path)
    counts.add(keys[200:], 200)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"cannot be written .*No space left on device"):
            counts.snapshot(tmp_path)
    assert PatternCounts.restore(tmp_path).finish() == CountTable.from_keys(keys[:200])
    assert counts.finish() == CountTable.from_keys(keys)
    assert not list(tmp_path.glob(".*tmp"))


def test_a_spill_that_fails_loses_nothing(tmp_path):
    keys = random_keys(300, 300, 13)
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    counts = PatternCounts(SMALL, blocked)
    counts.add(keys[:30], 0)
    with pytest.raises(OutputError, match=r"the pattern counts cannot be written to .*file"):
        counts.add(keys[30:], 30)
    assert listed(CountTable.from_keys(keys[:30])) == listed(counted(keys[:30]).finish())


def test_damaged_checkpoints(tmp_path):
    with pytest.raises(OutputError, match=r"counts.json is no checkpoint of pattern counts"):
        PatternCounts.restore(tmp_path)
    counted(random_keys(500, 500, 14), spill_dir=tmp_path / "runs").snapshot(tmp_path)
    manifest = tmp_path / "counts.json"
    good = manifest.read_text()
    manifest.write_text(json.dumps(json.loads(good) | {"version": 99}))
    with pytest.raises(OutputError, match=r"its version is 99, not 1"):
        PatternCounts.restore(tmp_path)
    manifest.write_text(good)
    run = next((tmp_path / "runs").iterdir())
    run.write_bytes(run.read_bytes()[:-8])
    with pytest.raises(OutputError, match=r"the run file .* holds \d+ bytes, but the checkpoint"):
        PatternCounts.restore(tmp_path)
    run.unlink()
    with pytest.raises(OutputError, match=r"the run file .* is missing, but the checkpoint needs"):
        PatternCounts.restore(tmp_path)


def test_run_files_that_vanish_or_shrink(tmp_path):
    table = counted(random_keys(500, 400, 15), spill_dir=tmp_path).finish()
    path = table.source.path
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(OutputError, match=r"is shorter than its \d+ records"):
        list(table.iter_chunks())
    path.unlink()
    with pytest.raises(OutputError, match=r"the run file .* cannot be read"):
        list(table.iter_chunks())


def test_no_temporary_directory(monkeypatch):
    monkeypatch.setattr("tempfile.mkdtemp", _no_room)
    with pytest.raises(OutputError, match=r"no temporary directory can be made"):
        counted(random_keys(300, 300, 16))


def _no_room(*_, **__):
    raise OSError(28, "No space left on device")


def test_a_checkpoint_whose_runs_cannot_be_kept(tmp_path, monkeypatch):
    counts = counted(random_keys(300, 300, 17))
    monkeypatch.setattr("os.link", _no_room)
    monkeypatch.setattr("shutil.copyfile", _no_room)
    with pytest.raises(OutputError, match=r"a checkpoint cannot be written to"):
        counts.snapshot(tmp_path)


def test_refusals():
    with pytest.raises(OptionError, match=r"memory_limit_bytes is 100, but a table needs"):
        PatternCounts(100)
    counts = PatternCounts()
    with pytest.raises(OptionError, match=r"keys is int64 \[3, 2\], but uint64 \[n, 2\]"):
        counts.add(np.zeros((3, 2), np.int64), 0)
    with pytest.raises(OptionError, match=r"keys is uint64 \[4\]"):
        counts.add(np.zeros(4, np.uint64), 0)
    with pytest.raises(OptionError, match=r"first_index is -1, but must be 0 or more"):
        counts.add(np.zeros((3, 2), np.uint64), -1)


@pytest.mark.parametrize("kinds", ["random", "crowded", "ties"])
def test_sorting(kinds):
    rng = np.random.default_rng(18)
    records = rng.integers(0, 2**64, (5000, 4), dtype=np.uint64)
    if kinds == "crowded":
        records[:, 0] >>= np.uint64(50)
    if kinds == "ties":
        records[:, 0] = np.repeat(records[::20, 0], 20)
    expected = np.lexsort((records[:, 1], records[:, 0]))
    np.testing.assert_array_equal(sort_order(records), expected)
    assert len(sort_order(records[:0])) == 0


def test_a_table_spills_when_told_to_and_stays_exact(tmp_path):
    keys = random_keys(9000, 9000, 8)
    counts = PatternCounts(1 << 22, tmp_path)
    counts.add(keys[:6000], 0)
    grown = counts.nbytes
    counts.spill()
    assert counts.nbytes < grown
    assert counts.spilled_bytes == CountTable.from_keys(keys[:6000]).total * 32
    counts.add(keys[6000:], 6000)
    assert counts.finish() == CountTable.from_keys(keys)
