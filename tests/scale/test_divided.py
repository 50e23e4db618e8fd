"""A divided analysis: the same report for any number of parts, in any order, after any loss."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models
from onnx import parser

import reluflow
from reluflow import AnalysisOptions, PatternReport
from reluflow.data import RandomData
from reluflow.errors import DataError, Interrupted, OptionError, OutputError
from reluflow.report import to_json

X = small_models.integers((700, 4))
LABELS = (X[:, 0] > 0).astype(np.int64)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Any executor will do: here one of threads, which take turns."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def same(one: PatternReport, other: PatternReport) -> bool:
    """Tell whether two reports are equal to the last digit, except how they were made."""
    return to_json(replace(one, run=other.run)) == to_json(other)


@pytest.mark.parametrize("parts", [1, 2, 4, 8, 9, 70])
def test_any_number_of_parts_gives_the_same_report(parts: int, threads: ThreadPoolExecutor) -> None:
    proto = small_models.dense(units=20)
    options = AnalysisOptions(batch_size=10)
    given: dict[str, Any] = {"options": options, "labels": LABELS}
    whole = reluflow.analyze(proto, X, **given)
    assert same(whole, reluflow.analyze(proto, X, cluster=threads, parts=parts, **given))


def graph(body: str) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {body}')


VARYING = {
    "positions": """g (float[N,4] x) => (float[M,2] y) {
        zero = Constant<value_float: float = 0.0>()
        shape = Constant<value_ints: ints = [-1]>()
        pair = Constant<value_ints: ints = [-1, 2]>()
        flat = Reshape(x, shape)
        positive = Greater(flat, zero)
        some = Compress(flat, positive)
        twice = Concat<axis=0>(some, some)
        rows = Reshape(twice, pair)
        y = Relu(rows)
    }""",
    "units": """g (float[N,4] x) => (float[N,M] y, float[N,4] z) {
        zero = Constant<value_float: float = 0.0>()
        shape = Constant<value_ints: ints = [-1]>()
        flat = Reshape(x, shape)
        positive = Greater(flat, zero)
        some = Compress<axis=1>(x, positive)
        y = Relu(some)
        z = Relu(x)
    }""",
    "company": """g (float[N,4] x) => (float[N,4] y) {
        mean = ReduceMean<axes=[0]>(x)
        around = Sub(x, mean)
        y = Relu(around)
    }""",
    "time first": """g (float[N,4] x) => (float[4,N,1] y) {
        shape = Constant<value_ints: ints = [0, 4, 1]>()
        long = Reshape(x, shape)
        turned = Transpose<perm=[1,0,2]>(long)
        y = Relu(turned)
    }""",
}


@pytest.mark.parametrize("case", VARYING)
@pytest.mark.parametrize("parts", [2, 5, 40])
def test_what_depends_on_the_inputs_is_told_alike(
    case: str, parts: int, threads: ThreadPoolExecutor
) -> None:
    size = 1 if case in ("positions", "units") else 3
    x = np.abs(X[:60]) + 1
    x[37:, 1] = -1  # the first inputs are alike; a part ends somewhere between
    x[50:] *= -1
    options = AnalysisOptions(batch_size=size)
    proto = graph(VARYING[case])
    whole = reluflow.analyze(proto, x, options=options)
    assert same(whole, reluflow.analyze(proto, x, options=options, cluster=threads, parts=parts))


def test_counts_beyond_memory_merge_from_disk(threads: ThreadPoolExecutor) -> None:
    proto = small_models.dense(units=60)
    data = RandomData(20_000, seed=3)
    little = AnalysisOptions(memory_limit_bytes=2**17)
    whole = reluflow.analyze(proto, data, options=little)
    divided = reluflow.analyze(proto, data, options=little, cluster=threads, parts=3)
    for one, other in zip(whole.sites, divided.sites, strict=True):
        assert other.spilled_bytes > 0
        assert replace(one, spilled_bytes=0) == replace(other, spilled_bytes=0)


def test_interrupted_work_goes_on(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    proto, out = small_models.dense(), tmp_path / "out"

    def stop(stage: str, done: int, total: int | None) -> None:
        if done > 100:
            raise KeyboardInterrupt

    given: dict[str, Any] = {"options": AnalysisOptions(batch_size=10), "cluster": threads}
    with pytest.raises(Interrupted, match=r"of 700 inputs; finished parts are kept in .*resume"):
        reluflow.analyze(proto, X, out, parts=20, progress=stop, **given)
    folder = tmp_path / "out.partial"
    kept = {entry.name for entry in folder.glob("inputs-*")}
    assert len(kept) >= 3
    with pytest.raises(OutputError, match="was divided among workers"):
        reluflow.analyze(proto, X, out)
    with pytest.raises(OutputError, match=r"another analysis \(different: data\)"):
        reluflow.analyze(proto, X[:500], out, resume=True, **given)
    seen: list[int] = []

    def count(stage: str, done: int, total: int | None) -> None:
        seen.extend([done] if stage == "analysing" else [])

    report = reluflow.analyze(
        proto,
        X,
        out,
        resume=True,
        parts=3,
        progress=count,
        **given,
    )
    assert min(seen) > 100, "what was done is not done again"
    assert not folder.exists()
    assert same(reluflow.analyze(proto, X, options=given["options"]), report)


def test_a_damaged_part_is_told(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    proto, out = small_models.dense(), tmp_path / "out"

    def stop(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        reluflow.analyze(proto, X, out, cluster=threads, progress=stop)
    (state, *_) = (tmp_path / "out.partial").glob("inputs-*/part.json")
    state.write_text("{")
    with pytest.raises(OutputError, match=r"cannot be read .*; delete it and resume"):
        reluflow.analyze(proto, X, out, cluster=threads, resume=True)


def test_refused(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    proto = small_models.dense()
    with pytest.raises(OptionError, match="an iterator, whose length is not known"):
        reluflow.analyze(proto, iter([X]), cluster=threads)
    with pytest.raises(OptionError, match="give either workers"):
        reluflow.analyze(proto, X, cluster=threads, workers=1)
    with pytest.raises(OptionError, match="parts is set without workers"):
        reluflow.analyze(proto, X, parts=1)
    with pytest.raises(OptionError, match="parts is 0"):
        reluflow.analyze(proto, X, cluster=threads, parts=0)
    with pytest.raises(OptionError, match="workers is 0"):
        reluflow.analyze(proto, X, workers=0)
    with pytest.raises(OutputError, match="nothing to resume"):
        reluflow.analyze(proto, X, tmp_path / "new", cluster=threads, resume=True)


def test_a_worker_that_fails_ends_the_job(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 16)
    with pytest.raises(DataError, match=r"x\.npy"):
        reluflow.analyze(small_models.dense(), path, cluster=threads)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(injected: Callable[..., None]) -> None:
    proto = small_models.dense(units=20)
    killed: list[int] = []

    def kill(stage: str, done: int, total: int | None) -> None:
        if not killed:
            victim = multiprocessing.active_children()[0]
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    options = AnalysisOptions(batch_size=10)
    divided = reluflow.analyze(proto, X, options=options, workers=2, parts=6, progress=kill)
    assert killed
    assert same(reluflow.analyze(proto, X, options=options), divided)
    injected("a worker killed by `kill -9` in the middle of a divided analysis")
