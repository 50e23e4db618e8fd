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
    run = Run("digits512", "mlp", "sgd", 10, given.pop("labels", "true"), schedule, rate, seed)
    found = {"validation_accuracy": test, "test_accuracy": test, "end": "done"}
    return {"run": {**vars(run)}} | found | given


def test_every_run_of_the_grid_has_its_own_name() -> None:
    runs = list(grid.runs())
    assert len({run.name for run in runs}) == len(runs) == 3 * 5 * 2 * 4 * 2 * 3 * 3
    assert len(list(grid.runs(nets=("mlp",), epochs=(10,), seeds=(0,)))) == 3 * 2 * 2 * 3
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
    assert "|  | sgd | true | 10 | 3 | 1 | 1 | 1 | 0 | +1.00 |" in told
    assert json.dumps(verdict.as_json([true, random]))


def test_a_cell_without_cosine_is_told_but_not_compared() -> None:
    (cell,) = verdict.cells([record("actcool", 0, 11.0, end="nan")])
    assert (cell.rate, cell.cosine, cell.behind, cell.is_behind) == (None, None, (), False)
    assert "| 1 | 1 | 0 | 1 | 0 |  |" in verdict.report([cell])
