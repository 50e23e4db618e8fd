"""Accelerate calls the scheduler once per process and counts on its own; rates stay right."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("accelerate")

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import GradientAccumulationPlugin
from ranks import run_on_two_ranks
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_nets import MILD, mlp, vectors

from reluflow_torch import ActCoolLR, ClockWarning

LINE = [1.5 * (1 - number / 12) for number in range(12)]


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """Accelerate keeps its state in the process."""
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def run(total: int | None, *, accumulate: int = 1, adjust: bool = True, **options: Any) -> Any:
    """Train 12 optimiser steps in Accelerate's loop; return scheduler and wanted bits."""
    plugin = GradientAccumulationPlugin(num_steps=accumulate, adjust_scheduler=adjust)
    accelerator = Accelerator(cpu=True, gradient_accumulation_plugin=plugin)
    batches = vectors(12 * accumulate)
    data = TensorDataset(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, total, schedule=MILD, **options)
    model, optimizer, loader, wrapped = accelerator.prepare(
        model, optimizer, DataLoader(data, 64), scheduler
    )
    wanted = []
    for x, y in loader:
        with accelerator.accumulate(model):
            if accelerator.sync_gradients:
                wanted.append(scheduler.temperature)
            accelerator.backward(nn.functional.cross_entropy(model(x), y))
            optimizer.step()
            wrapped.step()
            optimizer.zero_grad()
    assert len(wanted) == 12
    return scheduler, wanted


@pytest.mark.parametrize("clock", [None, "steps", "calls"])
@pytest.mark.parametrize(("accumulate", "adjust"), [(1, True), (3, True), (3, False)])
def test_the_rates_of_one_process_follow_the_line(
    accumulate: int, adjust: bool, clock: str | None
) -> None:
    scheduler, wanted = run(12, accumulate=accumulate, adjust=adjust, clock=clock)
    assert wanted == pytest.approx(LINE)
    assert scheduler.progress == 1.0
    assert scheduler.controller.samples == 2 * 64 * accumulate


def test_an_unknown_end_is_fine() -> None:
    scheduler, wanted = run(None)
    assert wanted == [1.5] * 12
    assert scheduler.last_epoch == 12


def test_an_end_in_batches_is_told_where_gradients_are_accumulated() -> None:
    """36 batches, 12 steps: Accelerate calls 12 times, so the line ends at a third."""
    scheduler, wanted = run(36, accumulate=3)
    assert scheduler.progress == pytest.approx(1 / 3)
    assert wanted[-1] == pytest.approx(1.5 * (1 - 11 / 36))


SCRIPT = """
import json, sys, warnings, torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from reluflow_torch import ActCoolLR
from torch_nets import MILD, mlp, vectors
torch.set_num_threads(1)

def run(total, clock, split):
    accelerator = Accelerator(
        cpu=True, dataloader_config=DataLoaderConfiguration(split_batches=split)
    )
    assert accelerator.num_processes == 2
    batches = vectors(12 if split else 24)
    data = TensorDataset(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, total, schedule=MILD, clock=clock)
    model, optimizer, loader, wrapped = accelerator.prepare(
        model, optimizer, DataLoader(data, 64), scheduler
    )
    wanted, rates = [], []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for x, y in loader:
            optimizer.zero_grad()
            wanted.append(scheduler.temperature)
            accelerator.backward(nn.functional.cross_entropy(model(x), y))
            optimizer.step()
            rates.append(optimizer.param_groups[0]["lr"])
            wrapped.step()
    AcceleratorState._reset_state()  # the processes stay connected
    GradientState._reset_state()
    return accelerator, {
        "wanted": wanted,
        "rates": rates,
        "told": [str(w.message) for w in told if w.category.__name__ == "ClockWarning"],
        "weights": [p.double().sum().item() for p in model.parameters()],
    }

found = []
for case in json.loads(sys.argv[1]):
    accelerator, result = run(*case)
    found.append(result)
print(json.dumps({"cases": found}))
accelerator.end_training()
"""
CASES: list[tuple[int | None, str | None, bool]] = [
    (24, None, False),
    (24, "calls", False),
    (12, "steps", False),
    (12, None, True),
    (12, None, False),
    (None, None, False),
]
"""Of the trainings on two processes: total steps, clock, whether batches are split."""


@pytest.fixture(scope="module")
def two_processes() -> dict[tuple[int | None, str | None, bool], tuple[Any, Any]]:
    """Return both ranks' results of all cases, trained one after another in the same processes."""
    first, second = run_on_two_ranks(SCRIPT, json.dumps(CASES))
    return dict(zip(CASES, zip(first["cases"], second["cases"], strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("total", "clock", "split", "sentence"),
    [
        (24, None, False, "called 2 times for each step"),
        (24, "calls", False, None),
        (12, "steps", False, None),
        (12, None, True, None),
        (12, None, False, "called 2 times for each step"),
    ],
)
def test_two_processes_follow_the_line_or_are_told(
    total: int, clock: str | None, split: bool, sentence: str | None, two_processes: Any
) -> None:
    first, second = two_processes[total, clock, split]
    assert first["rates"] == second["rates"]
    assert first["weights"] == second["weights"]
    is_short = (total, clock, split) == (12, None, False)
    if is_short:  # the unwrapped loader's length counts in calls; here it was in steps
        assert first["wanted"][6:] == [0.0] * 6
        assert any("total_steps is 12 and 12 calls are over" in text for text in first["told"])
    else:
        assert first["wanted"] == pytest.approx(LINE)
    if sentence is None:
        assert first["told"] == []
    else:
        assert sentence in first["told"][0]
        assert len(first["told"]) == 1 + is_short


@pytest.mark.slow
def test_two_processes_without_an_end(two_processes: Any) -> None:
    first, _ = two_processes[None, None, False]
    assert first["wanted"] == [1.5] * 12
    assert first["told"] == []


def test_a_warning_of_the_clock_may_be_made_an_error() -> None:
    assert issubclass(ClockWarning, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ClockWarning)
        with pytest.raises(ClockWarning, match="total_steps is 4 and 4 calls are over"):
            run(4)
