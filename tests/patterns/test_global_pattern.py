"""The global pattern of an input: sites and positions joined."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.errors import OptionError
from reluflow.patterns import add_site, add_sites, global_keys


def random_keys(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, (*shape, 2), dtype=np.uint64)


@settings(max_examples=40)
@given(
    n=st.integers(0, 12),
    positions=st.lists(st.integers(0, 30), max_size=4),
    cut=st.integers(0, 12),
)
def test_does_not_depend_on_batches_or_order(n, positions, cut):
    sites = [(s, random_keys(n, p, seed=s)) for s, p in enumerate(positions)]
    whole = global_keys(sites, n)
    cut = min(cut, n)
    parts = [
        global_keys([(s, k[a:b]) for s, k in reversed(sites)], b - a)
        for a, b in ((0, cut), (cut, n))
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    flat = global_keys([(s, k.reshape(-1, 2)) for s, k in sites], n)
    np.testing.assert_array_equal(whole, flat)


def test_equal_changes_at_two_places_do_not_cancel():
    a, b = random_keys(2)
    placed = [[a, b], [b, a], [a, a], [b, b]]
    found = global_keys([(0, np.array(placed))], 4)
    assert len(np.unique(found, axis=0)) == 4
    swapped = [
        global_keys([(0, np.array([x])), (1, np.array([y]))], 1)[0]
        for x, y in itertools.product((a, b), repeat=2)
    ]
    assert len(np.unique(swapped, axis=0)) == 4


def test_single_bit_changes_all_differ():
    base = np.zeros((257, 3, 2), np.uint64)
    for bit in range(128):
        base[bit, 0, bit // 64] = 1 << (bit % 64)
        base[128 + bit, 1, bit // 64] = 1 << (bit % 64)
    found = global_keys([(0, base)], 257)
    assert len(np.unique(found, axis=0)) == 257
    flips = np.unpackbits((found ^ found[256]).view(np.uint8), axis=1).sum(axis=1)[:256]
    assert 60 < flips.mean() < 68


def test_add_site_adds_up():
    keys = random_keys(3, 5), random_keys(3, 2, seed=1)
    out = np.zeros((3, 2), np.uint64)
    add_site(out, 1, keys[1])
    add_site(out, 0, keys[0])
    np.testing.assert_array_equal(out, global_keys(enumerate(keys), 3))


def test_refusal():
    with pytest.raises(OptionError, match=r"keys is \[7, 2\], but must hold the same number"):
        global_keys([(0, random_keys(7))], 2)
    with pytest.raises(OptionError, match=r"keys is \[7, 2\], .* of 0 inputs"):
        global_keys([(0, random_keys(7))], 0)


def test_joining_several_sites_is_joining_each():
    rng = np.random.default_rng(3)
    keys = {i: rng.integers(0, 2**64, (4 * n, 2), dtype=np.uint64) for i, n in ((0, 5), (3, 1))}
    one, other = np.zeros((4, 2), np.uint64), np.zeros((4, 2), np.uint64)
    add_sites(one, keys)
    for site, each in keys.items():
        add_site(other, site, each)
    np.testing.assert_array_equal(one, other)
    assert one.any()


def test_joining_no_site_or_no_input_changes_nothing():
    out = np.zeros((2, 2), np.uint64)
    add_sites(out, {})
    add_sites(out[:0], {0: np.zeros((0, 2), np.uint64)})
    assert not out.any()
