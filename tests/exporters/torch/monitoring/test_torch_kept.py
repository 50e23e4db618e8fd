"""Tables kept by the monitor, and the state that a training ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fashion_nets import f1, fashion
from torch import Tensor, nn
from torch.optim import SGD

from reluflow.errors import OptionError
from reluflow.monitoring import KeptTables, read_recording
from reluflow.patterns import PatternRecorder, read
from reluflow_torch import PatternCapture, PatternMonitor
from reluflow_torch.sites.hashing import fingerprints


def keys_of(model: nn.Module, images: Tensor) -> np.ndarray:
    """Of the first site, with the statistics of the batch."""
    kept = {name: value.clone() for name, value in model.named_buffers()}
    was_training = model.training
    model.train()
    with PatternCapture(model, max_samples=10**9) as capture, torch.no_grad():
        model(images)
    model.train(was_training)
    for name, value in model.named_buffers():
        value.copy_(kept[name])
    site = next(iter(capture.patterns.values()))
    return fingerprints(site.bits).numpy().view(np.uint64)


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    keys, place = np.unique(np.concatenate([a, b]), axis=0, return_inverse=True)
    place = place.reshape(-1)
    one = np.bincount(place[: len(a)], minlength=len(keys))
    two = np.bincount(place[len(a) :], minlength=len(keys))
    return float(np.minimum(one, two).sum() / np.maximum(one, two).sum())


def train(
    monitor_of: Any, steps: int, fails_at: int | None = None
) -> tuple[nn.Module, Tensor, list[np.ndarray]]:
    torch.manual_seed(0)
    images, labels = fashion(200)
    model = f1(2, 8, norm=True)
    optimizer = SGD(model.parameters(), lr=0.1)
    states = []
    with monitor_of(optimizer, model, images[:100]):
        for at in range(steps):
            states.append(keys_of(model, images[:100]))
            if at == fails_at:
                raise KeyboardInterrupt
            chosen = torch.randint(0, 200, (32,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
        model.eval()  # as most loops leave it, after a last evaluation
    return model, images, states


@pytest.mark.parametrize("form", ["folder", "path", "recorder"])
@pytest.mark.parametrize("every", [{"keep_every": 3}, {"keep_every": 6, "measures_every": 3}])
def test_the_index_to_the_final_state_is_that_of_the_weights(
    form: str, every: dict[str, Any], tmp_path: Path
) -> None:
    given: Any = {"folder": str, "path": Path, "recorder": PatternRecorder}[form](tmp_path)

    def attach(optimizer: SGD, model: nn.Module, data: Tensor) -> PatternMonitor:
        return PatternMonitor(optimizer, model, every=0, data=data, recorder=given, **every)

    model, images, states = train(attach, 7)
    last = keys_of(model, images[:100])
    kept = [0, 3, 6, 7] if len(every) == 1 else [0, 6, 7]
    assert KeptTables(tmp_path).steps() == kept
    rows = {row["step"]: row for row in read_recording(tmp_path).to_pylist() if row["site"] == "3"}
    assert sorted(rows) == [0, 3, 6, 7]
    wanted = {at: jaccard(keys, last) for at, keys in enumerate([*states, last]) if at in kept}
    found = {at: row["jaccard_final"] for at, row in rows.items() if at in kept}
    assert found == pytest.approx(wanted)
    assert found[7] == 1.0 and found[0] < 1.0
    assert rows[7]["jaccard_initial"] == pytest.approx(found[0])
    assert rows[7]["batch_statistics"] == 1
    assert all(0 < row["table_load"] < 1 for row in rows.values())
    assert all(
        row["patterns_per_sample"] == row["patterns"] / row["samples"] for row in rows.values()
    )
    assert not model.training


def test_a_training_that_is_cut_short_has_no_final_state(tmp_path: Path) -> None:
    def attach(optimizer: SGD, model: nn.Module, data: Tensor) -> PatternMonitor:
        return PatternMonitor(optimizer, model, every=0, keep_every=2, data=data, recorder=tmp_path)

    with pytest.raises(KeyboardInterrupt):
        train(attach, 7, fails_at=5)
    assert KeptTables(tmp_path).steps() == [0, 2, 4]
    assert max(read(tmp_path)["step"].to_pylist()) == 4


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_the_final_state_is_kept_once(steps: int, tmp_path: Path) -> None:
    model = f1(1, 8)
    optimizer = SGD(model.parameters(), lr=0.1)
    images, _ = fashion(20)
    monitor = PatternMonitor(optimizer, model, every=0, keep_every=3, recorder=tmp_path)
    for _ in range(steps):
        model(images).square().mean().backward()
        optimizer.step()
    monitor.close()
    kept = KeptTables(tmp_path).steps()
    assert kept == {0: [], 1: [0, 1], 6: [0, 3, 6]}[steps]
    times = [path.stat().st_mtime_ns for path in (tmp_path / "tables").glob("*")]
    monitor.close()
    assert [path.stat().st_mtime_ns for path in (tmp_path / "tables").glob("*")] == times


def test_every_row_says_which_statistics_were_used(tmp_path: Path) -> None:
    for statistics in ("batch", "running"):
        model = f1(1, 8, norm=True)
        optimizer = SGD(model.parameters(), lr=0.1)
        images, _ = fashion(20)
        with PatternMonitor(
            optimizer,
            model,
            every=2,
            measures_every=3,
            sweep_every=4,
            rates=[1e-3, 1.0],
            recorder=tmp_path / statistics,
            statistics=statistics,
        ):
            for _ in range(5):
                model(images).square().mean().backward()
                optimizer.step()
        rows = read(tmp_path / statistics).to_pylist()
        assert {row["batch_statistics"] for row in rows} == {int(statistics == "batch")}
        assert {row["step"] for row in rows} == {0, 2, 3, 4}


@pytest.mark.parametrize("keep_every", [1, 100])
def test_tables_without_a_place_are_refused(keep_every: int) -> None:
    model = f1(1, 4)
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(OptionError, match=f"keep_every is {keep_every}, but tables are kept besi"):
        PatternMonitor(optimizer, model, keep_every=keep_every)


def test_periods_below_zero_are_refused_by_name() -> None:
    model = f1(1, 4)
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(OptionError, match=r"flips_every, every, .* are -2, 10, 0, 0; give num"):
        PatternMonitor(optimizer, model, flips_every=-2)
