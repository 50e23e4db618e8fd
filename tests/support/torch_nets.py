"""Small networks, data and a training loop for the tests of the torch bridge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reluflow.temperature import ActCool, ActCoolOptions, PowerSchedule
from reluflow_torch import ActCoolLR

MILD = PowerSchedule(start=1.5)


def mlp(seed: int = 0) -> nn.Sequential:
    """Return a dense network with batch normalisation, dropout and an in-place ReLU."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(12, 40),
        nn.BatchNorm1d(40),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(40, 24),
        nn.ReLU(inplace=True),
        nn.Linear(24, 5),
    )


class SmallCNN(nn.Module):
    """Convolutions with a reused module ReLU, a functional and an in-place one."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.ReLU()
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(x)))
        y = torch.relu_(self.second(x))
        x = self.act(x - y)
        return self.head(nn.functional.relu(x).mean((2, 3)))


def vectors(steps: int, seed: int = 1, batch: int = 64) -> list[tuple[Tensor, Tensor]]:
    """Return batches of a task that a dense network learns in part."""
    draw = torch.Generator().manual_seed(seed)
    rule = torch.randn(12, 5, generator=draw)
    batches = []
    for _ in range(steps):
        x = torch.randn(batch, 12, generator=draw)
        noise = torch.randn(batch, 5, generator=draw)
        batches.append((x, (x @ rule + noise).argmax(1)))
    return batches


def images(steps: int, seed: int = 1, batch: int = 32) -> list[tuple[Tensor, Tensor]]:
    """Return batches of small images with labels."""
    draw = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(steps):
        y = torch.randint(0, 5, (batch,), generator=draw)
        x = torch.randn(batch, 1, 8, 8, generator=draw) + y[:, None, None, None] / 2
        batches.append((x, y))
    return batches


class Constant(ActCool):
    """A controller that fits and measures as usual, but always returns the same rate."""

    def __init__(self, rate: float) -> None:
        super().__init__(MILD, ActCoolOptions(probing_interval=3))
        self.constant = rate

    def next_rate(self, progress: float, measure: Callable[[float], float]) -> float:
        super().next_rate(progress, measure)
        if self.steps % 5 == 0:
            self._refit_wanted = True
        self.rate = self.constant
        return self.constant


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: list[tuple[Tensor, Tensor]],
    scheduler: ActCoolLR | None = None,
    *,
    accumulate: int = 1,
    clip: float | None = None,
) -> list[list[float]]:
    """Train in the ordinary loop; return the rates of every optimiser step."""
    rates: list[list[float]] = []
    optimizer.zero_grad()
    for number, (x, y) in enumerate(batches, 1):
        (nn.functional.cross_entropy(model(x), y) / accumulate).backward()
        if number % accumulate:
            continue
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
        if scheduler is not None:
            scheduler.step()
        optimizer.zero_grad()
    return rates


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    """Return copies of everything that a training run consists of, except the rates."""
    state = optimizer.state_dict()["state"]
    return [
        *(value.clone() for value in model.state_dict().values()),
        *(None if p.grad is None else p.grad.clone() for p in model.parameters()),
        *(
            (key, name, value.clone() if isinstance(value, Tensor) else value)
            for key, kept in sorted(state.items())
            for name, value in sorted(kept.items())
        ),
        torch.get_rng_state().clone(),
    ]


def same(first: Any, second: Any) -> bool:
    """Tell whether nested values are equal bit for bit."""
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)
