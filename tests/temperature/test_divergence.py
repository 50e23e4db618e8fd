"""The watch on sigma: when it warns, when not, and that it can be saved."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.errors import DataError, OptionError
from reluflow.temperature import LogNormal, SigmaWatch, WatchOptions, sweep, transition_width


def alarms(widths: list[float], **options: float) -> list[tuple[int, str]]:
    watch = SigmaWatch(WatchOptions(**options))  # type: ignore[arg-type]
    found = [watch.observe(step, sigma) for step, sigma in enumerate(widths)]
    return [(alarm.step, alarm.kind) for alarm in found if alarm]


def test_a_lasting_rise_warns_once() -> None:
    assert alarms([1.2] * 6 + [2.0] * 6) == [(7, "rise")]


def test_one_odd_width_is_passed_over() -> None:
    assert alarms([1.2] * 6 + [2.0] + [1.2] * 6) == []


def test_a_leap_warns_at_once() -> None:
    assert alarms([1.2] * 6 + [3.0]) == [(6, "leap")]
    assert alarms([1.2] * 6 + [math.inf]) == [(6, "leap")]


def test_it_warns_again_after_the_width_came_down() -> None:
    assert alarms([1.2] * 6 + [3.0] + [1.2] * 6 + [3.0]) == [(6, "leap"), (13, "leap")]


def test_falling_and_noisy_widths_are_healthy() -> None:
    rng = np.random.default_rng(3)
    widths = np.linspace(1.8, 0.9, 400) * np.exp(0.1 * rng.normal(size=400))
    assert alarms(widths.tolist()) == []


def test_a_slow_rise_warns_when_it_has_become_large() -> None:
    widths = np.geomspace(1.0, 2.0, 100)
    ((step, kind),) = alarms(widths.tolist())
    assert kind == "rise"
    assert 1.55 < widths[step] < 1.75


def test_it_keeps_quiet_until_it_knows_the_usual_width() -> None:
    assert alarms([1.0, 9.0]) == []
    assert alarms([math.inf, math.inf, 1.0, 1.1, 1.0, 1.1]) == []


def test_a_missing_width_changes_nothing() -> None:
    watch = SigmaWatch()
    for step in range(5):
        watch.observe(step, 1.0)
    before = watch.to_dict()
    assert watch.observe(5, math.nan) is None
    assert watch.to_dict() == before


@given(
    st.lists(st.floats(0.1, 10.0) | st.just(math.inf), min_size=1, max_size=40),
    st.integers(0, 40),
)
def test_a_restored_watch_goes_on_as_the_first(widths: list[float], cut: int) -> None:
    watch = SigmaWatch()
    for step, sigma in enumerate(widths[:cut]):
        watch.observe(step, sigma)
    again = SigmaWatch.from_dict(json.loads(json.dumps(watch.to_dict(), allow_nan=False)))
    for step, sigma in enumerate(widths[cut:]):
        assert again.observe(step, sigma) == watch.observe(step, sigma)
    assert again == watch


@given(st.lists(st.floats(0.1, 10.0), min_size=3, max_size=30), st.floats(0.01, 100.0))
def test_the_unit_of_sigma_does_not_matter(widths: list[float], scale: float) -> None:
    powers = 2.0 ** round(math.log2(scale))
    assert alarms(widths) == alarms([powers * sigma for sigma in widths])


def test_the_width_of_a_sweep() -> None:
    model = LogNormal(-3.0, 1.4)
    found = sweep(lambda rate: float(model.distance(rate)))
    assert transition_width(found) == pytest.approx(1.4, rel=1e-6)
    assert transition_width(sweep(lambda rate: 0.9)) == math.inf
    assert math.isnan(transition_width(sweep(lambda rate: 0.1)))
    one_sided = sweep(lambda rate: 1.0 if rate < 1 else 0.0)
    assert math.isnan(transition_width(one_sided))


def test_sweeps_may_be_observed() -> None:
    watch = SigmaWatch()
    for step in range(4):
        model = LogNormal(-3.0, 1.0)
        assert watch.observe_sweep(step, sweep(lambda r, m=model: float(m.distance(r)))) is None  # type: ignore[misc]
    alarm = watch.observe_sweep(4, sweep(lambda rate: 1.0))
    assert alarm is not None and alarm.ratio == math.inf
    assert str(alarm).startswith("sigma of the activation pattern transition is inf at step 4")


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(OptionError, match="window is 0; give a number of widths from 1 on"):
        WatchOptions(window=0)
    with pytest.raises(OptionError, match="leap is nan; give a factor above 1"):
        WatchOptions(leap=math.nan)
    with pytest.raises(DataError, match=r"sigma is -1\.0 at step 3; give a width above 0"):
        SigmaWatch().observe(3, -1.0)
    with pytest.raises(DataError, match="lacks lowest, recent, warned; give a whole"):
        SigmaWatch.from_dict({"options": {}})
