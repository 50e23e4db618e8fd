"""The finished table: order, chunks, histogram, top, equality."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.patterns import CountTable, PatternCounts


def small_keys(data):
    return np.array([[d, d % 3] for d in data], np.uint64).reshape(-1, 2)


def spilled(keys, folder):
    counts = PatternCounts(4096, folder)
    counts.add(keys, 0)
    return counts.finish()


@settings(max_examples=50)
@given(data=st.lists(st.integers(0, 30)), k=st.integers(0, 12), size=st.integers(1, 9))
def test_against_a_counter(data, k, size):
    table = CountTable.from_keys(small_keys(data))
    counter = Counter(data)
    assert [int(key[0]) for keys, _, _ in table.iter_chunks(size) for key in keys] == sorted(
        counter
    )
    values, multiplicities = table.count_histogram()
    expected = Counter(counter.values())
    assert dict(zip(values.tolist(), multiplicities.tolist(), strict=True)) == expected
    assert values.tolist() == sorted(expected)
    keys, counts, first = table.top(k)
    best = sorted(counter, key=lambda d: (-counter[d], d))[:k]
    assert keys[:, 0].tolist() == best
    assert counts.tolist() == [counter[d] for d in best]
    assert first.tolist() == [data.index(d) for d in best]


def test_top_and_histogram_over_several_chunks(monkeypatch):
    keys = small_keys(np.random.default_rng(0).integers(0, 500, 4000).tolist())
    table = CountTable.from_keys(keys)
    whole, histogram = table.top(40), table.count_histogram()
    monkeypatch.setattr("reluflow.patterns.tables.records.CHUNK", 7)
    monkeypatch.setattr("reluflow.patterns.tables.records.chunks.__defaults__", (7,))
    table_module = "reluflow.patterns.tables.count_table"
    monkeypatch.setattr(f"{table_module}.CountTable.iter_chunks.__defaults__", (7,))
    for a, b in zip(whole, table.top(40), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(histogram, table.count_histogram(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_in_a_file_as_in_memory(tmp_path):
    keys = small_keys(np.random.default_rng(1).integers(0, 900, 3000).tolist())
    memory, file = CountTable.from_keys(keys), spilled(keys, tmp_path)
    assert memory.in_memory and not file.in_memory
    assert memory == file
    for a, b in zip(memory.top(25), file.top(25), strict=True):
        np.testing.assert_array_equal(a, b)


def test_inequality():
    a, b = small_keys([1, 2, 2]), small_keys([1, 1, 2])
    assert CountTable.from_keys(a) != CountTable.from_keys(b)
    assert CountTable.from_keys(a) != CountTable.from_keys(a[:2])
    assert CountTable.from_keys(a, 0) != CountTable.from_keys(a, 5)
    assert CountTable.from_keys(a) != "a table"
    with pytest.raises(TypeError):
        hash(CountTable.from_keys(a))


def test_empty():
    table = PatternCounts().finish()
    assert (table.total, table.samples) == (0, 0)
    assert table == CountTable.from_keys(np.zeros((0, 2), np.uint64))
    assert len(table.top(3)[0]) == len(table.count_histogram()[0]) == 0
