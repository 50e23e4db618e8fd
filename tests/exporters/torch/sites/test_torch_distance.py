"""D of two passes: exact counts, matched sites, one sentence where there is nothing to compare."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_nets import SmallCNN, images

from reluflow.errors import DataError
from reluflow.temperature import SiteDistance, StepDistance
from reluflow_torch import PatternCapture, distances


def caught(x: Tensor, **options: Any) -> PatternCapture:
    with PatternCapture(nn.Identity(), **options) as capture:
        torch.relu(x)
    return capture


@pytest.mark.parametrize("units", [3, 8, 24, 33])
@pytest.mark.parametrize("rank", [2, 4])
def test_d_is_the_share_of_samples_that_changed_in_any_unit(units: int, rank: int) -> None:
    draw = torch.Generator().manual_seed(units)
    shape = (40, units) if rank == 2 else (10, units, 2, 2)
    a = torch.randn(shape, generator=draw)
    b = torch.where(torch.rand(shape, generator=draw) < 0.05, -a, a)
    found = distances(caught(a).patterns, caught(b).patterns)
    expected = int(((a > 0) != (b > 0)).any(1).sum())
    assert 0 < expected < 40
    assert found.sites == (SiteDistance("relu", expected, 40, units=units),)
    assert found.mean_distance == expected / 40


def test_a_layout_that_changed_in_between_is_no_matter() -> None:
    a = torch.randn(5, 6, 4, 4)
    b = a.clone()
    b[2, 3, 1, 1] *= -1
    found = distances(caught(a).patterns, caught(b.to(memory_format=torch.channels_last)).patterns)
    assert found.sites[0].changed == 1


def test_sub_sampled_d_is_within_its_stated_error() -> None:
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(64, 4, 32, 32, generator=draw)
    b = torch.where(torch.rand(a.shape, generator=draw) < 0.1, -a, a)
    exact = distances(caught(a, max_samples=10**6).patterns, caught(b, max_samples=10**6).patterns)
    rough = distances(caught(a).patterns, caught(b).patterns)
    assert rough.sites[0].samples == 4096
    assert rough.standard_error == pytest.approx(math.sqrt(0.345 * 0.655 / 4096), rel=0.02)
    assert abs(rough.mean_distance - exact.mean_distance) < 4 * rough.standard_error


def test_mean_and_error_are_over_sites() -> None:
    found = StepDistance((SiteDistance("a", 1, 4), SiteDistance("b", 0, 9, nans=2)))
    assert found.mean_distance == 0.125
    assert found.standard_error == pytest.approx(math.sqrt(0.25 * 0.75 / 4) / 2)
    assert found.nans == 2
    assert found.nonfinite is None
    told = found.to_dict()
    counts = ("name", "changed", "samples", "nans")
    assert told["mean_distance"] == 0.125
    assert [{key: site[key] for key in counts} for site in told["sites"]] == [
        {"name": "a", "changed": 1, "samples": 4, "nans": 0},
        {"name": "b", "changed": 0, "samples": 9, "nans": 2},
    ]
    assert not {"layer", "units", "nonfinite"} & told["sites"][0].keys()


def test_sites_match_by_name_where_a_pass_took_another_way() -> None:
    model = SmallCNN()
    ((x, _),) = images(1)
    with PatternCapture(model) as whole:
        model(x)
    with PatternCapture(model) as part:
        model.act(model.norm(model.first(x)))
    found = distances(whole.patterns, part.patterns)
    assert [(site.name, site.changed) for site in found.sites] == [("act", 0)]


def test_nans_of_the_second_pass_are_counted() -> None:
    b = torch.ones(4, 3)
    b[1, 2] = float("nan")
    found = distances(caught(torch.ones(4, 3)).patterns, caught(b).patterns)
    assert (found.mean_distance, found.nans) == (0.25, 1)


def test_passes_without_a_common_site_are_refused() -> None:
    with pytest.raises(DataError, match=r"switch sites \['relu'\] and \['relu'\], none in common"):
        distances(caught(torch.ones(4, 3)).patterns, caught(torch.ones(5, 3)).patterns)
