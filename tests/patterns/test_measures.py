"""The measures against their formulas over a plain dictionary, and their bounds."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.errors import OptionError
from reluflow.patterns import (
    CountTable,
    PatternCounts,
    changes,
    count_different,
    entropy,
    most_frequent,
    relative_entropy,
    total,
    unit_activity,
    weighted_jaccard,
)

patterns = st.lists(st.integers(0, 25), max_size=80)
some_patterns = st.lists(st.integers(0, 25), min_size=1, max_size=80)
EMPTY = CountTable.from_keys(np.zeros((0, 2), np.uint64))


def keys_of(data):
    return np.array([[d % 5, d] for d in data], np.uint64).reshape(-1, 2)


def table(data):
    return CountTable.from_keys(keys_of(data))


@settings(max_examples=80)
@given(data=some_patterns, units=st.integers(0, 40))
def test_one_table(data, units):
    c, n = Counter(data), len(data)
    h = -sum(v / n * math.log2(v / n) for v in c.values())
    t = table(data)
    assert total(t) == len(c)
    assert most_frequent(t) == max(c.values()) / n
    assert entropy(t) == pytest.approx(h, abs=1e-12)
    assert 0.0 <= entropy(t) <= math.log2(n) + 1e-12
    bound = min(units, math.log2(n))
    assert relative_entropy(t, units) == pytest.approx(min(1, h / bound) if bound else 0.0)
    assert 0.0 <= relative_entropy(t, units) <= 1.0


@settings(max_examples=80)
@given(a=some_patterns, b=patterns)
def test_two_tables(a, b):
    ca, cb = Counter(a), Counter(b)
    ta, tb = table(a), table(b)
    jaccard = weighted_jaccard(ta, tb)
    both = set(ca) | set(cb)
    assert jaccard == sum(min(ca[k], cb[k]) for k in both) / sum(max(ca[k], cb[k]) for k in both)
    assert jaccard == weighted_jaccard(tb, ta)
    assert 0.0 <= jaccard <= 1.0
    assert (jaccard == 1.0) == (ca == cb)
    found = changes(ta, tb)
    assert found.net == (len(cb) - len(ca)) / len(ca)
    assert found.born == len(set(cb) - set(ca)) / len(ca)
    assert found.died == len(set(ca) - set(cb)) / len(ca)
    assert found.net == pytest.approx(found.born - found.died)


def test_large_tables_in_files_and_memory(tmp_path):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 200_000, 150_000).tolist() for _ in range(2))
    ca, cb = Counter(a), Counter(b)
    counts = PatternCounts(1 << 20, tmp_path)
    counts.add(keys_of(a), 0)
    ta, tb = counts.finish(), table(b)
    assert not ta.in_memory
    shared = sum(min(ca[k], cb[k]) for k in ca)
    assert weighted_jaccard(ta, tb) == shared / (len(a) + len(b) - shared)
    assert changes(ta, tb).died == len(set(ca) - set(cb)) / len(ca)


def test_known_values():
    assert entropy(table([1, 1, 1])) == 0.0
    assert math.copysign(1.0, entropy(table([1]))) == 1.0
    assert entropy(table(range(16))) == 4.0
    assert relative_entropy(table([1]), 8) == 0.0
    assert relative_entropy(table([1, 2, 3, 4]), 1) == 1.0
    assert weighted_jaccard(table([1]), EMPTY) == 0.0
    assert changes(table([1, 2]), EMPTY).net == -1.0
    assert total(EMPTY) == 0


@settings(max_examples=40)
@given(data=some_patterns, seed=st.integers(0, 99))
def test_entropy_does_not_depend_on_order(data, seed):
    shuffled = np.random.default_rng(seed).permutation(data).tolist()
    relabelled = [25 - d for d in shuffled]
    assert entropy(table(data)) == entropy(table(shuffled)) == entropy(table(relabelled))


def test_unit_activity():
    found = unit_activity(np.array([0, 5, 10, 0]), 10)
    assert found.fraction.tolist() == [0.0, 0.5, 1.0, 0.0]
    assert (found.dead, found.always_on) == (2, 1)
    assert unit_activity(np.zeros(0, np.int64), 3).dead == 0


@settings(max_examples=30)
@given(data=some_patterns, changed=st.sets(st.integers(0, 79)), word=st.integers(0, 1))
def test_count_different(data, changed, word):
    a = keys_of(data)
    b = a.copy()
    rows = [i for i in changed if i < len(a)]
    b[rows, word] ^= np.uint64(1 << 63)
    assert count_different(a, b) == len(rows)


def test_refusals():
    for measure in (most_frequent, entropy):
        with pytest.raises(OptionError, match=rf"{measure.__name__} got an empty table"):
            measure(EMPTY)
    with pytest.raises(OptionError, match=r"relative_entropy got an empty table"):
        relative_entropy(EMPTY, 3)
    with pytest.raises(OptionError, match=r"changes got an empty table"):
        changes(EMPTY, table([1]))
    with pytest.raises(OptionError, match=r"weighted_jaccard got two empty tables"):
        weighted_jaccard(EMPTY, EMPTY)
    with pytest.raises(OptionError, match=r"samples is 0, but at least 1"):
        unit_activity(np.array([0]), 0)
    with pytest.raises(OptionError, match=r"active reaches from 1 to 9, but must lie in"):
        unit_activity(np.array([1, 9]), 3)
    with pytest.raises(OptionError, match=r"a is \[1, 2\] and b is \[2, 2\]"):
        count_different(keys_of([1]), keys_of([1, 2]))
