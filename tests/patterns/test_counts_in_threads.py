"""Counting in threads: the same table whatever the number of threads, the keys and their order."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.patterns import PatternCounts, merge
from reluflow.patterns.tables import table, threads

N = 120_000


def all_distinct(rng):
    return rng.integers(0, 2**64, (N, 2), dtype=np.uint64)


def few(rng):
    return all_distinct(rng)[rng.integers(0, 9, N)]


def many_duplicates(rng):
    return all_distinct(rng)[rng.integers(0, 30_000, N)]


def one_key(rng):
    return np.repeat(all_distinct(rng)[:1], N, axis=0)


def runs_of_equal_keys(rng):
    return np.repeat(all_distinct(rng)[: N // 8], 8, axis=0)


def equal_low_words(rng):
    keys = all_distinct(rng)[rng.integers(0, N // 2, N)]
    keys[:, 0] = 7
    return keys


def equal_high_bits(rng):
    return rng.integers(0, N, (N, 2), dtype=np.uint64) & np.uint64(0xFFF)


def equal_tags(rng):
    """All have the same place in the index; there are few, since each search passes over all."""
    first = rng.integers(0, 2**64, 700, dtype=np.uint64)
    second = (first << np.uint64(32)) | (first >> np.uint64(32))
    return np.stack([first, second], axis=1)[rng.integers(0, 700, N // 2)]


def last_places(rng):
    """Keys at the end of the index, whose searches wrap around to its beginning."""
    keys = rng.integers(0, 2**64, (40 * N, 2), dtype=np.uint64)
    rotated = (keys[:, 1] << np.uint64(32)) | (keys[:, 1] >> np.uint64(32))
    z = (keys[:, 0] ^ rotated) * np.uint64(0x9E3779B97F4A7C15)
    tags = (z ^ (z << np.uint64(29))) >> np.uint64(32)
    return keys[tags >= (1 << 32) - (1 << 26)]


KINDS = [
    all_distinct,
    few,
    many_duplicates,
    one_key,
    runs_of_equal_keys,
    equal_low_words,
    equal_high_bits,
    equal_tags,
    last_places,
]


def by_unique(keys):
    """The table by `np.unique`, which is independent of ours."""
    pairs = np.ascontiguousarray(keys).view([("high", "<u8"), ("low", "<u8")])[:, 0]
    found, first, counts = np.unique(pairs, return_index=True, return_counts=True)
    return found.view(np.uint64).reshape(-1, 2), counts, first


def assert_is(got, keys):
    expected = by_unique(keys)
    (found,) = got.iter_chunks(len(keys) + 1)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert got.samples == len(keys)


def counted(keys, n_threads, pool=None, batch=50_000, limit=1 << 28, folder=None):
    counts = PatternCounts(limit, folder)
    for i in range(0, len(keys), batch):
        counts.add(keys[i : i + batch], i, threads=n_threads, pool=pool)
    return counts


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_threads_give_the_same_table(kind):
    keys = kind(np.random.default_rng(1))
    assert len(keys) > 3 * threads.LEAST_KEYS
    assert_is(counted(keys, 1).finish(), keys)
    with ThreadPoolExecutor(3) as pool:
        for n_threads in (2, 3, 5):
            assert_is(counted(keys, n_threads, pool).finish(), keys)
    assert_is(counted(keys, 2, batch=len(keys)).finish(), keys)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_parts_merge_in_any_order_and_from_files(kind, tmp_path):
    keys = kind(np.random.default_rng(2))
    cuts = [0, len(keys) // 3, len(keys) // 2, len(keys)]
    parts = []
    for i, (a, b) in enumerate(itertools.pairwise(cuts)):
        # The second keeps so little memory that it spills again and again.
        counts = PatternCounts(1 << 21 if i == 1 else 1 << 28, tmp_path / str(i))
        counts.add(keys[a:b], a, threads=2)
        parts.append(counts)
    tables = [part.finish() for part in parts]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        x, y, z = (tables[i] for i in order)
        assert_is(merge(merge(x, y, tmp_path), z, tmp_path), keys)
    total = PatternCounts(1 << 28, tmp_path / "total")
    for i in (2, 0, 1):
        total.merge(parts[i])
    assert_is(total.finish(), keys)


def test_batches_out_of_order_keep_the_first_sample():
    keys = many_duplicates(np.random.default_rng(3))
    counts = PatternCounts()
    for start in (80_000, 0, 40_000):
        counts.add(keys[start : start + 40_000], start, threads=2)
    assert_is(counts.finish(), keys)


def test_a_table_that_spills_in_threads_says_so_and_stays_exact(tmp_path):
    keys = all_distinct(np.random.default_rng(4))
    counts = counted(keys, 2, limit=1 << 22, folder=tmp_path)
    assert counts.spilled_bytes > 0
    assert counts.nbytes <= 1 << 22
    assert_is(counts.finish(), keys)


def test_adding_to_all_in_threads():
    rng = np.random.default_rng(5)
    batches = [kind(rng) for kind in (all_distinct, few, equal_tags)]
    tables = [PatternCounts() for _ in batches]
    PatternCounts.add_to_all([(c, k, 0) for c, k in zip(tables, batches, strict=True)], threads=2)
    for counts, keys in zip(tables, batches, strict=True):
        assert_is(counts.finish(), keys)


def test_a_table_makes_room_once_where_all_patterns_are_new():
    counts = PatternCounts()
    counts.add(all_distinct(np.random.default_rng(6)), 0)
    assert counts.load == N / (1 << 18)
    counts = PatternCounts()
    counts.add(few(np.random.default_rng(6)), 0)
    assert counts.nbytes == PatternCounts().nbytes


def test_no_thread_is_refused():
    counts = PatternCounts()
    with pytest.raises(OptionError, match=r"threads is 0, but must be at least 1; give 1"):
        counts.add(np.zeros((3, 2), np.uint64), 0, threads=0)
    assert counts.samples == 0


def test_a_stretch_leaves_what_it_cannot_end():
    keys = equal_tags(np.random.default_rng(7))[:50]
    index, records = np.zeros(128, np.uint64), np.zeros((80, 4), np.uint64)
    home = int(table.tag_of(keys[0, 0], keys[0, 1])) >> 25
    fresh, left = 0, 0
    for low, high in ((0, home + 3), (home + 3, 128)):
        _, more, positions = threads.insert_share(index, records, fresh, keys, 0, low, high)
        fresh, left = fresh + more, left + len(positions)
    assert fresh == 3
    assert left == len(keys) - 3 - sum((keys[:, 0] == k).sum() - 1 for k in records[:3, 0])
