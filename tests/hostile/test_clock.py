"""A clock that jumps by decades changes when a run says it began, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import clock
import numpy as np
import pytest
import small_models

import reluflow
from reluflow import AnalysisOptions

FAULT = "a jump of the clock, between 1970 and 2104"
LONG = os.environ.get("RELUFLOW_LONG_TESTS") == "1"
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pytestmark = pytest.mark.skipif(not FAKETIME, reason="needs Debian's package faketime")


def run(folder: Path, job: str) -> tuple[int, int]:
    """Return the exit code of a job, and how often its clock jumped."""
    (folder / "clock").write_text("+0", "ascii")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",  # a system's steady clock does not jump
        "NO_FAKE_STAT": "1",  # nor do the times of files
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, clock.__file__, folder, job],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.stdout, done.stderr
    return done.returncode, int(done.stdout)


def numbers(folder: Path) -> dict[str, object]:
    report = json.loads((folder / "report.json").read_text("utf-8"))
    return {key: value for key, value in report.items() if key != "run"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    x = small_models.integers((clock.N_INPUTS, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    options = AnalysisOptions(batch_size=clock.BATCH)
    reluflow.analyze(
        small_models.dense(units=20), tmp_path / "x.npy", tmp_path / "steady", options=options
    )
    return tmp_path


def test_killed_and_resumed_while_the_clock_jumps(
    folder: Path, injected: Callable[..., None]
) -> None:
    code, before = run(folder, "stopped")
    assert code == -9 and (folder / "out.partial" / "state.json").is_file()
    code, after = run(folder, "resumed")
    assert code == 0 and before > 10 and after > 10
    assert numbers(folder / "out") == numbers(folder / "steady")
    injected(FAULT, before + after)


@pytest.mark.skipif(not LONG, reason="RELUFLOW_LONG_TESTS=1 runs it")
@pytest.mark.parametrize("job", ["whole", "divided"])
def test_analysed_while_the_clock_jumps(
    job: str, folder: Path, injected: Callable[..., None]
) -> None:
    code, jumps = run(folder, job)
    assert code == 0 and jumps > 5
    made = folder / ("divided" if job == "divided" else "out")
    assert numbers(made) == numbers(folder / "steady")
    began = json.loads((made / "report.json").read_text("utf-8"))["run"]["started"]
    assert began
    injected(FAULT, jumps)
