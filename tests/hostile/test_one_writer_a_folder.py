"""While one process writes into a folder, every other command and call is refused at once."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models
from command_worker import Worker

import reluflow
from reluflow._api.lock import locked
from reluflow.errors import OutputError
from reluflow.evaluation import EvaluationOptions
from reluflow.patterns import PatternRecorder

HOLD = """
import sys
from reluflow._api.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
FAULT = "a second process, or call, that writes into an output folder in use"
COMMANDS = [
    *("analyze", "compare", "compare many", "psb eval", "sensitivity", "cells", "cells on a grid"),
    *("view", "recording"),
]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Let another process lock a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        process.communicate()


def command_line(name: str, folder: Path, out: Path) -> list[object]:
    """Return a command that would succeed and write into `out`."""
    models = [folder / f"{i}.onnx" for i in range(3)]
    for seed, path in enumerate(models):
        onnx.save(small_models.dense(seed=seed), path)
    x = small_models.integers((24, 4)).astype(np.float32)
    np.savez(folder / "x.npz", x=x, label=np.arange(24) % 3)
    data = ["--data", folder / "x.npz"]
    if name in ("view", "recording"):
        with PatternRecorder(out) as recorder:
            recorder.record(0, "relu", {"entropy_bits": 1.5})
        return [name, out]
    lines: dict[str, list[object]] = {
        "analyze": ["analyze", models[0]],
        "compare": ["compare", *models[:2]],
        "compare many": ["compare", *models],
        "psb eval": ["psb", "eval", models[0], "--samples", "4", "--seeds", "1"],
        "sensitivity": ["sensitivity", models[0], "--rates", "1e-3:1e0:3"],
        "cells": ["cells", models[0]],
        "cells on a grid": ["cells", models[0], "--raster", "4"],
    }
    return [*lines[name], *data, "--out", out]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_writes_into_a_folder(
    name: str,
    refused: Callable[..., str],
    worker: Worker,
    tmp_path: Path,
    injected: Callable[..., None],
) -> None:
    if name == "sensitivity":
        pytest.importorskip("torch")
    out = tmp_path / "out"
    argv = command_line(name, tmp_path, out)
    with held(out):
        assert "another analysis or evaluation" in refused(*argv)
    outcome = worker.run(*argv)
    assert outcome.code == 0, outcome.stderr
    assert list(out.iterdir()) and not list(tmp_path.glob(".*"))
    injected(FAULT)


def test_every_call_that_writes_into_a_folder(
    tmp_path: Path, injected: Callable[..., None]
) -> None:
    models = [small_models.dense(seed=seed) for seed in range(3)]
    x, labels = small_models.integers((24, 4)).astype(np.float32), np.arange(24) % 3
    few = EvaluationOptions(samples=(4,), seeds=1)
    calls = (
        lambda out: reluflow.analyze(models[0], x, out),
        lambda out: reluflow.compare(models[0], models[1], x, out),
        lambda out: reluflow.compare_checkpoints(models, x, out),
        lambda out: reluflow.evaluate(models[0], x, labels, out, options=few),
        lambda out: reluflow.find_cells(models[0], out),
        lambda out: reluflow.find_cells(models[0], out, raster=4),
        lambda out: reluflow.animate_cells(models, out, raster=4),
    )
    for number, call in enumerate(calls):
        out = tmp_path / str(number)
        with held(out), pytest.raises(OutputError, match="another analysis or evaluation"):
            call(out)
        assert not out.exists()
        call(out)
        assert out.is_dir() and not list(tmp_path.glob(".*"))
    injected(FAULT, len(calls))


@pytest.mark.parametrize("fails", [False, True])
def test_parents_that_a_lock_makes_go_again_when_they_stay_empty(
    fails: bool, tmp_path: Path
) -> None:
    out = tmp_path / "a" / "b" / "out"
    with pytest.raises(ValueError, match="no") if fails else locked(tmp_path / "other"):
        with locked(out):
            assert (tmp_path / "a" / "b").is_dir()
            if fails:
                raise ValueError("no")
            out.mkdir()
    assert out.exists() != fails and (tmp_path / "a").exists() != fails


@pytest.mark.parametrize("name", ["file/out", "file/a/out"])
def test_a_folder_whose_parents_cannot_be_made(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot be made"), locked(tmp_path / name):
        pass


@contextmanager
def as_nobody() -> Iterator[None]:
    """Drop the rights of root, who may write everywhere."""
    former = os.geteuid()
    if former == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(former)


def test_a_lock_lies_in_the_folder_where_nothing_may_be_written_beside_it() -> None:
    with tempfile.TemporaryDirectory() as parent:
        out = Path(parent) / "out"
        out.mkdir()
        out.chmod(0o777)
        Path(parent).chmod(0o555)
        try:
            with as_nobody(), locked(out):
                assert [path.name for path in out.iterdir()] == [".reluflow.lock"]
                with pytest.raises(OutputError, match="another analysis"), locked(out):
                    pass
            assert not list(out.iterdir())
            out.chmod(0o555)
            with as_nobody(), pytest.raises(OutputError, match="cannot be locked"), locked(out):
                pass
        finally:
            Path(parent).chmod(0o755)
            out.chmod(0o755)


def test_nothing_is_held_where_nothing_is_written(tmp_path: Path) -> None:
    with locked(None), locked(None):
        assert not list(tmp_path.iterdir())
