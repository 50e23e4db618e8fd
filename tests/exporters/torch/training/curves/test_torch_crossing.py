"""Curves of D over the rate counted on the model's device."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reluflow.errors import DataError, OptionError
from reluflow.temperature import CrossingCurve, crossing_rates
from reluflow.temperature.crossing.lattice import bins_of
from reluflow_torch import Batch, Patterns, SitePattern, StepProbe
from reluflow_torch.training.crossing import curves_along, curves_of

RATE = 0.3


def site(values: Tensor, name: str = "relu") -> Patterns:
    return Patterns([SitePattern(name, "relu", values > 0, 0, len(values), values=values)])


def expected(before: Tensor, after: Tensor, rate: float = RATE) -> CrossingCurve:
    c, end = (each.double().numpy() for each in (before, after))
    with np.errstate(invalid="ignore"):
        return CrossingCurve.of(crossing_rates(c, (end - c) / rate), before.shape[1])


def check(found: CrossingCurve, wanted: CrossingCurve) -> None:
    """Compare counts but for samples that rounding puts into the next cell."""
    assert found.samples == wanted.samples and found.units == wanted.units
    apart = np.abs(np.cumsum(found.counts) - np.cumsum(wanted.counts))
    assert apart.max() <= max(1, 1e-3 * wanted.samples)
    assert found.counts[0] == wanted.counts[0] and found.counts[-1] == wanted.counts[-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(300, 1), (300, 64), (20, 16, 25), (7, 3, 1)])
def test_counts_are_those_of_the_crossing_rates(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(len(shape))
    before = torch.randn(shape, generator=generator, dtype=dtype)
    after = before + 0.1 * torch.randn(shape, generator=generator, dtype=dtype)
    kept = before.clone(), after.clone()
    check(curves_of(site(before), site(after), RATE)["relu"], expected(before, after))
    assert torch.equal(before, kept[0]) and torch.equal(after, kept[1])


def test_units_at_the_threshold_that_do_not_move_and_that_are_no_number() -> None:
    inf, nan = math.inf, math.nan
    before = torch.tensor([0.0, -0.0, 0.0, 0.0, nan, 1.0, 1.0, -1.0, inf, inf, 1.0, -1.0, 1e-37])
    after = torch.tensor([1.0, 1.0, -1.0, 0.0, 1.0, nan, 1.0, -1.0, 1.0, -inf, -inf, inf, 2.0])
    found = curves_of(site(before[:, None]), site(after[:, None]), RATE)["relu"]
    check(found, expected(before[:, None], after[:, None]))
    # at once: both zeros that move up, and what moves by an infinite amount
    assert (found.counts[0], found.counts[-1]) == (4, 9)
    # beside a unit that crosses, none of the others matters
    beside = torch.stack([before, torch.ones_like(before)], 1)
    moved = torch.stack([after, torch.zeros_like(after)], 1)
    found = curves_of(site(beside), site(moved), RATE)["relu"]
    at = int(bins_of(RATE))
    assert found.counts[0] == 4 and found.counts[at - 1 : at + 1].sum() == 9


def test_sites_keep_to_themselves() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = [
        (torch.randn(n, d, generator=generator), torch.randn(n, d, generator=generator))
        for n, d in ((40, 3), (100, 8), (1, 1))
    ]
    before = {str(i): site(a, str(i))[str(i)] for i, (a, _) in enumerate(pairs)}
    after = {str(i): site(b, str(i))[str(i)] for i, (_, b) in enumerate(pairs)}
    curves = curves_of(before, after, RATE)
    assert list(curves) == ["0", "1", "2"]
    for i, (a, b) in enumerate(pairs):
        check(curves[str(i)], expected(a, b))


def test_memory_layouts_are_compared_sample_by_sample() -> None:
    generator = torch.Generator().manual_seed(0)
    before, after = (torch.randn(4, 6, 9, generator=generator) for _ in range(2))
    flat = after.transpose(1, 2).reshape(-1, 6)
    found = curves_of(site(before), site(flat), RATE)["relu"]
    np.testing.assert_array_equal(
        found.counts, curves_of(site(before), site(after), RATE)["relu"].counts
    )


def test_counts_are_the_same_under_deterministic_algorithms() -> None:
    generator = torch.Generator().manual_seed(0)
    before, after = (torch.randn(500, 6, generator=generator) for _ in range(2))
    free = curves_of(site(before), site(after), RATE)["relu"].counts
    torch.use_deterministic_algorithms(True)
    try:
        bound = curves_of(site(before), site(after), RATE)["relu"].counts
    finally:
        torch.use_deterministic_algorithms(False)
    np.testing.assert_array_equal(free, bound)


@pytest.mark.parametrize("first", [nn.Linear(12, 40), nn.Conv2d(3, 40, 2)])
def test_the_first_site_of_a_network_follows_its_curve_at_every_rate(first: nn.Module) -> None:
    """Behind one layer the pre-activations are linear in the rate: the curve is exact."""
    torch.manual_seed(0)
    x = torch.randn(200, 12) if isinstance(first, nn.Linear) else torch.randn(50, 3, 5, 5)
    model = nn.Sequential(first, nn.ReLU())
    model(x).square().sum().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    probe, batch = StepProbe(model, optimizer), Batch.now((x,), {}, torch.device("cpu"))
    before = probe.patterns(batch, values=True)
    step = 1e-4
    kept = [weight.detach().clone() for weight in model.parameters()]
    with torch.no_grad():
        for weight in model.parameters():
            assert weight.grad is not None
            weight.sub_(weight.grad, alpha=step)
    after = probe.patterns(batch, values=True)
    with torch.no_grad():
        for weight, old in zip(model.parameters(), kept, strict=True):
            weight.copy_(old)
    curves = curves_of(before, after, step)
    with probe.measuring(batch=batch) as measure:
        for rate in (1e-5, 1e-4, 1e-3, 1e-2):
            found = measure(rate).sites[0]
            real = min(found.distance, 1 - 1 / found.samples)
            # three samples are what the ends of a curve are smoothed over
            near = 3.1 / found.samples
            assert float(curves.distance(rate)) == pytest.approx(real, abs=near)


def test_patterns_without_values_are_refused() -> None:
    with_values = site(torch.ones(3, 2))
    bits = Patterns([SitePattern("relu", "relu", torch.ones(3, 2, dtype=torch.bool), 0, 3)])
    for pair in ((bits, with_values), (with_values, bits)):
        with pytest.raises(DataError, match="site relu are bits without pre-activations"):
            curves_of(*pair, RATE)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_a_rate_that_makes_no_step_is_refused(rate: float) -> None:
    both = site(torch.ones(3, 2))
    with pytest.raises(OptionError, match="rate is"):
        curves_of(both, both, rate)


@pytest.mark.parametrize("other", [("other", 3, 3), ("relu", 2, 2)])
def test_passes_without_a_common_site_are_refused(other: tuple[str, int, int]) -> None:
    name, rows, units = other
    with pytest.raises(DataError, match="none in common"):
        curves_of(site(torch.ones(3, 2)), site(torch.ones(rows, units), name), RATE)


def test_a_path_of_states_is_followed_from_state_to_state() -> None:
    """A unit at 1 - r^2 and one at -1 + r^2 are at 0 where the line through two states is."""
    ends = torch.tensor([[1.0, -4.0], [0.5, -1.0]])

    def at(rate: float) -> Patterns:
        values = ends.clone()
        values[0, 0] -= rate**2
        values[1, 1] += rate**2
        return site(values)

    curves = curves_along(at(0.0), [(0.5, at(0.5)), (1.5, at(1.5)), (2.5, at(2.5))])
    # (1 - 0.25) / (2.25 - 0.25) of the way from 0.5 to 1.5, for both samples
    assert curves["relu"].counts[int(bins_of(0.875))] == 2
    single = curves_of(at(0.0), at(0.5), 0.5)["relu"]
    assert single.counts[int(bins_of(2.0))] == 2
    # beyond the last state on the line through the last two
    short = curves_along(at(0.0), [(0.25, at(0.25)), (0.5, at(0.5))])["relu"]
    assert short.counts[int(bins_of(0.5 + 0.75 * 0.25 / (0.25 - 0.0625)))] == 2


def test_a_sample_that_changes_back_has_changed_where_it_first_did() -> None:
    values = [torch.tensor([[each]]) for each in (1.0, -1.0, 1.0)]
    way = [(1.0, site(values[1])), (2.0, site(values[2]))]
    assert curves_along(site(values[0]), way)["relu"].counts[int(bins_of(0.5))] == 1


@pytest.mark.parametrize("rates", [[], [0.0], [0.2, 0.1], [0.1, 0.1], [math.inf], [math.nan]])
def test_states_out_of_order_are_refused(rates: list[float]) -> None:
    both = site(torch.ones(3, 2))
    with pytest.raises(OptionError, match="rates of the states are"):
        curves_along(both, [(rate, both) for rate in rates])


def test_states_with_other_sites_are_refused() -> None:
    one, two = site(torch.ones(3, 2)), site(torch.ones(3, 2), "two")
    both = Patterns([one["relu"], two["two"]])
    with pytest.raises(DataError, match="differ in the sites"):
        curves_along(both, [(0.1, both), (0.2, one)])
