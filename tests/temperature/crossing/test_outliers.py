"""Updates far longer than usual: their steps are made as long as usual, and no probe sees them."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.temperature import CrossingOptions, PowerSchedule
from reluflow.temperature.crossing import CrossingCurve, CrossingCurves
from reluflow.temperature.crossing.outliers import UpdateGuard
from reluflow.temperature.crossing_control import CoolingWarning, CrossingCool

NETWORK = CrossingCurves({"relu": CrossingCurve.of(np.geomspace(1e-3, 1.0, 4097))})


def guard_after(lengths: list[float], outlier: float = 8.0) -> UpdateGuard:
    guard = UpdateGuard(CrossingOptions(outlier=outlier))
    for length in lengths:
        guard.factor(length)
    return guard


def controller_after(updates: list[float | None]) -> CrossingCool:
    controller = CrossingCool(PowerSchedule(1.0))
    for step, update in enumerate(updates):
        controller.next_rate(step / 400, lambda _: NETWORK, update=update)
        if controller.wants_curves:
            controller.observe(NETWORK, weight_norm=1.0, gradient_norm=1.0)
    return controller


@pytest.mark.parametrize(("length", "factor"), [(7.9, 1.0), (8.1, 1 / 8.1), (1000.0, 1 / 1000)])
def test_a_step_beyond_the_bound_is_as_long_as_usual(length: float, factor: float) -> None:
    assert guard_after([1.0] * 20).factor(length) == pytest.approx(factor)


def test_the_first_updates_tell_the_longest() -> None:
    guard = guard_after([1.0, 50.0, 2.0, *[1.0] * 13])
    assert guard.usual == 50.0
    assert guard.factor(390.0) == 1.0


def test_updates_that_grow_are_followed_and_a_jump_that_stays_is_in_time() -> None:
    guard = guard_after([1.0] * 20)
    assert all(guard.factor(1.5**n) == 1.0 for n in range(20))
    guard = guard_after([1.0] * 20)
    factors = [guard.factor(100.0) for _ in range(200)]
    assert factors[0] == pytest.approx(0.01)
    assert 100 < factors.index(1.0) < 150  # ln(100 / 8) / 0.02 = 126
    assert factors[-1] == 1.0


def test_what_is_no_length_says_nothing() -> None:
    guard = guard_after([1.0] * 20)
    before = guard.state_dict()
    assert [guard.factor(value) for value in (0.0, math.nan, math.inf, -1.0)] == [1.0] * 4
    assert guard.state_dict() == before


def test_without_a_bound_nothing_is_an_outlier() -> None:
    assert guard_after([1.0] * 20, math.inf).factor(1e30) == 1.0


@pytest.mark.parametrize("value", [1.0, 0.0, -3.0, math.nan])
def test_a_bound_that_makes_no_sense_is_refused(value: float) -> None:
    with pytest.raises(OptionError, match=r"outlier is .*; give a number above 1"):
        CrossingOptions(outlier=value)


def test_the_rate_of_an_outlier_is_lowered_and_told_once() -> None:
    usual = controller_after([1.0] * 101)
    with pytest.warns(CoolingWarning, match="step 101 is 50 times longer than usual") as told:
        controller = controller_after([*[1.0] * 100, 50.0])
    assert usual.rate is not None
    assert controller.rate == pytest.approx(usual.rate / 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        controller.next_rate(0.3, lambda _: NETWORK, update=80.0)
    assert (controller.n_outliers, usual.n_outliers, len(told)) == (2, 0, 1)


def test_an_outlier_is_not_probed_and_the_next_step_is() -> None:
    controller = controller_after([1.0] * 60)
    while not controller.will_want_curves:
        controller.next_rate(0.2, lambda _: NETWORK, update=1.0)
    with pytest.warns(CoolingWarning, match="longer than usual"):
        controller.next_rate(0.2, lambda _: NETWORK, update=100.0)
    assert not controller.wants_curves
    controller.next_rate(0.2, lambda _: NETWORK, update=1.0)
    assert controller.wants_curves


def test_unknown_lengths_change_nothing() -> None:
    assert controller_after([None] * 100).rate == controller_after([1.0] * 100).rate


@pytest.mark.parametrize("is_old", [False, True])
def test_a_state_goes_on_and_one_of_before_begins_anew(is_old: bool) -> None:
    with pytest.warns(CoolingWarning, match="longer than usual"):
        first = controller_after([*[1.0] * 100, 50.0])
    state = json.loads(json.dumps(first.state_dict()))
    if is_old:
        for name in ("usual", "n_updates", "n_outliers", "told"):
            del state[name]
        state["is_told"] = True
        del state["options"]["outlier"]
    second = CrossingCool(PowerSchedule(1.0))
    second.load_state_dict(state)
    rates = [
        each.next_rate(0.3, lambda _: NETWORK, update=100.0 if is_old else 40.0)
        for each in (first, second)
    ]
    assert second.n_outliers == (0 if is_old else 2)
    assert (rates[0] == rates[1]) is not is_old
