"""A recorded training: what it records, that it goes on where it was cut off, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reluflow.errors import DataError, OptionError, OutputError
from reluflow.monitoring import KeptTables
from reluflow_torch import evolution
from reluflow_torch.evolution import Training, record_evolution, schedule

SHORT = Training(epochs=2, batch=16, rate=0.05)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(144, 12),
        nn.ReLU(),
        nn.Linear(12, 3),
    )


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(40, 1, 8, 8, generator=generator), torch.arange(40) % 3


def test_all_images_are_measured_at_log_spaced_steps(tmp_path: Path) -> None:
    model = network()
    table = record_evolution(model, *data(), tmp_path / "run", SHORT)
    rows = [row for row in table.to_pylist() if row["site"] != "mean"]
    assert sorted({row["step"] for row in rows}) == [0, 1, 2, 3, 4, 6]
    assert {row["samples"] for row in rows} == {40 * 36, 40}
    assert [row["jaccard_initial"] for row in rows[:2]] == [1.0, 1.0]
    assert [row["jaccard_final"] for row in rows[-2:]] == [1.0, 1.0]
    assert all(row["jaccard_final"] < 1 for row in rows[:2])
    assert not KeptTables(tmp_path / "run").steps()


def test_a_finished_run_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    first = record_evolution(model, *data(), tmp_path / "run", SHORT, keep_tables=True)
    assert KeptTables(tmp_path / "run").steps()
    monkeypatch.setattr(evolution._Run, "train", None)
    again = network()
    assert record_evolution(again, *data(), tmp_path / "run", SHORT).equals(first)
    assert not KeptTables(tmp_path / "run").steps()
    pairs = zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_an_interrupted_run_gives_what_it_would_have_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = record_evolution(network(), *data(), tmp_path / "whole", SHORT)
    step, taken = evolution._Run._step, []

    def stops(self: Any, *given: Any) -> None:
        taken.append(1)
        if len(taken) > 4:
            raise KeyboardInterrupt
        step(self, *given)

    monkeypatch.setattr(evolution._Run, "_step", stops)
    with pytest.raises(KeyboardInterrupt):
        record_evolution(network(), *data(), tmp_path / "cut", SHORT)
    monkeypatch.setattr(evolution._Run, "_step", step)
    assert record_evolution(network(), *data(), tmp_path / "cut", SHORT).equals(whole)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [0.1, 0.1, 0.1, 0.1]),
        ("step", [0.1, 0.1, 0.01, 0.001]),
        ("onecycle", [0.004, None, None, None]),
        ("cyclic", [0.001, None, None, None]),
    ],
)
def test_schedules(name: str, expected: list[float | None]) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    rates, found = schedule(optimizer, name, 0.1, 24), []
    for _ in range(24):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rates.step()
    for at, rate in zip((0, 11, 12, 18), expected, strict=True):
        assert rate is None or found[at] == pytest.approx(rate)
    assert max(found) == pytest.approx(0.1, rel=0.05)


def test_named_steps_and_the_last_are_measured() -> None:
    assert Training(2, 16, at=(0, 3, 90)).measured(40) == [0, 3, 6]
    assert Training(2, 16, per_decade=1).measured(400) == [0, 1, 10, 50]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"schedule": "cosine"}, "schedule is 'cosine'; give one of constant, step, onecycle"),
        ({"epochs": 0}, "epochs, batch and rate are 0, 64 and 0.1; give numbers above 0"),
        ({"rate": float("nan")}, "rate are 10, 64 and nan; give numbers above 0"),
    ],
)
def test_a_training_that_makes_no_sense(given: dict[str, Any], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        Training(**given)


def test_folders_and_data_that_do_not_fit(tmp_path: Path) -> None:
    images, labels = data()
    with pytest.raises(OptionError, match="40 images and 39 labels; give one label each"):
        record_evolution(network(), images, labels[:-1], tmp_path / "a", SHORT)
    record_evolution(network(), images, labels, tmp_path / "b", SHORT)
    with pytest.raises(OutputError, match=r"holds another run, with \{'epochs': 2\}; name another"):
        record_evolution(network(), images, labels, tmp_path / "b", Training(3, 16, 0.05))
    with pytest.raises(OutputError, match="does not hold weights of this model"):
        record_evolution(nn.Linear(2, 2), images, labels, tmp_path / "b", SHORT)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="holds files of something else; name another one"):
        record_evolution(network(), images, labels, tmp_path / "c", SHORT)
    (tmp_path / "d").write_text("x")
    with pytest.raises(OutputError, match="cannot be used for a recording"):
        record_evolution(network(), images, labels, tmp_path / "d", SHORT)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    images, labels = data()
    images[0] = np.nan
    with pytest.raises(DataError, match="has diverged: its loss is nan at a learning rate of"):
        record_evolution(network(), images, labels, tmp_path / "run", SHORT)
