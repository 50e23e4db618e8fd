"""Killed at any step and resumed from its checkpoint, training uses the same rates."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch_nets import MILD, everything, mlp, same, vectors

from reluflow.errors import DataError
from reluflow.temperature import ActCoolOptions
from reluflow_torch import ActCoolLR

STEPS = 24
OPTIONS = ActCoolOptions(probing_interval=3, error_count=1, error_threshold=0.3, history_size=9)


class Run:
    """A training run that saves and loads all of its state."""

    def __init__(self) -> None:
        self.model = mlp()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.scheduler = ActCoolLR(
            self.optimizer, self.model, STEPS, schedule=MILD, options=OPTIONS
        )
        self.rates: list[float] = []

    def go(self, start: int, end: int) -> None:
        for x, y in vectors(STEPS)[start:end]:
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()
            self.rates.append(self.optimizer.param_groups[0]["lr"])
            self.scheduler.step()

    def save(self, path: Path) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "random": torch.get_rng_state(),
            "rates": self.rates,
        }
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(json.loads(json.dumps(state["scheduler"])))
        self.rates = state["rates"]
        torch.set_rng_state(state["random"])


@pytest.fixture(scope="module")
def whole() -> Run:
    run = Run()
    torch.manual_seed(3)
    run.go(0, STEPS)
    assert run.scheduler.controller.n_fits > 1
    return run


@pytest.mark.parametrize("killed_at", range(1, STEPS))
def test_a_resumed_run_is_the_whole_run(whole: Run, killed_at: int, tmp_path: Path) -> None:
    first = Run()
    torch.manual_seed(3)
    first.go(0, killed_at)
    first.save(tmp_path / "state")
    second = Run()
    second.load(tmp_path / "state")
    assert second.scheduler.get_last_lr() == first.scheduler.get_last_lr()
    second.go(killed_at, STEPS)
    assert second.rates == whole.rates
    assert second.scheduler.state_dict() == whole.scheduler.state_dict()
    ours, theirs = (everything(run.model, run.optimizer) for run in (second, whole))
    assert same(ours[:-1], theirs[:-1])


SCRIPT = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from test_torch_resume import STEPS, Run
run, path = Run(), Path(sys.argv[1])
torch.manual_seed(3)
for step in range(STEPS):
    run.go(step, step + 1)
    run.save(path)
    if step >= 6:
        time.sleep(60)
"""


def test_a_killed_process_is_resumed(whole: Run, tmp_path: Path) -> None:
    path = tmp_path / "state"
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])},
    )
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if path.exists() and len(torch.load(path)["rates"]) == 7:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    run = Run()
    run.load(path)
    run.go(7, STEPS)
    assert run.rates == whole.rates


def change(state: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {key: value for key, value in (state | values).items() if value is not ...}


def test_a_state_of_another_kind_is_refused(whole: Run) -> None:
    state = whole.scheduler.state_dict()
    run = Run()
    with pytest.raises(DataError, match="state_dict has version 99"):
        run.scheduler.load_state_dict(change(state, version=99))
    with pytest.raises(DataError, match="state_dict lacks ratios; give a whole"):
        run.scheduler.load_state_dict(change(state, ratios=...))
