"""Entropy, margin, ratio and disagreement against their definitions, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy

from reluflow.attention import (
    disagreement,
    entropy_bits,
    probabilities_of,
    rival_ratio,
    small_margin,
    uncertainty,
)
from reluflow.attention.uncertainty import check_measure
from reluflow.errors import DataError, OptionError

SHAPES = [((7, 2), 1), ((3, 10), 1), ((2, 5, 4, 6), 1), ((4, 3, 5), -1), ((9,), 0)]


def scores(shape: tuple[int, ...], seed: int = 0, scale: float = 3.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_the_entropy_is_that_of_the_softmax(shape: tuple[int, ...], axis: int) -> None:
    x = scores(shape)
    expected = entropy(softmax(x, axis=axis), axis=axis, base=2)
    np.testing.assert_allclose(entropy_bits(x, axis=axis), expected, atol=1e-12)
    p = softmax(x, axis=axis)
    np.testing.assert_allclose(entropy_bits(p, axis=axis, probabilities=True), expected, atol=1e-12)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_the_margin_is_of_the_two_largest(shape: tuple[int, ...], axis: int) -> None:
    p = softmax(scores(shape, 1), axis=axis)
    ordered = np.sort(np.moveaxis(p, axis, -1))
    expected = 1 - (ordered[..., -1] - ordered[..., -2])
    np.testing.assert_allclose(small_margin(p, axis=axis, probabilities=True), expected, atol=1e-12)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_the_ratio_is_the_distance_of_the_two_largest_scores(
    shape: tuple[int, ...], axis: int
) -> None:
    x = scores(shape, 4)
    ordered = np.sort(np.moveaxis(x, axis, -1))
    expected = np.exp(ordered[..., -2] - ordered[..., -1])
    np.testing.assert_allclose(rival_ratio(x, axis=axis), expected, rtol=1e-9)
    p = softmax(x, axis=axis)
    found = rival_ratio(p, axis=axis, probabilities=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_ratio_leaves_other_classes_out() -> None:
    two, many = np.array([[1.0, 0.5]]), np.array([[1.0, 0.5, *[0.4] * 98]])
    np.testing.assert_allclose(rival_ratio(many), rival_ratio(two))
    assert small_margin(many)[0] > small_margin(two)[0] + 0.2
    assert np.isnan(rival_ratio(np.zeros((1, 3)), probabilities=True)).all()


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_disagreement_is_of_two_draws(shape: tuple[int, ...], axis: int) -> None:
    a, b = scores(shape, 2), scores(shape, 3)
    p, q = softmax(a, axis=axis), softmax(b, axis=axis)
    found = disagreement(a, b, axis=axis)
    other = p.argmax(axis) != q.argmax(axis)
    np.testing.assert_allclose(found, np.abs(p - q).sum(axis) / 2 + other, atol=1e-12)
    assert (disagreement(a, a, axis=axis) == 0).all()
    assert ((found >= 1) == other).all()


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30))
def test_all_are_within_their_bounds(values: list[float]) -> None:
    x = np.array([values])
    assert 0 <= entropy_bits(x)[0] <= math.log2(len(values)) + 1e-9
    assert 0 <= small_margin(x)[0] <= 1
    assert 0 <= rival_ratio(x)[0] <= 1
    assert 0 <= disagreement(x, x[:, ::-1])[0] <= 2
    np.testing.assert_allclose(probabilities_of(x).sum(), 1)
    np.testing.assert_allclose(entropy_bits(x + 5.0), entropy_bits(x), atol=1e-6)


def test_huge_scores_and_excluded_classes_are_sure() -> None:
    x = np.array([[1e30, 0, 0], [0, -np.inf, -np.inf], [0, 0, -np.inf]])
    assert entropy_bits(x).tolist() == [0, 0, 1]
    assert small_margin(x).tolist() == [0, 0, 1]
    assert rival_ratio(x).tolist() == [0, 0, 1]


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [np.inf, 1.0], [np.inf, np.inf], [-np.inf] * 2])
def test_what_is_not_finite_is_known_to_be_unknown(bad: list[float]) -> None:
    x = np.array([bad, [3.0, -3.0]])
    for measure in ("entropy", "margin", "ratio"):
        unsure, _ = uncertainty((x,), measure)
        assert unsure[0] == np.inf and unsure[1] < 0.5
    assert uncertainty((x, x), "disagreement")[0].tolist() == [np.inf, 0]


def test_two_draws_decide_by_their_mean() -> None:
    a, b = np.array([[0.9, 0.1]]), np.array([[0.4, 0.6]])
    unsure, p = uncertainty((a, b), "disagreement", probabilities=True)
    np.testing.assert_allclose(p, [[0.65, 0.35]])
    np.testing.assert_allclose(unsure, [1.5])


def test_refusals() -> None:
    two = np.zeros((1, 2))
    with pytest.raises(DataError, match=r"scores are \[3, 1\], with fewer than two classes"):
        entropy_bits(np.zeros((3, 1)))
    with pytest.raises(DataError, match="on axis 1; choose an output with a score for each"):
        small_margin(np.zeros(4))
    with pytest.raises(DataError, match=r"second is \[1, 3\], but first is \[1, 2\]"):
        disagreement(two, np.zeros((1, 3)))
    with pytest.raises(OptionError, match="measure is 'variance'; accepted are entropy, margin"):
        check_measure("variance")
    with pytest.raises(OptionError, match="draws are 1, but disagreement is of 2"):
        uncertainty((two,), "disagreement")
    with pytest.raises(OptionError, match="draws are 2, but entropy is of 1"):
        uncertainty((two, two), "entropy")
