"""One clock: a divergence between scheduler calls and optimiser steps is reported."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_nets import MILD, mlp, vectors

from reluflow.errors import DataError, OptionError
from reluflow_torch import ActCoolLR, ClockWarning


def pair(total: int | None, **options: Any) -> tuple[nn.Module, torch.optim.Optimizer, ActCoolLR]:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, ActCoolLR(optimizer, model, total, schedule=MILD, **options)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()


def run(total: int | None, steps: int, *, calls: int = 1, every: int = 1, **options: Any) -> Any:
    """Train with so many calls of the scheduler after every so many steps."""
    model, optimizer, scheduler = pair(total, **options)
    wanted = []
    for number, (x, y) in enumerate(vectors(steps), 1):
        wanted.append(scheduler.temperature)
        step(model, optimizer, x, y)
        if number % every == 0:
            for _ in range(calls):
                scheduler.step()
    return scheduler, wanted


LINE = [1.5 * (1 - number / 12) for number in range(12)]


@pytest.mark.parametrize(("calls", "every"), [(1, 1), (2, 1), (3, 1), (1, 4), (1, 13)])
def test_counted_in_steps_the_calls_do_not_matter(calls: int, every: int) -> None:
    scheduler, wanted = run(12, 12, calls=calls, every=every, clock="steps")
    assert wanted == pytest.approx(LINE)
    assert scheduler.progress == 1.0


@pytest.mark.parametrize("calls", [2, 3])
def test_several_calls_a_step_are_told_once(calls: int) -> None:
    total = 12 * calls
    ends = rf"called {calls} times for each step .* total_steps = {total} .* ends after 12 steps"
    with pytest.warns(ClockWarning, match=ends) as told:
        scheduler, wanted = run(total, 12, calls=calls)
    assert len(told) == 1
    assert wanted == pytest.approx(LINE)
    assert scheduler.progress == 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(total, 12, calls=calls, clock="calls")[1] == wanted


def test_a_call_an_epoch_is_told_where_total_counts_steps() -> None:
    with pytest.warns(ClockWarning, match=r"took 5 steps before .* after about 75 steps") as told:
        _, wanted = run(15, 15, every=5)
    assert len(told) == 1
    assert wanted == [1.5] * 5 + [pytest.approx(1.4)] * 5 + [pytest.approx(1.3)] * 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(15, 15, every=5, clock="calls")
        run(3, 15, every=5)


@pytest.mark.parametrize("clock", [None, "calls", "steps"])
def test_past_the_end_is_told_once(clock: str | None) -> None:
    with pytest.warns(ClockWarning, match=r"total_steps is 6 and 6 .* over, but the") as told:
        scheduler, wanted = run(6, 9, clock=clock)
    assert len(told) == 1
    assert wanted[6:] == [0.0, 0.0, 0.0]
    scheduler.extend(18)
    assert scheduler.temperature == pytest.approx(0.75)


@pytest.mark.parametrize("clock", [None, "steps"])
def test_more_epochs_after_a_resume_have_a_rate(clock: str | None) -> None:
    first, _ = run(8, 8, clock=clock)
    state = json.loads(json.dumps(first.state_dict()))
    model, optimizer, longer = pair(16, clock=clock)
    longer.load_state_dict(state)
    assert longer.total_steps == 16
    assert longer.temperature == pytest.approx(0.75)
    for x, y in vectors(8):
        step(model, optimizer, x, y)
        assert optimizer.param_groups[0]["lr"] > 1e-4
        longer.step()
    assert longer.progress == 1.0
    _, _, unknown = pair(None)
    unknown.load_state_dict(state)
    assert unknown.total_steps == 8
    model, optimizer, same = pair(8, clock=clock)
    same.load_state_dict(state)
    with pytest.warns(ClockWarning, match="total_steps is 8 and 8"):
        step(model, optimizer, *vectors(1)[0])


def test_an_unknown_end_compares_with_numbers() -> None:
    """Accelerate does, before each call."""
    scheduler, wanted = run(None, 3)
    assert scheduler.total_steps == math.inf
    assert scheduler._step_count <= scheduler.total_steps
    assert wanted == [1.5] * 3


def test_a_counter_that_others_turn_stays_right() -> None:
    _, _, scheduler = pair(12)
    scheduler._step_count += 100
    assert scheduler._step_count == 1


def rates_from(change: Any) -> list[list[float]]:
    model = mlp()
    groups = [{"params": model[0].parameters()}, {"params": model[4].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 6, schedule=MILD)
    change(optimizer)
    found = []
    for x, y in vectors(6):
        step(model, optimizer, x, y)
        found.append([group["lr"] for group in optimizer.param_groups])
        scheduler.step()
    return found


def test_a_rate_set_before_the_first_step_is_the_start() -> None:
    def set_all(optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.01

    def set_one(optimizer: torch.optim.Optimizer) -> None:
        optimizer.param_groups[1]["lr"] = 0.05

    def load(optimizer: torch.optim.Optimizer) -> None:
        state = optimizer.state_dict()
        state["param_groups"][1]["lr"] = 0.02
        optimizer.load_state_dict(state)

    plain = rates_from(lambda optimizer: None)
    assert rates_from(set_all) == plain
    for first, second in rates_from(set_one):
        assert second == pytest.approx(first / 2)
    for first, second in rates_from(load):
        assert second == pytest.approx(first / 5)


def test_a_rate_set_later_is_still_refused() -> None:
    model, optimizer, scheduler = pair(6)
    step(model, optimizer, *vectors(1)[0])
    scheduler.step()
    optimizer.param_groups[0]["lr"] = 0.5
    with pytest.raises(OptionError, match="someone else sets them too"):
        step(model, optimizer, *vectors(1)[0])


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_an_optimizer_that_never_steps_is_refused() -> None:
    """Another over the same weights steps; or one whose gradients are gone already."""
    model, _, scheduler = pair(50)
    other = torch.optim.SGD(model.parameters(), lr=0.1)
    step(model, other, *vectors(1)[0])
    with pytest.raises(DataError, match="was called 1 times, but ActCoolLR has seen no step"):
        scheduler.step()
    model, _, scheduler = pair(50)
    other = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DataError, match="was called 20 times, but ActCoolLR has seen no step"):
        for x, y in vectors(25):
            step(model, other, x, y)
            other.zero_grad()
            scheduler.step()
    _, _, scheduler = pair(3)
    with pytest.raises(DataError, match="was called 3 times, but ActCoolLR has seen no step"):
        for _ in range(3):
            scheduler.step()


def test_bad_clocks_and_totals_are_refused() -> None:
    with pytest.raises(OptionError, match="clock is 'epochs'; give 'calls' where total_steps"):
        pair(3, clock="epochs")
    for total in (2.5, "30", True):
        with pytest.raises(OptionError, match=r"total_steps is .* but counts the calls"):
            pair(total)  # type: ignore[arg-type]
