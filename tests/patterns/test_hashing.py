"""The default hash against its numpy reference: shapes, strides, axes, tails, odd values."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks.psb import KERNELS

from reluflow.errors import OptionError
from reluflow.patterns import fingerprint, unit_words
from reluflow.patterns import hashing as hashing_module
from reluflow.patterns.kernels.hash import PIECE, hash_dense, hash_planar
from reluflow.patterns.kernels.native import has_hash, hash_natively
from reluflow.patterns.reference import reference_fingerprint

TILE_BITS = 1 << 18
"""Bits that a native kernel keeps at once."""
SPECIAL = [0.0, -0.0, 5e-324, 1e-45, -1e-45, np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e308]


@pytest.fixture(autouse=True)
def split_small_arrays(monkeypatch):
    monkeypatch.setattr("reluflow.patterns.kernels.layout.RANGE_BYTES", 64)


@pytest.fixture(params=["native", "numba"], autouse=True)
def engine(request, monkeypatch):
    if request.param == "numba":
        monkeypatch.setattr(hashing_module, "has_hash", lambda: False)
    elif not has_hash():
        pytest.skip("the native library is not there")
    return request.param


def filled(shape, dtype, seed, special=0.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    odd = rng.random(shape) < special
    x[odd] = rng.choice(SPECIAL, size=int(odd.sum()))
    with np.errstate(over="ignore"):
        return x.astype(dtype)


def assert_matches(x, unit_axis, threshold, threads, pool=None):
    words = unit_words(x.shape[unit_axis])
    found = fingerprint(x, unit_axis=unit_axis, threshold=threshold, threads=threads, pool=pool)
    keys, active, nonfinite = reference_fingerprint(x, words, unit_axis, threshold)
    np.testing.assert_array_equal(found.keys, keys)
    np.testing.assert_array_equal(found.active, active)
    assert found.nonfinite == nonfinite


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    shape=st.lists(st.integers(0, 20), min_size=1, max_size=5),
    data=st.data(),
    dtype=st.sampled_from([np.float32, np.float64]),
    threshold=st.sampled_from([0.0, -0.0, 0.1, -1.5, 6.0, 1e-45, np.inf, -np.inf, 1e300]),
    threads=st.sampled_from([1, 2, 3]),
    special=st.sampled_from([0.0, 0.05, 0.5]),
)
def test_random_shapes_axes_strides(shape, data, dtype, threshold, threads, special):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    steps = data.draw(st.lists(st.sampled_from([1, 1, 2, -1]), min_size=len(shape)))
    order = data.draw(st.permutations(range(len(shape))))
    x = filled([s * abs(t) for s, t in zip(shape, steps, strict=False)], dtype, 1, special)
    x = x[tuple(slice(None, None, t) for t in steps[: len(shape)])].transpose(order)
    assert_matches(x, axis, threshold, threads)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("inner", [2, 9, 15, 16, 17, 31, 33, 48, 49, 57, 63, 64, 65, 127, 196])
def test_every_tail_of_a_plane(inner, dtype):
    assert_matches(filled((3, 37, inner), dtype, inner), 1, 0.0, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("units", [1, 2, 7, 8, 15, 16, 63, 64, 65, 127, 128, 130, 1000])
def test_every_tail_of_a_dense_layer(units, dtype):
    assert_matches(filled((23, units), dtype, units), 1, 0.0, 2)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 300, 40, 40), 1),  # larger than the bit buffer: cut into columns
        ((2, 2100, 9, 9), 1),
        ((1, 3, 300, 301), 1),
        ((1, 512), 1),  # batch 1
        ((3, 5, PIECE + 1), 1),
        ((2, 3, 4097), 1),  # more samples than a kernel takes at once
        ((1, 1, 2 * 4096), 1),
        ((300, 2100), 1),  # rows of more units than
        ((70, 4097), 1),  # a tile holds
        ((1100, 7), 1),
        ((5, TILE_BITS // 64 + 3), 1),  # one sample larger than a stretch
        ((9000, 64), 1),  # several stretches
        ((64, 3000), 0),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_shapes_that_cross_the_buffer(shape, axis, threads):
    assert_matches(filled(shape, np.float32, 3, 0.001), axis, 0.0, threads)


def test_blocks_of_a_large_strided_array(monkeypatch):
    monkeypatch.setattr("reluflow.patterns.kernels.layout.BLOCK_BYTES", 4096)
    x = filled((12, 10, 9, 14), np.float32, 5, 0.01)[:, :, ::-1, ::2]
    for axis in range(4):
        assert_matches(x, axis, 0.0, 2)


def test_channels_last_seen_as_channels_first_is_read_in_place():
    x = filled((4, 6, 5, 33), np.float32, 6)
    seen = fingerprint(x.transpose(0, 3, 1, 2), unit_axis=1)
    np.testing.assert_array_equal(seen.keys, fingerprint(x, unit_axis=-1).keys)
    assert_matches(x.transpose(0, 3, 1, 2), 1, 0.0, 1)


def test_unaligned_array():
    raw = np.zeros(4 * 3 * 40 * 30 + 1, np.uint8)
    x = raw[1:].view(np.float32).reshape(3, 40, 30)
    x[...] = filled((3, 40, 30), np.float32, 7)
    assert_matches(x, 1, 0.0, 2)
    assert_matches(x, 2, 0.0, 2)


def test_threads_and_pool_give_the_same_bits():
    x = filled((3, 70, 23, 29), np.float32, 8, 0.01)
    one = fingerprint(x)
    with ThreadPoolExecutor(2) as pool:
        for threads in (2, 3, 7):
            other = fingerprint(x, threads=threads, pool=pool)
            np.testing.assert_array_equal(one.keys, other.keys)
            np.testing.assert_array_equal(one.active, other.active)
            assert one.nonfinite == other.nonfinite


def test_nan_is_inactive_infinities_are_compared_all_are_counted():
    x = np.array([[np.nan, np.inf, -np.inf, 1.0]], np.float32)
    found = fingerprint(x)
    assert found.active.tolist() == [0, 1, 0, 1]
    assert found.nonfinite == 3


def test_a_sum_that_overflows_is_no_nonfinite_value():
    assert fingerprint(np.full((4, 64), 3e38, np.float32)).nonfinite == 0


def test_exactly_the_threshold_is_inactive():
    x = np.array([[0.0, -0.0, 1e-45, 0.1]], np.float32)
    assert fingerprint(x).active.tolist() == [0, 0, 1, 1]
    assert fingerprint(x, threshold=-0.0).active.tolist() == [0, 0, 1, 1]
    assert fingerprint(x, threshold=0.1).active.tolist() == [0, 0, 0, 0]


def test_key_is_the_xor_of_the_words():
    words = unit_words(70, seed=9)
    found = fingerprint(np.ones((1, 70), np.float32), words=words)
    np.testing.assert_array_equal(found.keys[0], np.bitwise_xor.reduce(words, axis=0))
    np.testing.assert_array_equal(
        found.keys, fingerprint(np.ones((1, 70), np.float32), seed=9).keys
    )


@pytest.mark.parametrize("dense", [False, True])
def test_the_compiled_loops_compare_vectors(dense):
    fresh = numba.njit((hash_dense if dense else hash_planar).py_func)
    units, samples = 64, 64
    x = np.zeros((samples, units) if dense else (1, units, samples), np.float32)
    keys, active = np.empty((samples, 2), np.uint64), np.zeros(units, np.int64)
    fresh(x, unit_words(units), np.float32(0), 0, samples, keys, active)
    assembly = "".join(fresh.inspect_asm().values())
    assert re.search(r"cmp\w*ps\s|fcmgt\s", assembly)


@pytest.mark.parametrize("engine", ["native"], indirect=True)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("inner", [1, 2, 49, 63, 64, 65, 196, 1025])
@pytest.mark.parametrize("units", [1, 8, 9, 64, 71, 1000])
def test_every_native_kernel_hashes_any_range_as_numba_does(
    units, inner, dtype, kernel, engine, monkeypatch
):
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    x = filled((3, units, inner), dtype, units + inner, 0.02)
    words, limit = unit_words(units), dtype(0.1)
    n = 3 * inner
    for start, stop in ((0, n), (1, n), (0, n - 1), (n // 2, n // 2 + 1), (n // 3, n)):
        shown = []
        for hash_range in (hash_natively, hashing_module._hash_in_numba):
            keys, active = np.full((n, 2), 7, np.uint64), np.full(units, 5, np.int64)
            bad = hash_range(x, words, limit, start, stop, keys, active)
            shown.append((keys, active, bad))
        for ours, theirs in zip(*shown, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_more_samples_than_a_short_counter_holds_are_counted():
    x = np.ones((70_000, 9), np.float32)
    assert fingerprint(x).active.tolist() == [70_000] * 9
    assert fingerprint(x.T, unit_axis=0).active.tolist() == [70_000] * 9


def test_unknown_instructions_are_one_sentence(engine, monkeypatch):
    monkeypatch.setenv("RELUFLOW_KERNEL", "sse9")
    if engine == "numba":
        assert len(fingerprint(np.ones((2, 3), np.float32)).keys) == 2
    else:
        with pytest.raises(OptionError, match="RELUFLOW_KERNEL is sse9, but portable, avx2"):
            fingerprint(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"x": np.ones((2, 3), np.float16)}, r"x has type float16, but float32 or float64"),
        ({"x": np.ones((2, 3), ">f4")}, r"x has type >f4"),
        ({"x": np.ones((2, 3), int)}, r"x has type int64"),
        ({"unit_axis": 2}, r"unit_axis is 2, but x has rank 2"),
        ({"x": np.float32(1.0).reshape(())}, r"unit_axis is 1, but x has rank 0"),
        ({"threshold": float("nan")}, r"threshold is NaN"),
        ({"threads": 0}, r"threads is 0, but must be at least 1"),
        ({"words": unit_words(4)}, r"words is uint64 \[4, 2\], but uint64 \[3, 2\]"),
        ({"words": np.zeros((3, 2))}, r"words is float64 \[3, 2\]"),
    ],
)
def test_refusals(change, match):
    given_ = {"x": np.ones((2, 3), np.float32), "unit_axis": 1} | change
    with pytest.raises(OptionError, match=match):
        hashing_module.fingerprint(given_.pop("x"), **given_)


def test_read_only_and_mapped_arrays(tmp_path):
    x = filled((3, 70, 9), np.float32, 9, 0.01)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for axis in (1, 2):
        expected = fingerprint(x, unit_axis=axis)
        found = fingerprint(mapped, unit_axis=axis, threads=2)
        np.testing.assert_array_equal(found.keys, expected.keys)
        assert found.nonfinite == expected.nonfinite > 0
