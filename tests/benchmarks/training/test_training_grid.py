"""The grid of small trainings: its runs, what is kept of them, and what is said about them."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training import grid, pool, verdict
from training.data import load, pack
from training.grid import Run, perform_run
from training.loop import NAN, Setup, train
from training.nets import GRID

pytest.importorskip("sklearn")

RUN = Run("digits512", "mlp", "sgd", 2, "true", "cosine", 0.1, 0)


def options(out: Path, **given: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    pool.add_options(parser, str(out), grid.DATA)
    parser.set_defaults(**given)
    return parser.parse_args([])


def record(
    schedule: str, seed: int, test: float, rate: float = 0.1, **given: Any
) -> dict[str, Any]:
    parts = (given.pop("labels", "true"), schedule, rate, seed, given.pop("tag", ""))
    run = Run("digits512", "mlp", "sgd", 10, *parts)
    found = {"validation_accuracy": test, "test_accuracy": test, "end": "done"}
    return {"run": {**vars(run)}} | found | given


def test_every_run_of_the_grid_has_its_own_name() -> None:
    runs = list(grid.runs())
    cells = 3 * 5 * 2 * 4 * 3
    assert len({run.name for run in runs}) == len(runs) == cells * (3 + 1)
    assert {run.schedule for run in runs if run.labels == "random"} == {"actcool"}
    assert len(list(grid.runs(nets=("mlp",), epochs=(10,), seeds=(0,)))) == 3 * 2 * (3 + 1)
    tagged = grid.runs(schedules=("actcool",), tag="v1")
    assert not {run.name for run in tagged} & {run.name for run in runs}


@pytest.mark.parametrize("name", ["digits512", "digits1400"])
def test_packed_data_is_the_same_and_its_parts_share_nothing(name: str, tmp_path: Path) -> None:
    pack([name], tmp_path / "data.npz")
    ours, packed = load(name), load(name, tmp_path / "data.npz")
    for part, split in ours.items():
        assert torch.equal(split.images, packed[part].images)
        assert torch.equal(split.labels, packed[part].labels)
    images = torch.cat([split.images for split in ours.values()]).flatten(1)
    assert len(images) == 1797
    assert len(ours["train"].labels) == grid.N_TRAIN[name]
    assert len(torch.unique(images, dim=0)) > 1790
    with pytest.raises(SystemExit, match="has no fashion512; write it anew"):
        load("fashion512", tmp_path / "data.npz")


@pytest.mark.parametrize("net", GRID)
@pytest.mark.parametrize("side", [8, 28])
def test_networks_take_both_sizes(net: str, side: int) -> None:
    assert GRID[net](side)(torch.zeros(2, 1, side, side)).shape == (2, 10)


@pytest.mark.parametrize(
    "run",
    [
        RUN,
        Run("digits512", "cnn_bn", "adamw", 1, "random", "cosine", 1e-3, 1),
        Run("digits512", "mlp", "sgd", 2, "true", "actcool", 0.03, 0),
        Run("digits512", "mlp", "adamw", 1, "true", "actcool", 1e-3, 2, "cold", {"start": 0.5}),
    ],
    ids=lambda run: run.name,
)
def test_a_run_is_told_completely_and_the_same_each_time(run: Run) -> None:
    first, second = perform_run(run), perform_run(run)
    assert first["end"] == "done"
    assert first["steps"] == 8 * run.epochs
    assert [row["epoch"] for row in first["epochs"]] == list(range(1, run.epochs + 1))
    assert (first["forward_passes"] > 0) == (run.schedule == "actcool")
    assert Run(**json.loads(json.dumps(first))["run"]) == run
    first.pop("seconds"), second.pop("seconds")
    assert first == second


def test_random_labels_are_those_of_the_training_images_alone() -> None:
    found = perform_run(Run("digits512", "mlp", "adamw", 100, "random", "cosine", 3e-3, 0))
    assert found["train_accuracy"] > 60.0
    assert found["test_accuracy"] < 30.0


class Breaking(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        raise ValueError("no step")


def _warning(model: nn.Module) -> Setup:
    warnings.warn("hot", stacklevel=1)
    warnings.warn("hot", stacklevel=1)
    return Setup(torch.optim.SGD(model.parameters(), lr=1e30))


@pytest.mark.parametrize(
    ("make", "end", "warned"),
    [
        (_warning, NAN, ["hot"]),
        (lambda model: Setup(Breaking(model.parameters(), lr=1.0)), "ValueError: no step", []),
        (lambda model: Setup(torch.optim.SGD([], lr=1.0)), "ValueError: optimizer got an", []),
    ],
)
def test_a_training_that_fails_is_a_result(make: Any, end: str, warned: list[str]) -> None:
    split = load("digits512")["train"]
    course, _ = train(GRID["mlp"](8), make, split, epochs=3, batch=64, seed=0)
    assert course.end.startswith(end)
    assert course.warned == warned


def test_an_error_of_the_device_is_no_result() -> None:
    def make(_: nn.Module) -> Setup:
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError, match="full"):
        train(GRID["mlp"](8), make, load("digits512")["train"], epochs=1, batch=64, seed=0)


@pytest.mark.slow  # two fresh processes
def test_runs_are_kept_one_by_one_and_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = list(grid.runs(("digits512",), ("mlp",), ("sgd",), (1, 2), ("true",), seeds=(0,)))
    work, out = grid.performing(None), tmp_path / "out"
    pool.perform(runs[:2], work, options(out), grid.cost)
    kept = {path: path.read_bytes() for path in out.iterdir()}
    assert len(kept) == 2
    with pytest.raises(SystemExit, match="2 of the 6 runs already; give --resume"):
        pool.perform(runs, work, options(out), grid.cost)
    pool.perform(runs, work, options(out, resume=True, minutes=0.0), grid.cost)
    assert capsys.readouterr().out.count("left out, no time") == 4
    pool.perform(runs, work, options(out, resume=True, list=True), grid.cost)
    assert capsys.readouterr().out.split() == [run.name for run in sorted(runs[2:], key=grid.cost)]
    pool.perform(runs, work, options(out, resume=True, workers=2), grid.cost)
    assert len(list(out.iterdir())) == 6
    assert all(path.read_bytes() == content for path, content in kept.items())
    pool.gather(out, tmp_path / "all.jsonl")
    packed = pool.read(tmp_path / "all.jsonl")
    assert [each["run"] for each in packed] == [each["run"] for each in pool.read(out)]


def test_the_rate_of_cosine_is_chosen_on_validation() -> None:
    rows = [record("cosine", seed, 90.0, 0.1, validation_accuracy=80.0) for seed in range(3)]
    rows += [record("cosine", seed, 70.0, 0.03, validation_accuracy=81.0) for seed in range(3)]
    (cell,) = verdict.cells([*rows, record("actcool", 0, 69.5)])
    assert (cell.rate, cell.cosine, cell.behind, cell.is_behind) == (0.03, 70.0, (), False)


def test_every_failure_and_lag_is_told() -> None:
    rows = [record("cosine", seed, 90.0) for seed in range(3)]
    rows += [record("cosine", 0, 90.0, labels="random", end="nan")]
    rows += [record("actcool", 0, 95.0), record("actcool", 1, 88.9)]
    rows += [record("actcool", 2, 89.1, end="DataError: odd.")]
    rows += [record("actcool", 5, 10.0, labels="random", end="nan")]
    true, random = verdict.cells(rows)
    assert (true.behind, true.is_behind, true.failed) == ((1,), False, ((2, "DataError: odd."),))
    assert (random.behind, random.is_behind, random.failed) == ((), False, ((5, "nan"),))
    told = verdict.report([true, random])
    assert "FAILED digits512 mlp sgd 10 true, seed 2: DataError: odd." in told
    assert "FAILED digits512 mlp sgd 10 random, seed 5: nan" in told
    assert "cosine failed digits512 mlp sgd 10 random, seed 0: nan" in told
    assert "behind in some seeds digits512 mlp sgd 10 true: 91.00" in told
    assert "| SGD | true | 10 | 3 | 1 | 1 | 1 | 0 | +1.00 |" in told


def test_the_page_has_counts_and_the_cells_that_are_behind() -> None:
    rows = [record("cosine", 0, 90.0), record("actcool", 0, 88.9, tag="v1")]
    found = verdict.cells([*rows, record("actcool", 0, 20.0, labels="random")])
    page = verdict.page(json.loads(json.dumps(verdict.as_json(found))))
    assert page.startswith(verdict.table(verdict.counts(found)))
    counts = [line for line in page.splitlines() if line.startswith("| v1 | SGD | true")]
    assert counts == ["| v1 | SGD | true | 10 | 1 | 0 | 1 | 1 | 1 | -1.10 |"]
    last = page.splitlines()[-1]
    assert last == "| 512 digits, MLP, SGD, 10 epochs | 88.90 | 88.90 | 90.00 | 0.1 |"
    (_, random) = found
    assert verdict.told(random) == "512 digits, MLP, SGD, 10 epochs, random labels"


def test_a_summary_says_where_its_runs_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- m -->\n<!-- /m -->\n<!-- m made -->\n<!-- /m made -->\n", "utf-8")
    monkeypatch.setattr(pool, "PAGE", page)
    rows = [{"machine": "a"}, {"machine": "b"}, {"machine": "a"}]
    given = options(tmp_path, json=tmp_path / "kept.json", page=True)
    pool.keep(given, rows, [1.0000001], "m", lambda results: f"table of {results}")
    kept = json.loads((tmp_path / "kept.json").read_text("utf-8"))
    assert (kept["machine"], kept["results"]) == ("a (2 runs); b (1 runs)", [1.0])
    assert "table of [1.0]" in page.read_text("utf-8")
    assert kept["command"] in page.read_text("utf-8")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_nothing_is_begun(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="sees no CUDA device here; leave out --device cuda"):
        work = grid.performing(None, "cuda")
        pool.perform([RUN], work, options(tmp_path / "out", device="cuda"), grid.cost)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("schedule", grid.SCHEDULES)
def test_a_gpu_trains_the_same_network(schedule: str) -> None:
    run = Run("digits512", "cnn_bn", "adamw", 3, "random", schedule, 1e-3, 0)
    first, second = perform_run(run), perform_run(run, device="cuda")
    assert second["machine"] != first["machine"]
    assert second["end"] == "done"
    found = [row["loss"] for row in second["epochs"]]
    assert found == pytest.approx([row["loss"] for row in first["epochs"]], rel=0.05)


def test_a_cell_without_cosine_is_told_but_not_compared() -> None:
    (cell,) = verdict.cells([record("actcool", 0, 11.0, end="nan")])
    assert (cell.rate, cell.cosine, cell.behind, cell.is_behind) == (None, None, (), False)
    assert "| 1 | 1 | 0 | 1 | 0 |  |" in verdict.report([cell])
