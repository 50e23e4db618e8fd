"""Closures that run the model twice, at other weights in between, and steps that are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_nets import MILD, mlp, same, vectors

from reluflow.errors import DataError
from reluflow_torch import ActCoolLR, PatternMonitor

STEPS = 10


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    return loss


def by_copies(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Sharpness-aware: the gradient of neighbouring weights, which are put back bit for bit."""
    loss = loss_of(model, x, y)
    kept = [weight.detach().clone() for weight in model.parameters()]
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * weight.grad.sign())  # type: ignore[union-attr]
    model.zero_grad()
    loss_of(model, x, y)
    with torch.no_grad():
        for weight, old in zip(model.parameters(), kept, strict=True):
            weight.copy_(old)
    return loss


def by_differences(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The same, put back by subtraction, so up to rounding."""
    loss = loss_of(model, x, y)
    moves = [0.05 * weight.grad.sign() for weight in model.parameters()]  # type: ignore[union-attr]
    with torch.no_grad():
        torch._foreach_add_(list(model.parameters()), moves)
    model.zero_grad()
    loss_of(model, x, y)
    with torch.no_grad():
        torch._foreach_sub_(list(model.parameters()), moves)
    return loss


def in_halves(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (loss_of(model, x[:32], y[:32]) + loss_of(model, x[32:], y[32:])) / 2


def in_pairs(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    loss = (model(x[:32]) - model(x[32:])).square().mean() + model(x[:32]).square().mean()
    loss.backward()
    return loss


WAYS: dict[str, tuple[Callable[[nn.Module, Tensor, Tensor], Tensor], int]] = {
    "copies": (by_copies, 128),
    "differences": (by_differences, 128),
    "halves": (in_halves, 64),
    "pairs": (in_pairs, 96),
}


def run(
    way: str, kind: type[torch.optim.Optimizer], rates: list[float] | None
) -> tuple[list[float], list[Tensor], Any, Any]:
    """Train by closures; where rates are given, with these and without a scheduler."""
    model = mlp()
    optimizer = kind(model.parameters(), lr=0.01)  # type: ignore[call-arg]
    scheduler = monitor = None
    if rates is None:
        scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
        monitor = PatternMonitor(optimizer, model, every=1)
    torch.manual_seed(5)
    used = []
    for step, (x, y) in enumerate(vectors(STEPS)):

        def closure(x: Tensor = x, y: Tensor = y) -> float:
            optimizer.zero_grad()
            return float(WAYS[way][0](model, x, y).detach())

        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates[step]
        loss: Any = optimizer.step(closure)
        assert isinstance(loss, float)
        used.append(optimizer.param_groups[0]["lr"])
        if scheduler is not None:
            scheduler.step()
    return used, list(model.state_dict().values()), scheduler, monitor


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_closure_may_run_the_model_twice(way: str, kind: Any) -> None:
    rates, weights, scheduler, monitor = run(way, kind, None)
    assert len(set(rates)) > STEPS / 2
    assert scheduler.n_probes == 9  # after steps 1 to 8, and 10
    assert scheduler.controller.samples == 2 * WAYS[way][1]
    assert monitor.distances is not None
    assert sum(site.samples for site in monitor.distances.sites) == 2 * WAYS[way][1]
    assert same(run(way, kind, rates)[1], weights)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_a_compiled_step_is_refused() -> None:
    """Compiled, it has no hooks; the scheduler is not left to believe that it leads."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.01))
    scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
    step = torch.compile(lambda: optimizer.step(), backend="eager")
    loss_of(model, *vectors(1)[0])
    step()
    with pytest.raises(DataError, match=r"ActCoolLR has seen no step .* not inside torch.compile"):
        scheduler.step()


def test_two_networks_keep_the_weights_of_a_loop_without_schedulers() -> None:
    """A GAN whose critic steps twice as often; either scheduler changes the rates alone."""

    def train(rates: list[list[float]] | None) -> tuple[list[list[float]], list[Any], list[Any]]:
        torch.manual_seed(0)
        maker = nn.Sequential(nn.Linear(3, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 12))
        critic = nn.Sequential(nn.Linear(12, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
        nets = (maker, critic)
        optimizers = [torch.optim.Adam(net.parameters(), 1e-3) for net in nets]
        schedulers: list[Any] = []
        if rates is None:
            schedulers = [
                ActCoolLR(o, net, total, schedule=MILD)
                for o, net, total in zip(optimizers, nets, (STEPS, 2 * STEPS), strict=True)
            ]
        used: list[list[float]] = [[], []]

        def step(which: int) -> None:
            if rates is not None:
                optimizers[which].param_groups[0]["lr"] = rates[which][len(used[which])]
            optimizers[which].step()
            used[which].append(optimizers[which].param_groups[0]["lr"])
            if schedulers:
                schedulers[which].step()

        for number, (real, _) in enumerate(vectors(2 * STEPS), 1):
            made = maker(torch.randn(16, 3))
            optimizers[1].zero_grad()
            (critic(made.detach()).mean() - critic(real).mean()).backward()
            step(1)
            if number % 2 == 0:
                optimizers[0].zero_grad()
                (-critic(made).mean()).backward()
                step(0)
        return used, [*maker.state_dict().values(), *critic.state_dict().values()], schedulers

    rates, weights, schedulers = train(None)
    assert [scheduler.progress for scheduler in schedulers] == [1.0, 1.0]
    assert all(len(set(used)) > len(used) / 2 for used in rates)
    assert same(train(rates)[1], weights)
