"""Sweeps over learning rates leave a model as it was and follow its gradient."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reluflow.errors import DataError, OptionError
from reluflow.temperature import PhaseDiagram
from reluflow_torch import sensitivity


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
    )


def batches(count: int) -> list[tuple[tuple[torch.Tensor, ...], torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            (torch.randn(64, 6, generator=generator),),
            torch.randint(0, 3, (64,), generator=generator),
        )
        for _ in range(count)
    ]


def test_nothing_is_changed() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    sensitivity(model, optimizer, batches(2), rates=[1e-3, 1e-1, 10.0])
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert torch.equal(torch.get_rng_state(), random)
    assert all(weight.grad is None for weight in model.parameters())
    assert not optimizer.state


def test_batches_are_averaged_and_progress_is_told() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first, second = batches(2)
    rates = [1e-2, 1e-1, 1.0, 10.0]
    told: list[int] = []
    both = sensitivity(
        model,
        optimizer,
        [first, second],
        rates=rates,
        progress=lambda stage, done, total: told.append(done),
    )
    one = sensitivity(model, optimizer, [first], rates=rates)
    two = sensitivity(model, optimizer, [second], rates=rates)
    assert (both.distances == (one.distances + two.distances) / 2).all()
    assert told == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (one.mean[1:] >= one.mean[:-1]).all() and one.mean[-1] > 0.9


def test_what_cannot_be_measured_is_said() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DataError, match="batches are empty"):
        sensitivity(model, optimizer, [])
    [(inputs, target)] = batches(1)
    with pytest.raises(DataError, match="the loss is nan before any step"):
        sensitivity(model, optimizer, [((inputs[0] * float("nan"),), target)])
    linear = nn.Linear(6, 3)
    plain = torch.optim.SGD(linear.parameters(), lr=0.1)
    with pytest.raises(OptionError, match="ran no ReLU"):
        sensitivity(linear, plain, batches(1), rates=[0.1, 1.0])


def test_crossing_rates_give_the_curve_of_real_steps_for_a_fifth_of_them() -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    told: list[int] = []
    rates = np.geomspace(1e-4, 1e2, 50)
    real = sensitivity(model, optimizer, batches(2), rates=rates)
    quick = sensitivity(
        model,
        optimizer,
        batches(2),
        rates=rates,
        method="crossing",
        progress=lambda stage, done, total: told.append(done),
    )
    assert (quick.sites, quick.widths) == (real.sites, real.widths)
    assert np.sqrt(np.mean((quick.mean - real.mean) ** 2)) < 0.02
    assert told == list(range(1, len(told) + 1)) and len(told) <= 20


def test_crossing_rates_leave_everything_as_it_was() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    sensitivity(model, optimizer, batches(2), method="crossing")
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert torch.equal(torch.get_rng_state(), random)
    assert all(weight.grad is None for weight in model.parameters()) and not optimizer.state
    assert optimizer.param_groups[0]["lr"] == 0.0


def test_sweeps_by_crossing_rates_make_a_phase_diagram() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sweeps = []
    for (inputs, target), _ in zip(batches(3), range(3), strict=True):
        sweeps.append(sensitivity(model, optimizer, [(inputs, target)], method="crossing"))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(*inputs), target).backward()
        optimizer.step()
    diagram = PhaseDiagram.from_sweeps([0, 1, 2], sweeps)
    assert np.isfinite(diagram.mu).all() and (np.diff(diagram.distances, axis=1) >= 0).all()


@pytest.mark.parametrize("method", ["", "Steps", "jvp"])
def test_an_unknown_method_is_refused(method: Any) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(OptionError, match="accepted are steps, crossing"):
        sensitivity(model, optimizer, batches(1), method=method)


def test_crossing_rates_want_a_batch_and_a_site() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DataError, match="batches are empty"):
        sensitivity(model, optimizer, [], method="crossing")
    linear = nn.Linear(6, 3)
    with pytest.raises(OptionError, match="no ReLU or other switch site"):
        sensitivity(
            linear, torch.optim.SGD(linear.parameters(), lr=0.1), batches(1), method="crossing"
        )
