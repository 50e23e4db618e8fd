"""The length of the coming update, as the optimiser then makes it, and trainings it saves."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from reluflow.temperature import CrossingOptions
from reluflow.temperature.crossing_control import CoolingWarning
from reluflow_torch import ActCoolLR
from reluflow_torch.training.state import update
from reluflow_torch.training.state.update import UpdateLength


def net() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4), nn.Linear(4, 1))


def learn(model: nn.Module, scale: float = 1.0) -> None:
    x = torch.randn(16, 8)
    model.zero_grad()
    ((model(x) - x[:, :1]).square().mean() * scale).backward()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_it_is_the_way_that_the_last_weight_then_goes_over_the_rate(momentum: float) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)
    length = UpdateLength(optimizer)
    for _ in range(5):
        learn(model)
        found, before = length.read(), model[3].weight.detach().clone()
        optimizer.step()
        way = float((model[3].weight.detach() - before).norm())
        assert found == pytest.approx(way / 0.01, rel=1e-3)


def test_of_a_large_weight_the_first_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "_MOST_VALUES", 64)
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))
    learn(model)
    weight = model[2].weight
    assert weight.grad is not None
    expected = float(weight.grad[:2].norm())
    assert UpdateLength(torch.optim.SGD(model.parameters(), lr=0.1)).read() == expected


def test_layers_without_a_gradient_are_passed_over() -> None:
    model = net()
    model[3].weight.requires_grad_(False)
    learn(model)
    gradient = model[2].weight.grad
    assert gradient is not None
    found = UpdateLength(torch.optim.SGD(model.parameters(), lr=0.1)).read()
    assert found == pytest.approx(float(gradient.norm()))


def test_nothing_is_said_of_others_and_of_what_has_no_plain_gradient() -> None:
    model = net()
    learn(model)
    assert UpdateLength(torch.optim.AdamW(model.parameters())).read() is None
    words = nn.Embedding(10, 4, sparse=True)
    words(torch.tensor([1, 2])).sum().backward()
    assert UpdateLength(torch.optim.SGD(words.parameters(), lr=0.1)).read() is None
    biases = [p for p in model.parameters() if p.ndim == 1]
    assert UpdateLength(torch.optim.SGD(biases, lr=0.1)).read() is None


def test_the_scale_of_a_fused_optimiser_is_taken_out() -> None:
    model = net()
    learn(model, scale=1024.0)
    optimizer: Any = torch.optim.SGD(model.parameters(), lr=0.1)
    scaled = UpdateLength(optimizer).read()
    optimizer.grad_scale = torch.tensor(1024.0)
    found = UpdateLength(optimizer).read()
    assert scaled is not None
    assert found == pytest.approx(scaled / 1024)


def trained(options: CrossingOptions | None, watch: bool | None = None) -> tuple[Any, float]:
    """Trains on batches of which one is far too large; returns the loss on others."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = ActCoolLR(optimizer, model, 200, options=options, watch_updates=watch)
    for step in range(200):
        x = torch.randn(64, 8)
        x = 100 * x if step == 77 else x
        optimizer.zero_grad()
        (model(x) - x[:, :1].abs()).square().mean().backward()
        optimizer.step()
        scheduler.step()
    x = torch.randn(256, 8)
    return scheduler, float((model(x) - x[:, :1].abs()).square().mean().detach())


def test_one_batch_a_hundred_times_too_large_does_not_end_a_training() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", CoolingWarning)
        scheduler, loss = trained(None)
    assert any("the update of step 78 is" in str(each.message) for each in told)
    assert loss < 0.6  # 1.0 at the start
    assert 1 <= scheduler.controller.n_outliers < 110  # momentum keeps it for a while


@pytest.mark.filterwarnings("ignore::reluflow.temperature.crossing_control.CoolingWarning")
@pytest.mark.parametrize(
    ("options", "watch"), [(CrossingOptions(outlier=math.inf), None), (None, False)]
)
def test_where_updates_are_not_watched_it_does(
    options: CrossingOptions | None, watch: bool | None
) -> None:
    try:
        _, loss = trained(options, watch)
    except Exception as error:
        assert "diverged" in str(error)
    else:
        assert not loss < 0.6
