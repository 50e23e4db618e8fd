"""What a bridge to any framework needs to watch a training."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.monitoring import (
    DivergenceWarning,
    ParquetSink,
    PatternHistory,
    Periods,
    SiteCounts,
    WandbSink,
    log_steps,
    open_sinks,
    pass_on,
    step_measures,
    sweep_measures,
)
from reluflow.patterns import QUANTITIES, PatternRecorder, read
from reluflow.temperature import DivergenceAlarm, LogNormal, SiteDistance, StepDistance, sweep

ALARM = DivergenceAlarm(7, 2.0, 1.0, "rise")


def counts(seed: int, samples: int = 300, units: int = 5) -> tuple[SiteCounts, np.ndarray]:
    """Counts of random patterns, and the patterns."""
    bits = np.random.default_rng(seed).random((samples, units)) < 0.3
    keys = np.zeros((samples, 2), np.uint64)
    keys[:, 1] = bits @ (1 << np.arange(units))
    return SiteCounts.of(keys, bits.sum(axis=0)), bits


@pytest.mark.parametrize(
    ("periods", "step", "wanted"),
    [
        (Periods(2, 3, 4), 0, (True, True, True)),
        (Periods(2, 3, 4), 6, (True, True, False)),
        (Periods(2, 3, 4), 7, (False, False, False)),
        (Periods(sweep_every=5), 10, (False, False, True)),
        (Periods(measures_every=1), 3, (False, True, False)),
        (Periods(every=[3, 5]), 3, (True, False, False)),
        (Periods(every=[3, 5]), 6, (False, False, False)),
        (Periods(sweep_every={0}, measures_every=2), 0, (False, True, True)),
    ],
)
def test_each_thing_has_its_period(
    periods: Periods, step: int, wanted: tuple[bool, bool, bool]
) -> None:
    found = periods.wants_distance(step), periods.wants_measures(step), periods.wants_sweep(step)
    assert found == wanted
    assert periods.wants_anything(step) == any(wanted)


@pytest.mark.parametrize("given", [(0, 0, 0), (-1, 2, 2), (3, 0, -4)])
def test_periods_that_make_no_sense_are_refused(given: tuple[int, int, int]) -> None:
    said = ", ".join(map(str, given))
    with pytest.raises(OptionError, match=f"are {said}; give numbers of steps, at least one"):
        Periods(*given)


@pytest.mark.parametrize("given", [[], [3, -1]])
def test_steps_that_make_no_sense_are_refused(given: list[int]) -> None:
    with pytest.raises(OptionError, match=r"keep_every has the steps .*; give at least one step"):
        Periods(keep_every=given)


def test_log_spaced_steps_lie_evenly_in_the_logarithm() -> None:
    steps = log_steps(10_000, per_decade=4)
    assert steps[:4] == [0, 1, 2, 3]
    assert steps[-5:] == [1000, 1778, 3162, 5623, 10_000]
    assert log_steps(1) == [0, 1]
    with pytest.raises(OptionError, match="last is 0 and per_decade 5; give at least 1"):
        log_steps(0)


def test_counts_of_two_passes_are_those_of_both() -> None:
    (one, first), (two, second) = counts(0), counts(1)
    both = one + two
    bits = np.concatenate([first, second])
    assert both.table.samples == len(bits)
    assert both.table.total == len(np.unique(bits, axis=0))
    assert both.active.tolist() == bits.sum(axis=0).tolist()


def test_counts_come_back_from_arrays() -> None:
    kept, _ = counts(2)
    again = SiteCounts.from_arrays(kept.to_arrays())
    for name, array in kept.to_arrays().items():
        assert array.dtype == np.int64
        assert again.to_arrays()[name].tolist() == array.tolist()
    assert again.table.samples == kept.table.samples


def test_a_history_compares_with_the_start_and_with_the_last() -> None:
    history = PatternHistory()
    found = [history.measure({"a": counts(seed)[0]})["a"] for seed in (0, 1, 0)]
    assert found[0]["jaccard_initial"] == found[2]["jaccard_initial"] == 1.0
    assert "born" not in found[0]
    assert found[1]["jaccard_initial"] == found[1]["jaccard_previous"] < 1.0
    assert found[2]["jaccard_previous"] == found[1]["jaccard_previous"]
    assert all(row.keys() <= QUANTITIES.keys() for row in found)


def test_measures_are_those_of_the_patterns() -> None:
    each, bits = counts(3)
    row = PatternHistory().measure({"a": each})["a"]
    shares = np.unique(bits, axis=0, return_counts=True)[1] / len(bits)
    assert row["patterns"] == len(shares)
    assert row["entropy_bits"] == pytest.approx(-(shares * np.log2(shares)).sum())
    assert row["most_frequent_fraction"] == shares.max()
    assert row["mean_active_fraction"] == pytest.approx(bits.mean())


def test_a_step_has_a_row_per_site_and_one_of_all() -> None:
    step = StepDistance((SiteDistance("mean", 4, 4, nans=2), SiteDistance("b", 0, 8)))
    whole, rows = step_measures(step)
    assert whole == {"distance": 0.5, "temperature_bits": 1.0, "saturated": 0, "nans": 2}
    assert rows["mean"] == {"distance": 1.0, "temperature_bits": 2.0, "saturated": 1, "nans": 2}
    assert rows["b"]["distance"] == 0.0


def test_a_sweep_that_no_transition_fits_is_recorded_as_made() -> None:
    rates = [1e-3, 1e-2, 1e-1, 1.0]
    flat = sweep(lambda rate: {"a": 0.0}, rates)
    assert sweep_measures(flat) == {"swept": 1}
    truth = LogNormal(-3.0, 1.1)
    rising = sweep(lambda rate: {"a": float(truth.distance(rate))}, rates)
    assert sweep_measures(rising) == pytest.approx({"swept": 1, "mu": -3.0, "sigma": 1.1})


def test_an_alarm_reaches_who_asked_or_warns() -> None:
    heard: list[DivergenceAlarm] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pass_on(ALARM, heard.append)
    assert heard == [ALARM]
    with pytest.warns(DivergenceWarning, match="step 7") as caught:
        pass_on(ALARM, None)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("form", ["folder", "path", "recorder"])
def test_a_recording_holds_what_was_written(form: str, tmp_path: Path) -> None:
    given = {"folder": str(tmp_path), "path": tmp_path, "recorder": PatternRecorder(tmp_path)}
    (sink,) = open_sinks(given[form], None, None, new_writer=print)  # type: ignore[arg-type]
    assert isinstance(sink, ParquetSink)
    sink.write(0, {"mean": {"learning_rate": 0.1}, "a": {"distance": 0.5}})
    sink.close()
    assert read(tmp_path).to_pylist() == [
        {"step": 0, "site": "mean", "learning_rate": 0.1, "distance": None},
        {"step": 0, "site": "a", "learning_rate": None, "distance": 0.5},
    ]


def test_what_was_written_by_64_calls_is_safe_from_a_crash(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path)
    for step in range(70):
        sink.write(step, {"a": {"distance": 0.5}})
    assert read(tmp_path).num_rows == 64


def test_a_writer_made_here_is_closed_and_another_is_left_open(tmp_path: Path) -> None:
    writers = pytest.importorskip("torch.utils.tensorboard")
    made = []

    def new_writer(folder: str) -> object:
        made.append(writers.SummaryWriter(folder))
        return made[-1]

    theirs = writers.SummaryWriter(str(tmp_path / "theirs"))
    for given in (tmp_path / "ours", theirs):
        (sink,) = open_sinks(None, given, None, new_writer)
        sink.write(0, {"a": {"distance": 0.5}})
        sink.close()
    assert made[0].all_writers is None
    assert theirs.all_writers is not None
    theirs.close()


@pytest.mark.parametrize("wandb", [None, False])
def test_nothing_is_opened_unasked(wandb: bool | None) -> None:
    assert open_sinks(None, None, wandb, new_writer=print) == []


def test_wandb_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(OptionError, match="Weights & Biases is not installed; run pip install"):
        WandbSink(True)
