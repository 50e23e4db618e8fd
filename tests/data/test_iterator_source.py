"""Iterables of batches: regrouped, checked item by item, read again where possible."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.data import InputSpec, open_data
from reluflow.errors import DataError, OptionError

SPEC = InputSpec("x", np.dtype("f4"), ("N", 2))
PAIR = (SPEC, InputSpec("m", np.dtype("?"), ("N", 2)))


def cut(array, lengths):
    borders = np.cumsum([0, *lengths])
    return [array[a:b] for a, b in itertools.pairwise(borders)]


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    batch_size=st.integers(1, 10),
    start=st.integers(0, 12),
    limit=st.none() | st.integers(1, 20),
    once=st.booleans(),
)
def test_batches_are_cut_anew(lengths, batch_size, start, limit, once):
    whole = np.arange(2 * sum(lengths), dtype=np.float32).reshape(-1, 2)
    items = cut(whole, lengths)
    source = open_data(iter(items) if once else items, [SPEC], limit=limit)
    kept = whole[:limit][start:]
    parts = [batch["x"].copy() for batch in source.batches(batch_size, start or 0)] or [kept[:0]]
    assert all(len(part) == batch_size for part in parts[:-1])
    np.testing.assert_array_equal(np.concatenate(parts), kept)
    assert source.n_samples is None and source.rereadable is not once


def test_items_may_be_arrays_tuples_or_dicts():
    x, m = np.ones((3, 2), "f4"), np.zeros((3, 2), bool)
    for item in ((x, m), [x, m], {"m": m, "x": x}):
        batches = list(open_data([item], PAIR).batches(2))
        assert [list(batch) for batch in batches] == [["x", "m"]] * 2
    assert len(list(open_data([x], [SPEC]).batches(3))) == 1


def test_callables_and_iterables_are_read_again_and_samples_taken():
    items = [np.full((2, 2), k, "f4") for k in range(5)]
    for source in (open_data(lambda: iter(items), [SPEC]), open_data(items, [SPEC])):
        for _ in range(2):
            assert len(list(source.batches(4))) == 3
        assert source.take([9, 0, 3, 0])["x"][:, 0].tolist() == [4, 0, 1, 0]
        with pytest.raises(DataError, match=r"data have 10 samples, so sample 12 is not"):
            source.take([1, 12])


def test_an_iterator_is_read_once():
    source = open_data(iter([np.ones((2, 2), "f4")]), [SPEC])
    assert len(list(source.batches(2))) == 1
    with pytest.raises(DataError, match=r"an iterator that has been read already"):
        list(source.batches(2))
    with pytest.raises(DataError, match=r"an iterator that has been read already"):
        source.take([0])


def test_a_batch_never_mixes_shapes():
    free = InputSpec("x", np.dtype("f4"), ("N", "T"))
    items = [np.ones((n, t), "f4") for n, t in ((2, 3), (2, 3), (4, 5), (1, 3))]
    shapes = [batch["x"].shape for batch in open_data(items, [free]).batches(3)]
    assert shapes == [(3, 3), (1, 3), (3, 5), (1, 5), (1, 3)]
    with pytest.raises(DataError, match=r"differ in shape, so they do not fit one array"):
        open_data(items, [free]).take([0, 5])


def test_a_reused_buffer_does_not_leak_into_earlier_samples():
    buffer = np.empty((3, 2), "f4")

    def items():
        for value in range(4):
            buffer[:] = value
            yield buffer

    parts = [batch["x"][:, 0].copy() for batch in open_data(items, [SPEC]).batches(5)]
    assert np.concatenate(parts).tolist() == np.repeat(range(4), 3).tolist()


def test_at_most_two_items_are_alive():
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Tracked(np.ndarray):
        __hash__ = object.__hash__  # type: ignore[assignment]
        __eq__ = object.__eq__

    def items():
        nonlocal most
        for _ in range(20):
            item = np.ones((3, 2), "f4").view(Tracked)
            alive.add(item)
            most = max(most, len(alive))
            yield item
            del item

    for _ in open_data(items, [SPEC]).batches(7):
        pass
    assert 1 <= most <= 2


def test_items_in_foreign_byte_order_and_layout_are_made_native():
    item = np.asfortranarray(np.arange(6, dtype=">f4").reshape(3, 2))
    (batch,) = open_data([item], [SPEC]).batches(3)
    assert batch["x"].dtype.isnative and batch["x"].flags.c_contiguous
    np.testing.assert_array_equal(batch["x"], item)


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("tensor lives on a device")


@pytest.mark.parametrize(
    ("items", "inputs", "match"),
    [
        ([np.ones(2, "f4")], [SPEC], r"item 0 of the data: .*'x' are float32 \[2\], .* x\[None\]"),
        ([np.ones((1, 2), "f4"), np.ones((1, 2))], [SPEC], r"item 1 .* convert with .astype"),
        ([np.ones((1, 2), "f4")], PAIR, "single ndarray, but the model has 2 inputs; yield a t"),
        ([(np.ones((1, 2), "f4"), 3)], [SPEC], r"a tuple of 2, but the model has 1 input\(s\)"),
        ([{"y": np.ones((1, 2))}], [SPEC], "item 0 of the data has nothing for input 'x'; found"),
        ([{"a": 1, "b": 2}], [SPEC], "has nothing for input 'x'; found 'a', 'b', the model wants"),
        (
            [(np.ones((3, 2), "f4"), np.ones((3, 2), "f4"))],
            [SPEC],
            "a tuple of 2, but .* labels be",
        ),
        ([(np.ones((1, 2), "f4"), np.ones((2, 2), "?"))], PAIR, "different length .'x' has 1, 'm'"),
        ([np.ones((0, 2), "f4")], [SPEC], "item 0 of the data has zero samples; give at least one"),
        ([3.0], [SPEC], "are a single number without a batch axis"),
        ([["a", "b"]], PAIR, "element type <U1; only numbers and booleans"),
        ([Broken()], [SPEC], r"a Broken for input 'x' that numpy cannot read \(tensor lives"),
        ([], [SPEC], "zero samples: the iterator yielded nothing"),
        (lambda: 3, [SPEC], "came from a function that returned int; let it return an iterator"),
    ],
)
def test_items_that_do_not_fit_get_a_sentence(items, inputs, match):
    with pytest.raises(DataError, match=match):
        list(open_data(items, inputs).batches(2))


def test_a_fixed_batch_size_needs_full_batches():
    fixed = InputSpec("x", np.dtype("f4"), (4, 2))
    source = open_data([np.ones((6, 2), "f4")], [fixed])
    with pytest.raises(DataError, match=r"a fixed batch of 4, and 2 samples are no multiple"):
        list(source.batches(4))
    assert len(list(open_data([np.ones((6, 2), "f4")] * 2, [fixed]).batches(4))) == 3


def test_description_says_what_a_sample_is():
    free = InputSpec("x", np.dtype("f4"), None)
    description = open_data(iter([]), [SPEC, InputSpec("y", np.dtype("?"), None)]).description
    assert description.inputs == {"x": "float32 [2]", "y": "bool of unknown rank"}
    assert description.kind == "iterator" and description.source == "Python list_iterator"
    assert open_data([np.ones((1, 7, 3), "f4")], [free]).take([0])["x"].shape == (1, 7, 3)


@pytest.mark.parametrize("start", [-1, 1.5, True])
def test_start_must_be_a_count(start):
    with pytest.raises(OptionError, match=r"start is .* at least 0"):
        open_data([np.ones((1, 2), "f4")], [SPEC]).batches(2, start)
