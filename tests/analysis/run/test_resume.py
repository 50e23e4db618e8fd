import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow import AnalysisOptions
from reluflow.errors import DataError, OutputError

N_INPUTS = 6000


@pytest.fixture
def files(tmp_path: Path) -> Path:
    onnx.save(small_models.convolutional(), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=small_models.integers((N_INPUTS, 2, 5, 5)))
    return tmp_path


def command(files: Path, out: str, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "reluflow", "analyze", str(files / "m.onnx")),
        *("--data", str(files / "x.npz"), "--out", str(files / out), "--batch-size", "1"),
        *("--checkpoint-every", "0", "--threads", "1", *more),
    ]


def without_run(path: Path) -> dict[str, object]:
    report = json.loads((path / "report.json").read_text())
    return {k: v for k, v in report.items() if k != "run"}


def stop_midway(files: Path, number: int) -> subprocess.CompletedProcess[str]:
    state = files / "out.partial" / "state.json"
    process = subprocess.Popen(
        command(files, "out"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while process.poll() is None:
            if state.is_file() and json.loads(state.read_text())["next_input"] > 20:
                os.kill(process.pid, number)
                break
            time.sleep(0.01)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_an_interrupted_run_resumes_to_the_identical_result(
    files: Path, number: signal.Signals, injected: Callable[..., None]
) -> None:
    stopped = stop_midway(files, number)
    assert stopped.returncode == (130 if number == signal.SIGINT else -9)
    assert not (files / "out").exists()
    done = json.loads((files / "out.partial" / "state.json").read_text())["next_input"]
    assert 20 < done < N_INPUTS
    if number == signal.SIGINT:
        assert "run again with --resume" in stopped.stderr
    subprocess.run(
        [*command(files, "out", "--resume"), *("--checkpoint-every", "99")],
        check=True,
        capture_output=True,
    )
    assert not (files / "out.partial").exists()
    subprocess.run(
        [*command(files, "whole"), "--checkpoint-every", "99"], check=True, capture_output=True
    )
    assert without_run(files / "out") == without_run(files / "whole")
    for name in ("patterns.parquet", "measures.png", "model_with_metrics.onnx"):
        assert (files / "out" / name).read_bytes() == (files / "whole" / name).read_bytes()
    injected("Ctrl-C or `kill -9` in the middle of an analysis that then resumes")


def interrupted(tmp_path: Path, options: AnalysisOptions) -> Path:
    """Leave a checkpoint behind: the data source fails after some batches."""
    out = tmp_path / "out"
    x = small_models.integers((40, 2, 5, 5))

    def batches() -> Iterator[np.ndarray]:
        yield from np.split(x[:20], 5)
        yield np.zeros((1, 1), np.float32)

    with pytest.raises(DataError):
        reluflow.analyze(small_models.convolutional(), batches, out, options=options)
    return out


def test_a_checkpoint_is_not_overwritten_and_not_mixed(tmp_path: Path) -> None:
    options = AnalysisOptions(batch_size=4, checkpoint_seconds=0)
    out = interrupted(tmp_path, options)
    x = small_models.integers((40, 2, 5, 5))
    with pytest.raises(OutputError, match=r"an interrupted analysis lies in .*resume=True"):
        reluflow.analyze(small_models.convolutional(), x, out, options=options)
    with pytest.raises(OutputError, match=r"belongs to another analysis \(different: data"):
        reluflow.analyze(small_models.convolutional(), x, out, options=options, resume=True)
    with pytest.raises(OutputError, match="nothing to resume"):
        reluflow.analyze(
            small_models.convolutional(), x, tmp_path / "new", options=options, resume=True
        )


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    options = AnalysisOptions(batch_size=4, checkpoint_seconds=0)
    out = interrupted(tmp_path, options)
    (tmp_path / "out.partial" / "state.json").write_text("{")
    with pytest.raises(OutputError, match=r"checkpoint in .* cannot be read"):
        reluflow.analyze(
            small_models.convolutional(),
            small_models.integers((40, 2, 5, 5)),
            out,
            options=options,
            resume=True,
        )
