"""Methods of training over workloads: what is run, which setting is chosen, who is ahead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from schedules import _tasks as fashion
from torch import nn
from training import comparison, methods, ranking
from training.comparison import WORKLOADS, Run
from training.data import CONTEXT, N_CHARACTERS, load
from training.methods import METHODS, Task
from training.nets import has_relu

has_fashion = pytest.mark.skipif(
    not fashion.FOLDER.exists(), reason="dataset-fashion-mnist is not installed"
)


def record(run: Run, validation: float, test: float = 50.0, end: str = "done") -> dict[str, Any]:
    found = {"validation_accuracy": validation, "end": end}
    return {"run": vars(run)} | found | ({"test_accuracy": test} if run.stage == "final" else {})


def choice(method: str, setting: str, score: float, workload: str = "f1") -> dict[str, Any]:
    return record(Run(workload, method, setting, "choose", 100), score)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_network_takes_its_data(name: str) -> None:
    workload = WORKLOADS[name]
    shapes = {"fashion": (2, 1, 28, 28), "digits1400": (2, 1, 8, 8), "characters": (2, CONTEXT)}
    given = torch.zeros(shapes[workload.data])
    model = workload.make()
    answer = model(given.long() if workload.data == "characters" else given)
    assert answer.shape == (2, N_CHARACTERS if workload.data == "characters" else 10)
    assert has_relu(model) == (name != "vit")


def test_characters_are_windows_of_separate_stretches() -> None:
    parts = load("characters")
    assert [len(part.labels) for part in parts.values()] == [40_000, 5_000, 10_000]
    for part in parts.values():
        assert part.images.shape[1:] == (CONTEXT,)
        assert 0 <= int(part.images.min()) <= int(part.images.max()) < N_CHARACTERS
    common = torch.bincount(parts["train"].labels, minlength=N_CHARACTERS)
    assert 0.1 < float(common[0] / common.sum()) < 0.4  # the blank


@has_fashion
def test_the_parts_of_fashion_mnist_stay_the_same() -> None:
    parts = fashion.load()
    assert [len(part.labels) for part in parts.values()] == [55_000, 5_000, 10_000]
    assert parts["train"].images.shape[1:] == (1, 28, 28)
    assert abs(float(parts["train"].images.mean())) < 0.01
    assert parts["validation"].labels[:8].tolist() == [5, 4, 4, 6, 1, 5, 6, 5]


def test_every_run_has_its_own_name_and_settings_are_chosen_without_test_data() -> None:
    settings = {name: next(iter(method.settings)) for name, method in METHODS.items()}
    planned = [
        run
        for stage in comparison.STAGES
        for run in comparison.runs(stage, WORKLOADS, METHODS, (0, 1, 2), settings)
    ]
    planned += comparison.runs("final", ["f1"], METHODS, (0,), settings, 0.5)
    assert len({run.name for run in planned}) == len(planned)
    assert {run.seed for run in planned if run.stage == "choose"} == {comparison.CHOICE_SEED}
    assert {run.workload for run in planned if run.method == "onecycle"} == {
        "f1",
        "f1_bn",
        "resnet8",
    }


@pytest.mark.parametrize(
    "run",
    [
        Run("digits_mlp", "actcool", "sgd", "final", 0, 0.1),
        Run("digits_mlp", "actcool", "adamw", "choose", 100, 0.1, "cold", {"start": 0.5}),
        Run("digits_mlp", "nadamw", "lr1e-3", "final", 1, 0.1),
        Run("digits_mlp", "schedule_free", "lr1e-2", "final", 0, 0.1),
        Run("digits_mlp", "prodigy", "usual", "final", 0, 0.1),
    ],
    ids=lambda run: run.name,
)
def test_a_run_is_told_completely_and_the_same_each_time(run: Run) -> None:
    pytest.importorskip("sklearn")  # its digits
    package = METHODS[run.method].package
    if package is not None:
        pytest.importorskip(package)
    first, second = comparison.perform_run(run), comparison.perform_run(run)
    assert (first["end"], first["steps"], len(first["epochs"])) == ("done", 66, 3)
    assert ("test_accuracy" in first) == (run.stage == "final")
    assert Run(**json.loads(json.dumps(first))["run"]) == run
    assert set(first["versions"]) == {"torch"} | ({package} if package else set())
    first.pop("seconds"), second.pop("seconds")
    assert first == second


def task(model_batch: int = 64, steps: int = 100) -> Task:
    return Task("f1", steps, model_batch, load("digits512")["train"])


def test_the_rates_of_nadamw_rise_and_fall_to_nothing() -> None:
    pytest.importorskip("sklearn")  # its digits
    setup = METHODS["nadamw"].make(nn.Linear(2, 2), task(), {"lr": 1.0})
    rates = []
    for _ in range(100):
        rates.append(setup.optimizer.param_groups[0]["lr"])
        setup.optimizer.step()
        setup.scheduler.step()
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert np.all(np.diff(rates[5:]) < 0)
    assert rates[-1] < 0.001


def test_the_rate_of_onecycle_is_that_of_the_workload() -> None:
    pytest.importorskip("sklearn")  # its digits
    setup = METHODS["onecycle"].make(nn.Linear(2, 2), task(), {})
    assert setup.optimizer.param_groups[0]["max_lr"] == methods.TUNED_ONECYCLE["f1"]


def test_averaged_weights_get_their_own_statistics() -> None:
    pytest.importorskip("schedulefree")
    dense, norm = nn.Linear(64, 8), nn.BatchNorm1d(8)
    model = nn.Sequential(nn.Flatten(), dense, norm, nn.Linear(8, 10))
    given = task()
    setup = METHODS["schedule_free"].make(model, given, {"lr": 0.1})
    setup.before_epoch()
    for _ in range(20):
        setup.optimizer.zero_grad()
        nn.functional.cross_entropy(model(given.split.images), given.split.labels).backward()
        setup.optimizer.step()
    stepped = dense.weight.detach().clone()
    setup.before_test()
    assert not torch.equal(stepped, dense.weight)
    with torch.no_grad():
        seen = dense(given.split.images.flatten(1)).mean(0)
    assert norm.running_mean is not None
    assert float((norm.running_mean - seen).abs().max()) < 1e-3


def test_the_setting_of_the_best_validation_is_chosen() -> None:
    found = [choice("nadamw", "lr1e-3", 80.0), choice("nadamw", "lr3e-3", 70.0)]
    found += [choice("nadamw", "lr1e-3", 60.0, "vit"), choice("nadamw", "lr3e-3", 75.0, "vit")]
    found += [choice("prodigy", "usual", 90.0)]  # half is not tried yet
    assert comparison.chosen(found) == {"onecycle": "tuned", "nadamw": "lr3e-3"}
    found += [choice("prodigy", "half", 91.0), choice("prodigy", "half", 91.0, "vit")]
    assert "prodigy" not in comparison.chosen(found)
    found += [choice("prodigy", "usual", 99.0, "vit")]
    assert comparison.chosen(found)["prodigy"] == "usual"


def test_what_settings_were_chosen_from_is_shown_at_the_chosen_one() -> None:
    found = [choice("nadamw", "lr1e-3", 80.0), choice("nadamw", "lr3e-3", 70.0)]
    found += [
        choice("prodigy", "usual", 90.0),
        record(Run("f1", "nadamw", "lr1e-3", "final", 0), 1),
    ]
    chosen = {"nadamw": "lr1e-3"}
    assert ranking.scores(found, chosen) == {"f1": {"nadamw": [80.0]}}
    assert ranking.scores(found) == {"f1": {"nadamw": [50.0]}}


def test_final_runs_choose_nothing() -> None:
    final = [record(Run("f1", "nadamw", name, "final", 0), 99.0) for name in ("lr1e-3", "lr3e-3")]
    assert "nadamw" not in comparison.chosen(final)


def test_ranks_count_workloads_alike_and_share_ties() -> None:
    found = {
        "a": {"x": [90.0, 90.0], "y": [80.0, 80.0], "z": [10.0, 10.0], "only here": [99.0]},
        "b": {"x": [50.0, 50.0], "y": [50.0, 50.0], "z": [49.0, 49.0]},
    }
    ranked = ranking.ranks(found)
    assert [(rank.method, rank.mean) for rank in ranked] == [("x", 1.25), ("y", 1.75), ("z", 3.0)]
    assert (ranked[0].low, ranked[0].high) == (1.0, 1.5)
    assert (ranked[2].low, ranked[2].high) == (3.0, 3.0)
    assert "| The X | 1.25 | 1.00 to 1.50 |" in ranking.rank_table(ranked, {"x": "The X"})


def test_seeds_widen_the_interval_of_a_rank() -> None:
    close = {"a": {"x": [90.0, 80.0, 85.0], "y": [84.0, 86.0, 84.0]}}
    (first, _) = ranking.ranks(close)
    assert (first.low, first.high) == (1.0, 2.0)


def test_intervals_are_those_of_t() -> None:
    assert ranking.half_width([1.0, 2.0, 3.0]) == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert np.isnan(ranking.half_width([1.0]))


def test_tables_and_failures_name_what_ran(tmp_path: Path) -> None:
    rows = [record(Run("f1", "nadamw", "lr1e-3", "final", s), 0.0, 60.0 + s) for s in range(3)]
    rows += [record(Run("f1", "actcool", "sgd", "final", 0, 1.0, "v1"), 0.0, 10.0, "nan")]
    rows += [choice("nadamw", "lr3e-3", 99.0)]
    found = ranking.scores(rows)
    assert found == {"f1": {"nadamw": [60.0, 61.0, 62.0], "actcoolv1": [10.0]}}
    means = json.loads(json.dumps(ranking.accuracies(found)))
    told = ranking.accuracy_table(means, {"f1": "F1", "vit": "ViT"}, {"nadamw": "NadamW"})
    head, _, row = told.splitlines()
    assert head == "| workload | NadamW | actcoolv1 |"
    assert row == "| F1 | **61.00** ± 2.48 | 10.00 |"
    assert ranking.failures(rows) == ["f1 actcoolv1 sgd, seed 0: nan"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    methods.need_packages(["actcool", "nadamw", "onecycle"])
    monkeypatch.setitem(
        METHODS, "prodigy", methods.Method("P", {}, METHODS["nadamw"].make, "no_such_package")
    )
    with pytest.raises(SystemExit, match="no_such_package is not installed; run pip install"):
        methods.need_packages(["nadamw", "prodigy"])
