"""The whole numbers at the end of a program: their exponent, their error, probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reluflow.edge.ends import (
    aligned,
    end_exponent,
    end_scales,
    largest_sums,
    power_table,
    sigmoid,
    softmax,
)
from reluflow.psb import encode
from reluflow.psb.fixed import FixedFormat, grid_weights


def case(seed: int) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = 2.0 ** rng.integers(-12, 12, (int(rng.integers(1, 9)), 1))
    w = rng.standard_t(2, (len(scale), int(rng.integers(1, 40)))) * scale
    return rng, w.astype(np.float32)


@pytest.mark.parametrize("seed", range(40))
def test_aligned_sums_lie_within_a_unit_and_fit(seed: int) -> None:
    rng, w = case(seed)
    code = encode(w, p_bits=4)
    form = FixedFormat(int(rng.integers(-8, 9)), int(rng.choice([0, 128])))
    bias = (rng.normal(size=len(w)) * 2.0 ** rng.integers(-6, 9)).astype(np.float32)
    exponent = end_exponent(code, bias, form)
    up, whole = end_scales(code, bias, form, exponent)
    drawn = grid_weights(code, 4, "systematic", seed, 1).astype(np.int64)
    x = rng.integers(0, 256, (w.shape[1], 20)) - form.zero
    total = drawn @ x
    assert (np.abs(total) <= largest_sums(code, form)[:, None]).all()
    found = aligned(total, up, whole)
    assert np.abs(found).max() < 1 << 30
    unit = np.ldexp(1.0, code.emax.astype(np.int64)[:, None] - 6 - form.exponent)
    exact = total * unit + bias.astype(np.float64)[:, None]
    assert np.abs(np.ldexp(found.astype(np.float64), -exponent) - exact).max() <= 2.0**-exponent


@pytest.mark.parametrize("seed", range(10))
def test_the_exponent_is_the_largest_that_fits(seed: int) -> None:
    _, w = case(seed)
    code = encode(w, p_bits=4)
    form, none = FixedFormat(3, 0), np.zeros(len(w), np.float32)
    exponent = end_exponent(code, none, form)
    unit = np.ldexp(1.0, code.emax.astype(np.int64) - 6 - form.exponent)
    most = float((largest_sums(code, form) * unit).max())
    assert most * 2.0**exponent <= 2.0**29 < most * 2.0 ** (exponent + 1) * 2


def test_biases_that_are_no_numbers_count_for_nothing() -> None:
    code = encode(np.ones((3, 2), np.float32), p_bits=4)
    bias = np.array([np.nan, np.inf, 0.5], np.float32)
    form = FixedFormat(4, 0)
    exponent = end_exponent(code, bias, form)
    _, whole = end_scales(code, bias, form, exponent)
    assert whole[0] == 0 and whole[1] == 1 << 29 and whole[2] == 1 << (exponent - 1)


def test_all_zero_weights_have_an_exponent() -> None:
    code = encode(np.zeros((2, 2), np.float32), p_bits=4)
    assert end_exponent(code, np.zeros(2, np.float32), FixedFormat(0, 0)) == 200


@pytest.mark.parametrize("exponent", [-3, 0, 5, 12, 20, 28])
@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_probabilities_are_near_the_exact_ones(exponent: int, classes: int) -> None:
    rng = np.random.default_rng(classes)
    for spread in (0.1, 1.0, 6.0):
        logits = np.rint(rng.normal(size=(20, classes)) * spread * 2.0**exponent).astype(np.int64)
        values = np.ldexp(logits.astype(np.float64), -exponent)
        exact = np.exp(values - values.max(axis=-1, keepdims=True))
        exact /= exact.sum(axis=-1, keepdims=True)
        found = softmax(logits, exponent) * 2.0**-15
        assert np.abs(found - exact).max() < 0.01
        best = np.take_along_axis(found, logits.argmax(axis=-1)[:, None], -1)
        assert (best == found.max(axis=-1, keepdims=True)).all()


@pytest.mark.parametrize("exponent", [-3, 0, 5, 12, 20])
def test_single_probabilities_are_near_the_exact_ones(exponent: int) -> None:
    v = np.unique(np.rint(np.linspace(-9, 9, 91) * 2.0**exponent)).astype(np.int64)
    exact = 1 / (1 + np.exp(-np.ldexp(v.astype(np.float64), -exponent)))
    found = sigmoid(v, exponent) * 2.0**-15
    assert np.abs(found - exact).max() < 0.002
    assert (np.diff(found) >= 0).all()


def test_the_kernels_hold_the_table_of_powers() -> None:
    text = (Path(__file__).parents[2] / "runtime" / "edge" / "powers.inc").read_text()
    assert [int(part) for part in text.replace("\n", " ").split(",")] == power_table().tolist()
