"""The divergence warning in real training: before the loss is NaN, and not in healthy runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from fashion_nets import convnet, f1, fashion, resnet
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from reluflow.temperature import DivergenceAlarm, default_rates
from reluflow_torch import DivergenceWarning, PatternMonitor

Rate = Callable[[float], float]
BATCH, SWEEP_EVERY = 96, 4
RATES = default_rates(13, 1e-5, 1e2)


def constant(rate: float) -> Rate:
    return lambda progress: rate


def growing(first: float, last: float) -> Rate:
    return lambda progress: first * (last / first) ** progress


def one_cycle(peak: float) -> Rate:
    return lambda progress: peak * (0.02 + math.sin(math.pi * progress) ** 2)


def step_decay(rate: float) -> Rate:
    return lambda progress: rate if progress < 0.5 else rate / 10


def cosine(rate: float) -> Rate:
    return lambda progress: rate * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Training:
    """What is trained, and how."""

    model: Callable[[], nn.Module]
    optimizer: Callable[[nn.Module], Optimizer]
    rate: Rate


def sgd(**settings: float) -> Callable[[nn.Module], Optimizer]:
    return lambda model: SGD(model.parameters(), lr=0.1, **settings)  # type: ignore[arg-type]


def adamw(model: nn.Module) -> Optimizer:
    return AdamW(model.parameters(), lr=1e-3)


HEALTHY = {
    "F1, SGD": Training(f1, sgd(), constant(0.1)),
    "F1, step decay": Training(f1, sgd(), step_decay(0.2)),
    "F1, momentum, cosine": Training(f1, sgd(momentum=0.9), cosine(0.03)),
    "F1, AdamW": Training(f1, adamw, constant(1e-3)),
    "F1 with BN, momentum, one cycle": Training(
        lambda: f1(norm=True), sgd(momentum=0.9), one_cycle(0.3)
    ),
    "F1 with BN, AdamW, one cycle": Training(lambda: f1(norm=True), adamw, one_cycle(0.01)),
    "convolutions, momentum": Training(convnet, sgd(momentum=0.9), constant(0.02)),
    "convolutions with BN, step decay": Training(
        lambda: convnet(norm=True), sgd(momentum=0.9), step_decay(0.1)
    ),
    "ResNet, momentum, one cycle": Training(resnet, sgd(momentum=0.9), one_cycle(0.2)),
    "ResNet, AdamW, cosine": Training(resnet, adamw, cosine(3e-3)),
}
DIVERGING = {
    "F1, SGD, growing rate": Training(f1, sgd(), growing(0.01, 30)),
    "F1, AdamW, growing rate": Training(f1, adamw, growing(1e-3, 1e4)),
    "F1 with BN, weight decay, growing rate": Training(
        lambda: f1(norm=True), sgd(momentum=0.9, weight_decay=0.3), growing(0.03, 30)
    ),
}


def run(
    training: Training, steps: int
) -> tuple[PatternMonitor, list[DivergenceAlarm], list[float]]:
    """Train until the end or until the loss is not finite; return monitor, alarms, losses."""
    torch.manual_seed(0)
    images, labels = fashion()
    model = training.model()
    optimizer = training.optimizer(model)
    alarms: list[DivergenceAlarm] = []
    losses: list[float] = []
    monitor = PatternMonitor(
        optimizer,
        model,
        every=0,
        sweep_every=SWEEP_EVERY,
        rates=RATES,
        on_alarm=alarms.append,
        max_samples=1024,
    )
    with monitor:
        while len(losses) < steps and (not losses or math.isfinite(losses[-1])):
            for group in optimizer.param_groups:
                group["lr"] = training.rate(len(losses) / steps)
            losses.append(one_step(model, optimizer, images, labels).item())
    return monitor, alarms, losses


def one_step(model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    chosen = torch.randint(0, len(images), (BATCH,))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
    if loss.isfinite():
        loss.backward()
        optimizer.step()
    return loss.detach()


@pytest.mark.parametrize("training", DIVERGING.values(), ids=DIVERGING)
def test_it_warns_while_the_loss_still_looks_well(training: Training) -> None:
    _, alarms, losses = run(training, 200)
    assert not math.isfinite(losses[-1])
    assert alarms
    assert alarms[0].step < len(losses) - 1
    assert losses[alarms[0].step] < 4.0


@pytest.mark.parametrize("training", HEALTHY.values(), ids=HEALTHY)
def test_it_keeps_quiet_where_nothing_diverges(training: Training) -> None:
    monitor, alarms, losses = run(training, 80)
    assert losses[-1] < 2.5
    assert len(monitor.sweeps) == 20
    assert alarms == []
    assert math.isfinite(monitor.watch.lowest)


def test_the_warning_is_a_python_warning_by_default() -> None:
    torch.manual_seed(0)
    model = f1(2)
    optimizer = SGD(model.parameters(), lr=0.05)
    images, labels = fashion(200)
    monitor = PatternMonitor(optimizer, model, every=0, sweep_every=1, rates=RATES)
    with monitor:
        for _ in range(4):
            one_step(model, optimizer, images, labels)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1e-6)
        monitor.watch.lowest = 1e-3
        with pytest.warns(DivergenceWarning, match="the training may be about to diverge; lower"):
            one_step(model, optimizer, images, labels)
    assert [alarm.step for alarm in monitor.alarms] == [4]
