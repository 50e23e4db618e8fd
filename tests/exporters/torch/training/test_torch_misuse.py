"""Arguments in the wrong place, and networks of which the optimiser trains only a part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_nets import MILD, mlp, vectors

from reluflow.errors import DataError, OptionError
from reluflow.temperature import ActCoolOptions
from reluflow_torch import ActCoolLR, PatternMonitor


def sgd(weights: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(weights, lr=0.1)


@pytest.mark.parametrize("taker", [ActCoolLR, PatternMonitor])
def test_each_mix_up_has_its_sentence(taker: Any) -> None:
    model = mlp()
    optimizer = sgd(model.parameters())
    name = taker.__name__
    with pytest.raises(OptionError, match=rf"model is 30; give {name}\(optimizer, model\) the"):
        taker(optimizer, 30)
    with pytest.raises(OptionError, match="model is a list; give"):
        taker(optimizer, [model])
    with pytest.raises(OptionError, match="optimizer is the module Sequential and model the opti"):
        taker(model, optimizer)
    with pytest.raises(OptionError, match=r"optimizer is a generator; give .* torch\.optim"):
        taker(model.parameters(), model)


def test_other_mix_ups() -> None:
    model = mlp()
    optimizer = sgd(model.parameters())
    with pytest.raises(OptionError, match=r"schedule is 6\.0, but takes the progress"):
        ActCoolLR(optimizer, model, 3, schedule=6.0)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="optimizer is None; give"):
        ActCoolLR(None, model, 3)  # type: ignore[arg-type]


class Backbone(nn.Module):
    """A backbone with two switches, then a head with or without one of its own."""

    def __init__(self, *, hidden: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU())
        head: list[nn.Module] = [nn.Linear(20, 24), nn.ReLU()] if hidden else []
        self.head = nn.Sequential(*head, nn.Linear(24 if hidden else 20, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def frozen(way: str, *, hidden: bool) -> tuple[Backbone, torch.optim.Optimizer]:
    model = Backbone(hidden=hidden)
    if way == "not in the optimizer":
        return model, sgd(model.head.parameters())
    if way == "rate 0":
        groups = [
            {"params": model.body.parameters(), "lr": 0.0},
            {"params": model.head.parameters()},
        ]
        return model, sgd(groups)
    model.body.requires_grad_(False)
    return model, sgd(model.parameters())


WAYS = ["not in the optimizer", "rate 0", "no gradients"]


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 12) -> ActCoolLR:
    scheduler = ActCoolLR(optimizer, model, steps, schedule=MILD)
    for x, y in vectors(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()
    return scheduler


@pytest.mark.parametrize("way", WAYS)
def test_a_head_behind_a_frozen_backbone_is_told_so(way: str) -> None:
    with pytest.raises(OptionError, match=r"behind the last of the 2 switch sites \(body\.3\)"):
        train(*frozen(way, hidden=False))


@pytest.mark.parametrize("way", WAYS)
def test_sites_that_are_frozen_do_not_count(way: str) -> None:
    scheduler = train(*frozen(way, hidden=True))
    assert scheduler.distances is not None
    assert [site.name for site in scheduler.distances.sites] == ["head.1"]
    assert scheduler.controller.samples == 64
    twin = ActCoolLR(scheduler.optimizer, Backbone(hidden=True), 12)
    twin.load_state_dict(scheduler.state_dict())
    assert twin.state_dict() == scheduler.state_dict()


def test_a_backbone_that_thaws_counts_again() -> None:
    model, optimizer = frozen("not in the optimizer", hidden=True)
    scheduler = ActCoolLR(optimizer, model, 32, schedule=MILD)
    for number, (x, y) in enumerate(vectors(32)):
        if number == 12:
            now = optimizer.param_groups[0]["lr"]
            optimizer.add_param_group({"params": model.body.parameters(), "lr": now})
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()
    assert scheduler.distances is not None
    assert len(scheduler.distances.sites) == 3


def test_gradients_of_zero_are_told_so() -> None:
    model = mlp()
    optimizer = sgd(model.parameters())
    scheduler = ActCoolLR(optimizer, model, 3, options=ActCoolOptions())
    (0.0 * model(vectors(1)[0][0]).sum()).backward()
    with pytest.raises(DataError, match=r"D = 0 at all of .* see that the gradients are not 0"):
        optimizer.step()
    assert scheduler.controller.n_fits == 0
