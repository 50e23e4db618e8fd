"""A hypothetical step shows what a real one would change, and leaves no trace."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch_nets import SmallCNN, everything, images, mlp, same, vectors

from reluflow.errors import DataError, OptionError
from reluflow_torch import StepProbe
from reluflow_torch.training.probe import Batch

OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1),
    "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=1e-2),
    "nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "nesterov, one by one": lambda p: torch.optim.SGD(
        p, 0.1, momentum=0.9, nesterov=True, foreach=False
    ),
    "fused SGD": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, fused=True),
    "maximize": lambda p: torch.optim.SGD(p, 0.1, maximize=True, weight_decay=0.1),
    "Adam": lambda p: torch.optim.Adam(p, 1e-2, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, 1e-2),
    "AdamW foreach": lambda p: torch.optim.AdamW(p, 1e-2, foreach=True),
    "AdamW fused": lambda p: torch.optim.AdamW(p, 1e-2, fused=True),
    "AdamW with a tensor for the rate": lambda p: torch.optim.AdamW(p, torch.tensor(1e-2)),
    "NAdam": lambda p: torch.optim.NAdam(p, 1e-2),
    "RAdam": lambda p: torch.optim.RAdam(p, 1e-2),
    "Adamax": lambda p: torch.optim.Adamax(p, 1e-2),
    "Adagrad": lambda p: torch.optim.Adagrad(p, 1e-2),
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "Adafactor": lambda p: torch.optim.Adafactor(p),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 1e-2, momentum=0.5, centered=True),
    "Rprop": lambda p: torch.optim.Rprop(p),
    "ASGD": lambda p: torch.optim.ASGD(p),
}

IGNORE_THE_RATE = {"Rprop", "ASGD"}
"""They read the rate at the first step only, or use the rate of the step before."""


def prepared(name: str, steps: int) -> tuple[nn.Module, Optimizer, torch.Tensor]:
    """Return a model and its optimiser after some steps, with gradients for the next one."""
    model = mlp()
    optimizer = OPTIMIZERS[name](model.parameters())
    batches = vectors(steps + 1)
    for number, (x, y) in enumerate(batches):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        if number < steps:
            optimizer.step()
    return model, optimizer, batches[-1][0]


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_everything_is_put_back_bit_for_bit(name: str, steps: int) -> None:
    model, optimizer, x = prepared(name, steps)
    tensors = [*model.parameters(), *model.buffers()]
    addresses = [tensor.data_ptr() for tensor in tensors]
    before, states = everything(model, optimizer), len(optimizer.state)
    with StepProbe(model, optimizer).measuring(x) as measure:
        found = [measure(rate).mean_distance for rate in (1e-3, 1.0, 1e-3)]
    assert found[0] == found[2]
    assert found[0] != found[1] or name in IGNORE_THE_RATE
    assert same(everything(model, optimizer), before)
    assert [tensor.data_ptr() for tensor in tensors] == addresses
    assert len(optimizer.state) == states


@pytest.mark.parametrize("name", ["SGD", "nesterov", "AdamW", "AdamW fused", "RAdam"])
def test_the_next_real_step_is_the_one_without_a_probe(name: str) -> None:
    ends = []
    for is_probed in (False, True):
        model, optimizer, x = prepared(name, 2)
        if is_probed:
            with StepProbe(model, optimizer).measuring(x) as measure:
                measure(0.3)
            for group in optimizer.param_groups:
                group["lr"] = group["lr"]
        optimizer.step()
        ends.append(everything(model, optimizer))
    assert same(*ends)


@pytest.mark.parametrize("name", ["momentum", "AdamW"])
def test_d_of_a_hypothetical_step_is_d_of_the_real_one(name: str) -> None:
    model, optimizer, x = prepared(name, 2)
    probe = StepProbe(model, optimizer)
    with probe.measuring(x) as measure:
        expected = measure(0.05)
    batch = Batch.now((x,), {}, torch.device("cpu"))
    start = probe.random_state()
    before = probe.patterns(batch, start)
    for group in optimizer.param_groups:
        group["lr"] = 0.05
    optimizer.step()
    from reluflow_torch import distances

    assert distances(before, probe.patterns(batch, start)) == expected
    assert 0 < expected.mean_distance < 1


def test_the_same_dropout_is_drawn_before_and_after() -> None:
    model, optimizer, x = prepared("SGD", 0)
    with StepProbe(model, optimizer).measuring(x) as measure:
        assert measure(0.0).mean_distance == 0.0


def test_rates_of_groups_keep_their_ratios() -> None:
    model = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU())
    model(torch.ones(8, 4)).sum().backward()
    groups = [{"params": model[0].parameters()}, {"params": model[2].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    probe = StepProbe(model, optimizer, ratios=[0.0, 1.0])
    with probe.measuring(torch.randn(8, 4)) as measure:
        changed = [site.changed for site in measure(100.0).sites]
    assert changed[0] == 0
    assert changed[1] > 0
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]


class HostDraws(nn.Module):
    """A model that draws from Python's and numpy's generators."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x) + random.random() + float(np.random.rand()))


def test_generators_of_the_host_are_put_back_where_the_model_draws_from_them() -> None:
    model = HostDraws()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.ones(8, 4)
    model(x).sum().backward()
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.rand()
    random.seed(5)
    np.random.seed(5)
    with StepProbe(model, optimizer).measuring(x) as measure:
        assert measure(0.0).mean_distance == 0.0
        measure(1.0)
    assert (random.random(), np.random.rand()) == expected


class Replaces(nn.Module):
    """A model that puts a new tensor in the place of its buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 9)
        self.seen: torch.Tensor
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = self.seen + 1
        return torch.relu(self.layer(x))


def test_a_buffer_that_the_pass_replaces_comes_back() -> None:
    model = Replaces()
    model(torch.ones(2, 4)).sum().backward()
    held = model.seen
    with StepProbe(model, torch.optim.SGD(model.parameters())).measuring(torch.ones(2, 4)) as go:
        go(1.0)
    assert model.seen is held
    assert held == 1


def test_a_step_that_fails_is_taken_back_too() -> None:
    model = SmallCNN()
    ((x, _),) = images(1)
    model(x).sum().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = everything(model, optimizer)
    with StepProbe(model, optimizer).measuring(torch.ones(2, 3, 4, 4)) as measure:
        with pytest.raises(RuntimeError, match="expected input"):
            measure(1.0)
    assert same(everything(model, optimizer), before)


def test_forward_passes_are_counted() -> None:
    model, optimizer, x = prepared("SGD", 0)
    probe = StepProbe(model, optimizer)
    with probe.measuring(x) as measure:
        measure(0.1)
        measure(0.2)
    assert probe.forward_passes == 3


def test_lbfgs_is_refused() -> None:
    model = mlp()
    with pytest.raises(OptionError, match="LBFGS, whose step runs the model many times"):
        StepProbe(model, torch.optim.LBFGS(model.parameters()))


def test_a_batch_that_was_overwritten_is_refused() -> None:
    model = mlp()
    x = torch.ones(8, 12)
    batch = Batch.now((x,), {}, torch.device("cpu"))
    x += 1
    with pytest.raises(DataError, match="changed in place after the forward pass"):
        StepProbe(model, torch.optim.SGD(model.parameters())).patterns(batch)
