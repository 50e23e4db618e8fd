"""Algorithms 1 and 2 of the thesis, kept exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.errors import OptionError
from reluflow.patterns import (
    CountTable,
    PatternCounts,
    occupancy,
    thesis_counts,
    thesis_hash,
    thesis_keys,
    thesis_slots,
)
from reluflow.patterns.reference import reference_thesis_hash


def big_integer_hash(bits):
    """Algorithm 1 in Python's unbounded integers, reduced modulo 2^64 at every step."""
    h, modulus = 1610612741, 1 << 64
    for start in range(0, len(bits), 64):
        word = sum(int(b) << j for j, b in enumerate(bits[start : start + 64]))
        h = (word * 402653189 % modulus) ^ (h * 805306457 % modulus)
    return h - modulus if h >= modulus // 2 else h


@settings(max_examples=60)
@given(
    n=st.integers(0, 6),
    units=st.integers(0, 200),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_matches_big_integers(n, units, seed, dtype):
    x = np.random.default_rng(seed).standard_normal((n, units)).astype(dtype)
    expected = [big_integer_hash(row > 0) for row in x]
    assert thesis_hash(x).tolist() == expected
    assert reference_thesis_hash(x).tolist() == expected


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(0, 20), min_size=2, max_size=4),
    data=st.data(),
    threads=st.sampled_from([1, 2]),
)
def test_matches_the_reference_on_any_axis(shape, data, threads):
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = np.random.default_rng(2).standard_normal(shape[::-1]).astype(np.float32).T
    expected = reference_thesis_hash(x, axis, 0.25)
    found = thesis_hash(x, unit_axis=axis, threshold=0.25, threads=threads)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(2, 130, 7, 7), (1, 65, 300), (3, 64, 64), (2, 700, 30, 30)])
def test_planes(shape):
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(thesis_hash(x, threads=2), reference_thesis_hash(x))


def test_table_is_algorithm_2():
    hashes = np.array([-1, -30001, 29999, 5, 30005], np.int64)
    counts = thesis_counts(hashes, 30000)
    assert (counts[29999], counts[5], counts.sum()) == (3, 2, 5)
    assert occupancy(counts) == 2 / 30000
    assert thesis_slots(hashes, 30000).min() >= 0


def test_the_exact_counter_counts_slots_too():
    hashes = thesis_hash(np.random.default_rng(4).standard_normal((500, 9)).astype(np.float32))
    counts = PatternCounts()
    counts.add(thesis_keys(hashes, 64), 0)
    table, fixed = counts.finish(), CountTable.from_counts(thesis_counts(hashes, 64))
    for (keys, n, _), (other_keys, other_n, _) in zip(
        table.iter_chunks(), fixed.iter_chunks(), strict=True
    ):
        np.testing.assert_array_equal(keys, other_keys)
        np.testing.assert_array_equal(n, other_n)


def test_empty_table_has_no_occupancy():
    assert occupancy(np.zeros(0, np.int64)) == 0.0


def test_refusal():
    with pytest.raises(OptionError, match=r"table_size is 0, but a table has at least 1 slot"):
        thesis_counts(np.zeros(1, np.int64), 0)
