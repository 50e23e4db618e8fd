"""Curves of D at a state of a training, against real steps that are undone."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reluflow.errors import OptionError
from reluflow.temperature import CrossingCurves
from reluflow_torch import Batch, StepProbe
from reluflow_torch.networks import BasicBlock, EightLayers
from reluflow_torch.training.probe import Pass
from reluflow_torch.training.step_curves import step_curves


def dense() -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 10))


def normalised() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)
    )


def residual() -> nn.Module:
    return EightLayers(BasicBlock)


def dropping() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 24, 3), nn.Dropout(0.3), nn.GELU(), nn.Flatten(), nn.Linear(24 * 36, 10)
    )


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def gradients(model: nn.Module, batches: list[Tensor]) -> None:
    for x in batches:
        nn.functional.cross_entropy(model(x), torch.arange(len(x)) % 10).backward()


def passes(batches: list[Tensor]) -> list[Pass]:
    return [Pass(Batch.now((x,), {}, x.device)) for x in batches]


@pytest.mark.parametrize("make_optimizer", [sgd, adamw])
@pytest.mark.parametrize("make", [dense, normalised, residual, dropping])
def test_curves_tell_what_real_steps_change(
    make: Callable[[], nn.Module],
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
) -> None:
    torch.manual_seed(0)
    model, x = make(), torch.randn(256, 1, 8, 8)
    optimizer = make_optimizer(model)
    gradients(model, [x])
    probe = StepProbe(model, optimizer, smooth=make is dropping)
    curves = step_curves(probe, passes([x]), 0.01)
    rates = np.geomspace(curves.rate(0.1), curves.rate(4.0), 7)
    with probe.measuring(x) as measure:
        real = [measure(float(rate)).mean_distance for rate in rates]
    assert np.abs(curves.distance(rates) - real).max() < 0.015


@pytest.mark.parametrize("first", [1e-9, 1e-3, 1e3, 1e12])
def test_the_search_for_a_short_step_begins_anywhere(first: float) -> None:
    torch.manual_seed(0)
    model, x = residual(), torch.randn(64, 1, 8, 8)
    optimizer = sgd(model)
    gradients(model, [x])
    found, other = (
        step_curves(StepProbe(model, optimizer), passes([x]), rate) for rate in (first, 0.01)
    )
    for bits in (0.5, 2.0):
        assert found.rate(bits) == pytest.approx(other.rate(bits), rel=0.05)


def test_batches_are_put_together_and_everything_is_put_back() -> None:
    torch.manual_seed(0)
    model = residual()
    batches = [torch.randn(size, 1, 8, 8) for size in (32, 16)]
    optimizer = sgd(model)
    gradients(model, batches)
    kept = copy.deepcopy((model.state_dict(), [p.grad for p in model.parameters()]))
    random = torch.get_rng_state()
    told: list[int] = []
    probe = StepProbe(model, optimizer, max_samples=10**9)
    curves = step_curves(probe, passes(batches), 0.01, told=lambda: told.append(1))
    assert curves["relu"].samples == (32 + 16) * 64
    assert len(told) >= 4 and not optimizer.state
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[0][name]), name
    for weight, grad in zip(model.parameters(), kept[1], strict=True):
        assert weight.grad is not None and grad is not None and torch.equal(weight.grad, grad)
    assert torch.equal(torch.get_rng_state(), random)


def test_a_step_that_changes_nothing_has_no_rate() -> None:
    model, x = dense(), torch.randn(16, 1, 8, 8)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    curves: CrossingCurves = step_curves(
        StepProbe(model, torch.optim.SGD(model.parameters(), lr=0.1)), passes([x]), 0.1
    )
    assert curves.rate(0.1) == math.inf and curves.highest() == 0.0


@pytest.mark.parametrize(
    ("rate", "bits"), [(0.0, [1.0]), (math.inf, [1.0]), (0.1, []), (0.1, [2.0, 1.0]), (0.1, [0.0])]
)
def test_steps_out_of_order_are_refused(rate: float, bits: list[float]) -> None:
    model, x = dense(), torch.randn(16, 1, 8, 8)
    probe = StepProbe(model, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(OptionError, match="increasing temperatures above 0"):
        step_curves(probe, passes([x]), rate, bits=bits)
