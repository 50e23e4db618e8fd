"""Activation checkpointing runs layers again during backward; each site counts once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential, set_checkpoint_early_stop
from torch_nets import MILD, SmallCNN, images, mlp, vectors

from reluflow_torch import ActCoolLR, PatternMonitor

STEPS = 8
Call = Callable[[nn.Module, Tensor, "bool | None"], Tensor]


class Blocks(nn.Module):
    """An MLP whose middle is a checkpointed function with a functional ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.rest = nn.Linear(12, 32), mlp()
        self.back = nn.Linear(32, 12)
        self.again: bool | None = None

    def middle(self, x: Tensor) -> Tensor:
        return self.back(torch.relu(self.first(x)))

    def forward(self, x: Tensor) -> Tensor:
        if self.again is None:
            return self.rest(self.middle(x))
        return self.rest(checkpoint(self.middle, x, use_reentrant=self.again))


class InParts(nn.Module):
    """Runs a Sequential in two checkpointed halves."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = mlp()
        self.again: bool | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.again is None:
            return self.layers(x)
        return checkpoint_sequential(self.layers, 2, x, use_reentrant=self.again)


def inside(model: Any, x: Tensor, again: bool | None) -> Tensor:
    model.again = again
    return model(x)


def whole(model: nn.Module, x: Tensor, again: bool | None) -> Tensor:
    return model(x) if again is None else checkpoint(model, x, use_reentrant=again)


CASES: dict[str, tuple[Callable[[], nn.Module], Call]] = {
    "a part": (Blocks, inside),
    "halves": (InParts, inside),
    "the whole": (mlp, whole),
    "a whole chain": (lambda: nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 5)), whole),
    "a whole CNN": (SmallCNN, whole),
}


@contextmanager
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(9)
        yield


def run(name: str, again: bool | None, *, parts: int = 1) -> tuple[Any, Any, list[float]]:
    make, call = CASES[name]
    with seeded():
        model = make()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
        monitor = PatternMonitor(optimizer, model, every=1)
        rates = []
        for x, y in images(STEPS) if name == "a whole CNN" else vectors(STEPS):
            optimizer.zero_grad()
            for inputs, labels in zip(x.chunk(parts), y.chunk(parts), strict=True):
                # Reentrant checkpoints compute gradients only where an input wants some.
                inputs = inputs.clone().requires_grad_()
                nn.functional.cross_entropy(call(model, inputs, again), labels).backward()
            optimizer.step()
            rates.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
    return scheduler, monitor, rates


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("stops_early", [True, False])
def test_a_checkpointed_model_is_measured_like_a_plain_one(
    name: str, parts: int, again: bool, stops_early: bool
) -> None:
    plain, plain_monitor, expected = run(name, None, parts=parts)
    with nullcontext() if stops_early else set_checkpoint_early_stop(False):
        scheduler, monitor, rates = run(name, again, parts=parts)
    assert rates == expected
    assert scheduler.distances == plain.distances
    assert monitor.distances == plain_monitor.distances
    assert scheduler.controller.samples == plain.controller.samples
    assert scheduler.forward_passes == plain.forward_passes


@pytest.mark.parametrize("again", [True, False])
def test_the_same_batch_twice_counts_twice(again: bool) -> None:
    def samples(again: bool | None) -> int:
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
        x, y = vectors(1)[0]
        x.requires_grad_()
        for _ in range(2):
            nn.functional.cross_entropy(whole(model, x, again), y).backward()
        optimizer.step()
        assert scheduler.controller.samples is not None
        return scheduler.controller.samples

    assert samples(again) == samples(None) == 2 * 2 * 64
