"""Parameter groups by switch site, and rates that follow their sites."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_nets import MILD, SmallCNN, mlp, train, vectors

from reluflow.errors import OptionError
from reluflow.temperature import ActCoolOptions, CrossingOptions
from reluflow_torch import ActCoolLR, site_groups
from reluflow_torch.networks import BasicBlock, EightLayers

IMAGES = torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(3))
VECTORS = torch.randn(8, 12, generator=torch.Generator().manual_seed(4))


def named(model: nn.Module, groups: list[dict[str, Any]]) -> dict[str | None, set[str]]:
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {each["site"]: {names[id(weight)] for weight in each["params"]} for each in groups}


def test_a_weight_belongs_to_the_first_site_that_it_changes() -> None:
    model = EightLayers(BasicBlock)
    found = named(model, site_groups(model, IMAGES))
    assert found["relu"] == {"conv.weight", "bn.weight", "bn.bias"}
    own = {f"block2.{name}" for name in ("conv2.weight", "bn2.weight", "bn2.bias")}
    short = {f"block2.shortcut.{name}" for name in ("0.weight", "1.weight", "1.bias")}
    assert found["block2.relu2"] == own | short
    assert found[None] == {"dense.weight", "dense.bias"}
    assert sum(map(len, found.values())) == len([*model.parameters()])


def test_functional_and_reused_switches_and_their_order() -> None:
    model = SmallCNN()
    groups = site_groups(model, IMAGES)
    found = named(model, groups)
    norm = {"norm.weight", "norm.bias"}
    assert [*found.values()] == [
        {"first.weight", "first.bias"} | norm,
        {"second.weight", "second.bias"},
        {"head.weight", "head.bias"},
    ]
    assert [*found] == ["act", "relu", None]


def test_a_scale_that_starts_at_0_hides_no_weight() -> None:
    model = EightLayers(BasicBlock)
    nn.init.zeros_(model.block1.bn2.weight)
    assert "block1.conv2.weight" in named(model, site_groups(model, IMAGES))["block1.relu2"]


@pytest.mark.parametrize(("make", "x"), [(mlp, VECTORS), (SmallCNN, IMAGES)])
def test_weights_buffers_and_generators_are_put_back(make: Any, x: Tensor) -> None:
    model = make()
    before, draws = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    first = site_groups(model, x)
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert named(model, first) == named(model, site_groups(model, x, seed=7))


def test_smooth_activations_are_sites_where_there_is_no_other() -> None:
    model = nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 2))
    found = site_groups(model, VECTORS, smooth=True)
    assert [group["site"] for group in found] == ["1", None]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.Linear(12, 2), "Linear"),
        (nn.ReLU(), "model ReLU has no weight with requires_grad"),
    ],
)
def test_a_model_without_sites_or_weights_is_refused(model: nn.Module, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        site_groups(model, VECTORS)


def cooled(
    model: nn.Module, optimizer: torch.optim.Optimizer, span: float, steps: int = 60
) -> ActCoolLR:
    return ActCoolLR(
        optimizer, model, steps, schedule=MILD, options=CrossingOptions(), site_span=span
    )


def grouped(model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(site_groups(model, VECTORS), lr=0.1, momentum=0.9, **options)


@pytest.mark.parametrize("span", [1.5, 4.0])
def test_rates_of_groups_differ_within_the_span(span: float) -> None:
    model = mlp()
    optimizer = grouped(model)
    rates = train(model, optimizer, vectors(60), cooled(model, optimizer, span))
    first, last = rates[0], rates[-1]
    assert first[0] == first[1] == first[2]
    assert len({*last}) == 3
    for *sites, network in rates:
        assert all(network / span * 0.999 <= rate <= network * span * 1.001 for rate in sites)


def test_a_group_that_is_too_cold_is_warmed() -> None:
    """The second layer is measured from activations a hundredth as large."""

    class Cold(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(12, 32), nn.Linear(12, 32)
            self.head = nn.Linear(64, 5)

        def forward(self, x: Tensor) -> Tensor:
            hot = torch.relu(self.first(x))
            cold = torch.relu(self.second(0.1 * x))
            return self.head(torch.cat([hot, cold], 1))

    model = Cold()
    optimizer = grouped(model)
    rates = train(model, optimizer, vectors(60), cooled(model, optimizer, 8.0))
    hot, cold, _ = rates[-1]
    assert cold > 1.5 * hot


def test_a_span_of_1_is_one_rate_bit_for_bit() -> None:
    weights = []
    for is_grouped in (False, True):
        model = mlp()
        plain = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        optimizer = grouped(model) if is_grouped else plain
        torch.manual_seed(5)
        train(model, optimizer, vectors(40), cooled(model, optimizer, 1.0, 40))
        weights.append([*model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_a_resumed_training_has_the_same_rates() -> None:
    def run(cut: int | None) -> list[Any]:
        torch.manual_seed(0)
        model = mlp()
        model[3] = nn.Identity()  # dropout would draw
        optimizer = grouped(model)
        scheduler = cooled(model, optimizer, 4.0)
        rates: list[Any] = []
        for step, batch in enumerate(vectors(60)):
            if step == cut:
                states = [copy.deepcopy(each.state_dict()) for each in (model, optimizer)]
                state = json.loads(json.dumps(scheduler.state_dict()))
                optimizer = grouped(model)
                scheduler = cooled(model, optimizer, 4.0)
                model.load_state_dict(states[0])
                optimizer.load_state_dict(states[1])
                scheduler.load_state_dict(state)
            rates += train(model, optimizer, [batch], scheduler)
        return rates

    whole = run(None)
    for cut in (1, 9, 33):
        assert run(cut) == whole


def test_a_state_without_factors_loads() -> None:
    model = mlp()
    scheduler = cooled(model, grouped(model), 1.0)
    state = scheduler.state_dict()
    del state["site_factors"]
    scheduler.load_state_dict(state)


@pytest.mark.parametrize("span", [0.5, 0.0, float("nan"), float("inf")])
def test_a_bad_span_is_refused(span: float) -> None:
    model = mlp()
    with pytest.raises(OptionError, match=f"site_span is {span}.* give a number from 1 on"):
        cooled(model, grouped(model), span)


def test_groups_without_sites_are_refused() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(OptionError, match=r"none of the 1 param groups names a site.*site_groups"):
        cooled(model, optimizer, 2.0)


def test_the_fitted_model_is_refused() -> None:
    model = mlp()
    with pytest.raises(OptionError, match=r"no curve for each site; give options=CrossingOptions"):
        ActCoolLR(grouped(model), model, 10, options=ActCoolOptions(), site_span=2.0)


def test_groups_of_another_model_are_refused() -> None:
    model = mlp()
    groups = site_groups(model, VECTORS)
    groups[1]["site"] = "layer4.relu"
    optimizer = torch.optim.SGD(groups, lr=0.1)
    with pytest.raises(OptionError, match=r"name the sites layer4.relu, but the model runs 2, 5;"):
        train(model, optimizer, vectors(20), cooled(model, optimizer, 2.0))


def test_groups_keep_the_ratios_of_their_rates() -> None:
    model = mlp()
    groups = site_groups(model, VECTORS)
    groups[-1]["lr"] = 0.01
    optimizer = torch.optim.SGD(groups, lr=0.1)
    rates = train(model, optimizer, vectors(4), cooled(model, optimizer, 2.0))
    assert rates[0][2] == pytest.approx(0.1 * rates[0][0])
