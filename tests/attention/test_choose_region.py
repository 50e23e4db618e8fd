"""Regions of unsure pixels by every rule, margins, and random ones of the same size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from reluflow.attention import entropy_bits, random_region, unsure_region, with_margin
from reluflow.errors import DataError, OptionError

SHAPES = [(7,), (5, 9), (3, 4, 5), (1, 6), (2, 5, 9)]


def uncertainties(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_rule_has_its_threshold(shape: tuple[int, ...]) -> None:
    x = uncertainties(shape)
    assert (unsure_region(x) == (x > x.mean())).all()
    assert (unsure_region(x, "absolute", 0.4) == (x > 0.4)).all()
    for share in (0.0, 0.25, 0.5, 1.0):
        found = unsure_region(x, "coverage", share)
        assert found.sum() == int(share * x.size)
        assert not found.any() or found.all() or x[found].min() > x[~found].max()
    above = unsure_region(x, "quantile", 0.7)
    assert abs(above.mean() - 0.3) <= 1 / x.size


def test_the_entropy_of_a_map_is_that_of_each_pixel() -> None:
    scores = 5 * np.random.default_rng(0).standard_normal((2, 4, 6, 7))
    found = unsure_region(entropy_bits(scores))
    assert found.shape == (2, 6, 7) and 0 < found.mean() < 1


def test_unknown_pixels_are_unsure() -> None:
    x = np.array([[0.1, np.inf], [0.3, 0.2]])
    assert unsure_region(x).tolist() == [[False, True], [True, False]]
    assert unsure_region(x, "coverage", 0.25).tolist() == [[False, True], [False, False]]
    assert unsure_region(np.full((2, 2), np.inf)).all()


def test_a_map_without_differences_has_no_region() -> None:
    x = np.full((3, 3), 0.5)
    for rule, value in (("mean", None), ("quantile", 0.5), ("coverage", 0.5), ("absolute", 0.5)):
        assert not unsure_region(x, rule, value).any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pixels", [0, 1, 2, 30])
def test_a_margin_is_a_dilation_by_a_square(shape: tuple[int, ...], pixels: int) -> None:
    mask = uncertainties(shape, 1) < 0.1
    square = np.ones([2 * pixels + 1] * len(shape), bool)
    kept = mask.copy()
    np.testing.assert_array_equal(with_margin(mask, pixels), binary_dilation(mask, square))
    np.testing.assert_array_equal(mask, kept)


@pytest.mark.parametrize("coverage", [0.0, 0.1, 0.34, 0.76, 1.0])
def test_random_regions_have_the_coverage(coverage: float) -> None:
    found = [random_region((20, 30), coverage, seed) for seed in (0, 0, 1)]
    assert [each.sum() for each in found] == [round(600 * coverage)] * 3
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all() == (coverage in (0, 1))


def test_refusals() -> None:
    x = uncertainties((3, 3))
    with pytest.raises(OptionError, match="rule is 'median'; accepted are mean, quantile"):
        unsure_region(x, "median")
    with pytest.raises(OptionError, match=r"value is 0\.5, but does nothing with rule 'mean'"):
        unsure_region(x, "mean", 0.5)
    for rule in ("quantile", "absolute", "coverage"):
        with pytest.raises(OptionError, match=f"value is None, which rule '{rule}' needs"):
            unsure_region(x, rule)
    for rule in ("quantile", "coverage"):
        with pytest.raises(OptionError, match=rf"value is 1\.5; give rule '{rule}' a share"):
            unsure_region(x, rule, 1.5)
    with pytest.raises(DataError, match="uncertainty is NaN for some pixels; give a number"):
        unsure_region(np.array([[np.nan, 1.0]]))
    with pytest.raises(DataError, match=r"uncertainty is \[0, 3\], without a pixel"):
        unsure_region(np.zeros((0, 3)))
    with pytest.raises(OptionError, match="margin is -1 pixels; give a whole number from 0 on"):
        with_margin(x > 0.5, -1)
    with pytest.raises(OptionError, match=r"coverage is 1\.01; give a share from 0 to 1"):
        random_region((3, 3), 1.01)
