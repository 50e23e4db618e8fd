"""Thresholds keep to the coverage and to the loss that they are chosen for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from reluflow.attention import threshold_for_coverage, threshold_for_loss
from reluflow.errors import DataError, OptionError

unsure_values = st.lists(st.floats(0, 5) | st.sampled_from([0.0, 1.0, math.inf]), min_size=1)


@given(unsure_values, st.floats(0, 1))
def test_no_more_than_the_coverage_goes_on(values: list[float], coverage: float) -> None:
    x = np.array(values)
    threshold = threshold_for_coverage(x, coverage)
    gone = int((x > threshold).sum())
    assert gone <= coverage * len(x) + 1e-6
    # and no lower threshold would do
    lower = x[x <= threshold]
    if len(lower) and coverage > 0:
        assert (x >= lower.max()).sum() > math.floor(coverage * len(x) + 1e-9)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.29, 0.5, 0.57, 0.99, 1.0])
def test_distinct_values_reach_the_coverage_exactly(share: float) -> None:
    x = np.random.default_rng(0).permutation(100) / 7
    assert (x > threshold_for_coverage(x, share)).sum() == round(100 * share)


def test_equals_stay_together() -> None:
    x = np.array([0.0, 1, 1, 1, 2])
    assert threshold_for_coverage(x, 0.6) == 1.0
    assert threshold_for_coverage(x, 0.8) == 0.0
    assert threshold_for_coverage(x, 0) == math.inf
    assert threshold_for_coverage(x, 1) == -math.inf


def world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw uncertainties and harms; `kept_harm` is the true share below a threshold."""
    x = rng.random(n)
    return x, rng.random(n) < 0.08 * x**2


def kept_harm(threshold: float) -> float:
    return 0.08 * min(1.0, max(0.0, threshold)) ** 3 / 3


@pytest.mark.parametrize(("loss", "n"), [(0.003, 2000), (0.01, 500), (0.02, 300)])
def test_the_confidence_is_kept(loss: float, n: int) -> None:
    trials, broken = 400, 0
    for seed in range(trials):
        x, harmed = world(np.random.default_rng(seed), n)
        broken += kept_harm(threshold_for_loss(x, harmed, loss, 0.9)) > loss
    assert broken <= binom.ppf(0.999, trials, 0.1)


def test_without_confidence_the_loss_is_broken_often() -> None:
    broken = 0
    for seed in range(200):
        x, harmed = world(np.random.default_rng(seed), 500)
        broken += kept_harm(threshold_for_loss(x, harmed, 0.01, None)) > 0.01
    assert broken > 40


def helped_world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `world`, and keeping the unsure inputs helps somewhat less often than it harms."""
    x, harmed = world(rng, n)
    return x, harmed, (rng.random(n) < 0.04 * x**2) & ~harmed


@pytest.mark.parametrize(("loss", "n"), [(0.003, 4000), (0.01, 500), (0.02, 300)])
def test_the_confidence_is_kept_of_harm_less_help(loss: float, n: int) -> None:
    trials, broken, wider = 100, 0, 0
    for seed in range(trials):
        x, harmed, helped = helped_world(np.random.default_rng(seed), n)
        threshold = threshold_for_loss(x, harmed, loss, 0.9, helped=helped)
        broken += kept_harm(threshold) / 2 > loss
        free = threshold_for_loss(x, harmed, loss, None, helped=helped)
        assert free >= threshold
        wider += free > threshold_for_loss(x, harmed, loss, None)
    assert broken <= binom.ppf(0.999, trials, 0.1)
    assert wider > trials / 10


@pytest.mark.parametrize("confidence", [None, 0.5, 0.95])
def test_where_nothing_is_lost_all_are_kept(confidence: float | None) -> None:
    x = np.arange(1000) / 1000
    harmed = x > 0.9
    helped = (x > 0.7) & ~harmed
    assert threshold_for_loss(x, harmed, 0.005, confidence, helped=helped) == x.max()
    none = np.zeros(1000, bool)
    assert threshold_for_loss(x, harmed, 0.003, None, helped=none) == threshold_for_loss(
        x, harmed, 0.003, None
    )


@pytest.mark.parametrize("confidence", [None, 0.5, 0.9, 0.99])
def test_more_confidence_keeps_less(confidence: float | None) -> None:
    x, harmed = world(np.random.default_rng(1), 3000)
    threshold = threshold_for_loss(x, harmed, 0.005, confidence)
    assert (harmed & (x <= threshold)).mean() <= 0.005
    assert threshold <= threshold_for_loss(x, harmed, 0.005, None)
    assert threshold <= threshold_for_loss(x, harmed, 0.02, confidence)


def test_the_ends() -> None:
    x = np.linspace(0, 1, 50)
    none, all_ = np.zeros(50, bool), np.ones(50, bool)
    assert threshold_for_loss(x, none, 0.0, None) == 1.0
    assert threshold_for_loss(x, all_, 0.01, None) == -math.inf
    assert threshold_for_loss(x, none, 0.003) == -math.inf  # 50 inputs guarantee no 0.3 %
    assert threshold_for_loss(x, none, 0.1) == 1.0
    assert threshold_for_loss(x, all_, 1.0) == 1.0
    equal = np.full(50, 0.25)
    assert threshold_for_loss(equal, none, 0.1) == 0.25
    assert threshold_for_loss(equal, x > 0.5, 0.1) == -math.inf


def test_refusals() -> None:
    x, harmed = np.array([0.1, 0.2]), np.zeros(2, bool)
    with pytest.raises(OptionError, match=r"coverage is 1\.5; give a share from 0 to 1"):
        threshold_for_coverage(x, 1.5)
    with pytest.raises(OptionError, match="coverage is nan; give a share"):
        threshold_for_coverage(x, math.nan)
    with pytest.raises(DataError, match=r"uncertainty is \[0\]; give one number for each"):
        threshold_for_coverage(np.zeros(0), 0.5)
    with pytest.raises(DataError, match="uncertainty of input 1 is NaN; give infinity"):
        threshold_for_coverage(np.array([0.0, np.nan]), 0.5)
    with pytest.raises(DataError, match="helped has 2 entries for 1 inputs; give one for each"):
        threshold_for_loss(np.zeros(1), np.zeros(1, bool), 0.1, helped=np.zeros(2, bool))
    with pytest.raises(DataError, match="harmed has 2 entries for 1 inputs"):
        threshold_for_loss(x[:1], harmed, 0.1)
    with pytest.raises(OptionError, match=r"loss is -0\.1; give a share from 0 to 1"):
        threshold_for_loss(x, harmed, -0.1)
    with pytest.raises(OptionError, match=r"confidence is 1\.0; give a number between 0 and 1"):
        threshold_for_loss(x, harmed, 0.1, 1.0)
