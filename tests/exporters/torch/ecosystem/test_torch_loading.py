"""Whatever is loaded first, and by whom: the training goes on with the rates of the whole one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_nets import MILD, everything, mlp, same, train, vectors

from reluflow.temperature import ActCoolOptions
from reluflow_torch import ActCoolLR

STEPS, KILLED = 14, 5
OPTIONS = ActCoolOptions(probing_interval=2, error_count=1, error_threshold=0.3, history_size=9)
PARTS = ("model", "optimizer", "scheduler")
Make = Callable[[list[Any]], torch.optim.Optimizer]


def of_two_groups(weights: list[Any]) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": weights[:-3]},
        {"params": weights[-3:], "lr": 2e-3},
    ]
    return torch.optim.Adam(groups, lr=1e-2)


OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9),
    "AdamW, a tensor": lambda weights: torch.optim.AdamW(weights, lr=torch.tensor(1e-2)),
    "two groups": of_two_groups,
}


class Run:
    """What a training script makes, loads and does."""

    def __init__(self, kind: str, seed: int = 0, *, with_scheduler: bool = True) -> None:
        self.model = mlp(seed)
        self.optimizer = OPTIMIZERS[kind]([*self.model.parameters()])
        if with_scheduler:
            self.make()

    def make(self) -> None:
        self.scheduler = ActCoolLR(
            self.optimizer, self.model, STEPS, schedule=MILD, options=OPTIONS
        )

    def go(self, start: int, end: int) -> list[list[float]]:
        return train(self.model, self.optimizer, vectors(STEPS)[start:end], self.scheduler)

    def states(self) -> dict[str, Any]:
        found = {name: copy.deepcopy(getattr(self, name).state_dict()) for name in PARTS}
        found["scheduler"] = json.loads(json.dumps(found["scheduler"]))
        return found | {"random": torch.get_rng_state()}


@pytest.fixture(scope="module", params=OPTIMIZERS)
def whole(request: Any) -> Iterator[tuple[str, list[list[float]], dict[str, Any], list[Any]]]:
    """Return a training's kind, all its rates, its states when it is killed, and its end."""
    run = Run(request.param)
    torch.manual_seed(3)
    rates = run.go(0, KILLED)
    states = run.states()
    rates += run.go(KILLED, STEPS)
    yield request.param, rates, states, everything(run.model, run.optimizer)


ORDERS = [
    order
    for order in permutations(("make", *PARTS))
    if order.index("make") < order.index("scheduler")
]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_in_every_order(order: tuple[str, ...], whole: Any) -> None:
    kind, rates, states, end = whole
    run = Run(kind, seed=7, with_scheduler=False)
    for name in order:
        if name == "make":
            run.make()
        else:
            getattr(run, name).load_state_dict(copy.deepcopy(states[name]))
    torch.set_rng_state(states["random"])
    assert run.go(KILLED, STEPS) == rates[KILLED:]
    assert same(everything(run.model, run.optimizer)[:-1], end[:-1])


@pytest.mark.parametrize("order", list(permutations(PARTS)), ids="-".join)
@pytest.mark.parametrize("in_flight", ["nothing", "a pass", "gradients"])
def test_a_running_training_goes_back_to_its_checkpoint(
    order: tuple[str, ...], in_flight: str, whole: Any
) -> None:
    """As after an epoch that went wrong; a pass under way is none of the next step."""
    kind, rates, states, end = whole
    run = Run(kind, seed=7)
    run.go(0, 8)
    if in_flight != "nothing":
        loss = nn.functional.cross_entropy(run.model(torch.randn(9, 12)), torch.arange(9) % 5)
        if in_flight == "gradients":
            loss.backward()
            run.optimizer.zero_grad()
    for name in order:
        getattr(run, name).load_state_dict(copy.deepcopy(states[name]))
    torch.set_rng_state(states["random"])
    assert run.go(KILLED, STEPS) == rates[KILLED:]
    assert same(everything(run.model, run.optimizer)[:-1], end[:-1])


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("prepared", ["then loaded", "already loaded"])
def test_accelerate_saves_and_loads(kind: str, prepared: str, tmp_path: Path) -> None:
    """By `save_state`, which finds the scheduler; or each part by hand before `prepare`."""
    accelerate = pytest.importorskip("accelerate")
    from accelerate.state import AcceleratorState, GradientState, PartialState

    def begin(seed: int) -> tuple[Any, list[Any]]:
        accelerator = accelerate.Accelerator(cpu=True, step_scheduler_with_optimizer=False)
        run = Run(kind, seed)
        return accelerator, [run.model, run.optimizer, run.scheduler]

    def go(accelerator: Any, parts: list[Any], start: int, end: int) -> list[float]:
        model, optimizer, scheduler = parts
        batches = vectors(STEPS)[start:end]
        data = TensorDataset(*(torch.cat(part) for part in zip(*batches, strict=True)))
        rates = []
        for x, y in accelerator.prepare(DataLoader(data, 64)):
            optimizer.zero_grad()
            accelerator.backward(nn.functional.cross_entropy(model(x), y))
            optimizer.step()
            rates.append(float(optimizer.param_groups[0]["lr"]))
            scheduler.step()
        return rates

    try:
        accelerator, bare = begin(0)
        parts = list(accelerator.prepare(*bare))
        torch.manual_seed(3)
        go(accelerator, parts, 0, KILLED)
        accelerator.save_state(str(tmp_path))
        states = [copy.deepcopy(part.state_dict()) for part in bare]
        random = torch.get_rng_state()
        expected = go(accelerator, parts, KILLED, STEPS)
        accelerator, bare = begin(7)
        if prepared == "already loaded":
            for part, state in zip(bare, states, strict=True):
                part.load_state_dict(state)
        parts = list(accelerator.prepare(*bare))
        if prepared == "then loaded":
            accelerator.load_state(str(tmp_path))
        torch.set_rng_state(random)
        assert go(accelerator, parts, KILLED, STEPS) == expected
        assert len(set(expected)) == STEPS - KILLED
    finally:
        for state_of in (AcceleratorState, GradientState, PartialState):
            state_of._reset_state()
