"""A Ray cluster of real processes on this machine."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest
import small_models

import reluflow
from reluflow import AnalysisOptions
from reluflow.errors import DataError, OptionError
from reluflow.report import to_json

OPTIONS = AnalysisOptions(batch_size=10)
X = small_models.integers((3000, 2, 5, 5))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'reluflow\[ray\]'"):
        reluflow.analyze(small_models.dense(), small_models.integers((9, 4)), cluster="ray")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Two processors; a cluster that the tests' own process began is left running."""
    if os.environ.get("RELUFLOW_LONG_TESTS") != "1":
        pytest.skip("RELUFLOW_LONG_TESTS=1 runs it")
    found = pytest.importorskip("ray")
    found.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield found
    found.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, of sockets of workers that were killed
@pytest.mark.parametrize("kills", [0, 1])
def test_processes_one_of_them_killed(ray: Any, kills: int) -> None:
    proto = small_models.convolutional()
    whole = reluflow.analyze(proto, X, options=OPTIONS)
    left = kills

    def kill(stage: str, done: int, total: int | None) -> None:
        nonlocal left
        busy = [p for p in psutil.process_iter(["cmdline"]) if "ray::count_part" in str(p.info)]
        if left and busy:
            os.kill(busy[0].pid, signal.SIGKILL)
            left -= 1

    divided = reluflow.analyze(proto, X, options=OPTIONS, cluster="ray", parts=12, progress=kill)
    assert not left
    assert to_json(replace(divided, run=whole.run)) == to_json(whole)
    assert ray.is_initialized(), "the caller's cluster is left open"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_error_of_a_task_is_ours(ray: Any, tmp_path: Any) -> None:
    path = tmp_path / "x.npy"
    import numpy as np

    np.save(path, X)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 16)
    with pytest.raises(DataError, match=r"x\.npy"):
        reluflow.analyze(small_models.convolutional(), path, cluster="ray")
