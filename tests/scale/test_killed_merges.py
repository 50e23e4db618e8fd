"""Processes killed by signal 9 while they merge: what they had begun is merged again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import small_models

import reluflow
from reluflow import AnalysisOptions
from reluflow.report import to_json

LONG = os.environ.get("RELUFLOW_LONG_TESTS") == "1"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LONG, reason="RELUFLOW_LONG_TESTS=1 runs it"),
    pytest.mark.filterwarnings("ignore"),  # Dask's own: sockets of workers that were killed
]
X = small_models.integers((720, 4))
OPTIONS = AnalysisOptions(batch_size=10)
TIMES = 5
FAULT = "all workers killed by `kill -9` while they merge"
PARTS = 9
"""Eight are merged first, then the result and the ninth."""


@contextmanager
def killing(folder: Path, pids: Callable[[], list[int]]) -> Iterator[list[str]]:
    """Kill all workers once, at the moment that a merged part is being written.

    Yields:
        The hidden folders of merged parts that were there then.
    """
    met: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set() and not met:
            found = [each.name for each in folder.glob(".inputs-*")]
            merged = [name for name in found if spans(name) > len(X) // PARTS + 10]
            if merged:
                for pid in pids():
                    os.kill(pid, signal.SIGKILL)
                met.extend(name for name in merged if (folder / name).exists())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield met
    finally:
        ended.set()
        watcher.join()


def spans(name: str) -> int:
    start, end = name.split(".")[1].split("-")[1:]
    return int(end) - int(start)


def check(out: Path, met: list[str], report: reluflow.PatternReport) -> None:
    whole = reluflow.analyze(small_models.dense(units=20), X, options=OPTIONS)
    assert met, "no merge was met, or it ended before the signal"
    assert to_json(replace(whole, run=report.run)) == to_json(report)
    assert (out / "report.json").is_file() and not list(out.parent.glob("*.partial"))


@pytest.mark.parametrize("again", range(TIMES))
def test_of_a_pool(again: int, tmp_path: Path, injected: Callable[..., None]) -> None:
    def pids() -> list[int]:
        return [each.pid for each in multiprocessing.active_children() if each.pid]

    with killing(tmp_path / "out.partial", pids) as met:
        report = reluflow.analyze(
            small_models.dense(units=20),
            X,
            tmp_path / "out",
            options=OPTIONS,
            workers=2,
            parts=PARTS,
        )
    check(tmp_path / "out", met, report)
    injected(FAULT)


@pytest.mark.parametrize("again", range(TIMES))
def test_of_dask(again: int, tmp_path: Path, injected: Callable[..., None]) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:

        def pids() -> list[int]:
            return [each.process.process.pid for each in cluster.workers.values()]

        with killing(tmp_path / "out.partial", pids) as met:
            report = reluflow.analyze(
                small_models.dense(units=20),
                X,
                tmp_path / "out",
                options=OPTIONS,
                cluster=cluster,
                parts=PARTS,
            )
    check(tmp_path / "out", met, report)
    injected(FAULT)
