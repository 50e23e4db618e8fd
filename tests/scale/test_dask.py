"""A Dask cluster of real processes on this machine."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_models

import reluflow
from reluflow import AnalysisOptions, PatternReport
from reluflow.errors import OptionError
from reluflow.report import to_json

distributed = pytest.importorskip("distributed")
# Dask's own: sockets of workers that were killed, and its dashboard's advice.
pytestmark = pytest.mark.filterwarnings("ignore")

LONG = os.environ.get("RELUFLOW_LONG_TESTS") == "1"
X = small_models.integers((700, 4))
OPTIONS = AnalysisOptions(batch_size=10)


def same(one: PatternReport, other: PatternReport) -> bool:
    return to_json(replace(one, run=other.run)) == to_json(other)


@contextmanager
def cluster(workers: int, processes: bool) -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=processes,
        dashboard_address=None,
    ) as made:
        yield made


def test_by_address_and_by_client(tmp_path: Path) -> None:
    proto = small_models.dense(units=20)
    whole = reluflow.analyze(proto, X, options=OPTIONS)
    with cluster(2, processes=False) as made, distributed.Client(made) as client:
        by_client = reluflow.analyze(
            proto, X, tmp_path / "out", options=OPTIONS, cluster=client, parts=5
        )
        assert same(whole, by_client)
        assert same(whole, reluflow.analyze(proto, X, options=OPTIONS, cluster=made))
        assert client.status == "running", "the caller's client is left open"


def test_no_scheduler_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reluflow.scale.cluster._CONNECT_SECONDS", 1)
    with pytest.raises(OptionError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
        reluflow.analyze(small_models.dense(), X, cluster="tcp://127.0.0.1:1")


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="RELUFLOW_LONG_TESTS=1 runs it")
@pytest.mark.parametrize("parts", [1, 2, 4, 8])
@pytest.mark.parametrize("kills", [0, 1])
def test_processes_one_of_them_killed(
    parts: int, kills: int, injected: Callable[..., None]
) -> None:
    proto = small_models.convolutional()
    x = small_models.integers((3000, 2, 5, 5))
    whole = reluflow.analyze(proto, x, options=OPTIONS)
    with cluster(2, processes=True) as made:
        pids = [worker.process.process.pid for worker in made.workers.values()]
        left = [pids[0]] * kills

        def kill(stage: str, done: int, total: int | None) -> None:
            if left and (done or parts == 1):
                os.kill(left.pop(), signal.SIGKILL)

        address = made.scheduler_address
        divided = reluflow.analyze(
            proto, x, options=OPTIONS, cluster=address, parts=parts, progress=kill
        )
    assert not left or parts == 1
    assert same(whole, divided)
    injected("a worker killed by `kill -9` in the middle of a divided analysis", kills - len(left))
