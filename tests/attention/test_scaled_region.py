"""A region scaled by relative position, and how it is chosen and carried."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from spatial.graphs import INPUT, grow

from reluflow.attention import RegionOptions, receptive_region, scaled_region, with_margin
from reluflow.errors import DataError, OptionError
from reluflow.graph import load, read_spatial

SHIPPED = Path(__file__).parents[2] / "models"


def overlaps(i: int, m: int, j: int, n: int) -> bool:
    """Tell whether pixel i of m and pixel j of n share some of the picture."""
    return Fraction(i, m) < Fraction(j + 1, n) and Fraction(j, n) < Fraction(i + 1, m)


@pytest.mark.parametrize("seed", range(12))
def test_a_pixel_belongs_where_its_part_of_the_picture_overlaps(seed: int) -> None:
    made = grow(seed)
    last = list(made.shapes)[-1]
    graph = read_spatial(load(made.model(last)), {INPUT: made.shapes[INPUT]})
    rng = np.random.default_rng(seed)
    at = [INPUT, last][seed % 2]
    mask = rng.random(graph.sizes[at]) < 0.06
    region = scaled_region(graph, at, mask)
    for name, sizes in graph.sizes.items():
        wanted = np.zeros(sizes, bool)
        for place in np.ndindex(*sizes):
            for other in np.argwhere(mask):
                wanted[place] |= all(
                    overlaps(i, m, int(j), n)
                    for i, m, j, n in zip(place, sizes, other, mask.shape, strict=True)
                )
        np.testing.assert_array_equal(region.mask(name), wanted)
        for margin in (1, 3):
            grown = scaled_region(graph, at, mask, margin).mask(name)
            np.testing.assert_array_equal(grown, with_margin(wanted, margin))
    assert region.ends == ()


def test_all_and_nothing_stay_so() -> None:
    graph = read_spatial(load(SHIPPED / "fashion_resnet8.onnx"), {"image": (1, 1, 28, 28)})
    for full, margin in itertools.product((False, True), (0, 2)):
        region = scaled_region(graph, "image", np.full((28, 28), full), margin)
        assert all((region.mask(name) == full).all() for name in graph.sizes)


def test_a_region_is_chosen_by_a_rule_or_at_random() -> None:
    unsure = np.random.default_rng(0).random((6, 7))
    for rule, value in (("mean", None), ("coverage", 0.3), ("absolute", 0.8), ("quantile", 0.5)):
        chosen = RegionOptions(rule, value).choose(unsure)
        drawn = RegionOptions(rule, value, random=3).choose(unsure)
        assert chosen.sum() == drawn.sum() and (chosen != drawn).any()
        assert (drawn == RegionOptions(rule, value, random=3).choose(unsure)).all()
        assert (drawn != RegionOptions(rule, value, random=3).choose(unsure, 1)).any()
        assert unsure[chosen].min() > unsure[~chosen].max()


def test_what_nothing_is_known_of_is_the_most_unsure() -> None:
    unsure = np.array([[0.1, np.nan], [0.2, 0.9]])
    for options in (RegionOptions("coverage", 0.25), RegionOptions("absolute", 1.0)):
        assert options.choose(unsure).tolist() == [[False, True], [False, False]]
    assert RegionOptions().choose(np.full((2, 2), np.nan)).all()


def test_an_exact_region_reads_all_that_it_depends_on() -> None:
    graph = read_spatial(load(SHIPPED / "fashion_resnet8.onnx"), {"image": (1, 1, 28, 28)})
    last = list(graph.sizes)[-2]
    mask = np.zeros(graph.sizes[last], bool)
    mask[3, 3] = True
    found = RegionOptions(carry="exact", margin=1).carried(graph, last, mask)
    wanted = receptive_region(graph, last, with_margin(mask, 1))
    scaled = RegionOptions(margin=1).carried(graph, last, mask)
    for name in graph.sizes:
        np.testing.assert_array_equal(found.mask(name), wanted.mask(name))
    assert scaled.coverage("image") < found.coverage("image")


def test_what_is_refused() -> None:
    graph = read_spatial(load(SHIPPED / "fashion_resnet8.onnx"), {"image": (1, 1, 28, 28)})
    with pytest.raises(DataError, match=r"mask is \[3, 3\], but tensor 'image' has \[28, 28\] pix"):
        scaled_region(graph, "image", np.zeros((3, 3), bool))
    with pytest.raises(DataError, match="tensor is 'logits', which has no pixels"):
        scaled_region(graph, "logits", np.zeros((3, 3), bool))
    with pytest.raises(OptionError, match="margin is -1 pixels; give a whole number from 0 on"):
        scaled_region(graph, "image", np.zeros((28, 28), bool), -1)
    with pytest.raises(OptionError, match="margin is -2 pixels"):
        RegionOptions(margin=-2)
    with pytest.raises(OptionError, match="rule is 'median'; accepted are mean, quantile"):
        RegionOptions("median")
    with pytest.raises(OptionError, match="carry is 'blocks'; accepted are scaled, exact"):
        RegionOptions(carry="blocks")


def test_a_halo_surrounds_the_unsure_pixels_and_random_ones_are_as_many() -> None:
    unsure = np.zeros((9, 9))
    unsure[4, 4] = 1
    chosen = RegionOptions("absolute", 0.5, halo=2).choose(unsure)
    assert chosen.sum() == 25 and chosen[2:7, 2:7].all()
    assert RegionOptions("absolute", 0.5, halo=2, random=1).choose(unsure).sum() == 25
    with pytest.raises(OptionError, match="halo is -1 pixels; give a whole number from 0 on"):
        RegionOptions(halo=-1)
