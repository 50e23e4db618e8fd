"""Curves from pre-activations at a few rates along a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reluflow.errors import DataError, OptionError
from reluflow.temperature import CrossingCurve, crossing_rates, curves_along
from reluflow.temperature.crossing.lattice import bins_of

RANDOM = np.random.default_rng(0)
BEFORE = {"a": RANDOM.normal(size=(50, 6)), "b": RANDOM.normal(size=(50, 3))}
SLOPE = {name: RANDOM.normal(size=values.shape) for name, values in BEFORE.items()}


def at(rate: float) -> dict[str, np.ndarray]:
    return {name: values + rate * SLOPE[name] for name, values in BEFORE.items()}


def test_one_state_gives_the_crossing_rates_of_its_slope() -> None:
    curves = curves_along(BEFORE, [(0.25, at(0.25))])
    for name, curve in curves.items():
        slope = (at(0.25)[name] - BEFORE[name]) / 0.25
        wanted = CrossingCurve.of(crossing_rates(BEFORE[name], slope))
        assert np.array_equal(curve.counts, wanted.counts)
    assert [curve.units for curve in curves.values()] == [6, 3]


def test_states_on_a_straight_line_add_nothing_and_a_kink_counts_from_where_it_is() -> None:
    one = curves_along(BEFORE, [(1.0, at(1.0))])
    many = curves_along(BEFORE, [(rate, at(rate)) for rate in (0.1, 0.5, 1.0)])
    for name in BEFORE:
        rates = np.geomspace(0.01, 100.0, 25)
        assert np.allclose(one[name].distance(rates), many[name].distance(rates), atol=0.02)
    way = [(1.0, {"a": np.array([[2.0]])}), (2.0, {"a": np.array([[1.0]])})]
    kinked = curves_along({"a": np.array([[1.0]])}, way)
    assert kinked["a"].counts[bins_of(3.0)] == 1.0


def test_samples_count_by_their_weights() -> None:
    times = RANDOM.integers(0, 4, 50)
    repeated = [{k: v.repeat(times, 0) for k, v in state.items()} for state in (BEFORE, at(0.5))]
    weighed = curves_along(BEFORE, [(0.5, at(0.5))], weights=times)
    for name, curve in curves_along(repeated[0], [(0.5, repeated[1])]).items():
        assert np.array_equal(curve.counts, weighed[name].counts)


@pytest.mark.parametrize("weights", [np.zeros(50), np.ones(49), -np.ones(50)])
def test_weights_that_do_not_fit_are_refused(weights: Any) -> None:
    with pytest.raises(DataError, match="give one each"):
        curves_along(BEFORE, [(0.5, at(0.5))], weights=weights)


def test_states_that_make_no_way_are_refused() -> None:
    with pytest.raises(OptionError, match="give increasing ones above 0"):
        curves_along(BEFORE, [(0.5, at(0.5)), (0.5, at(0.5))])
    with pytest.raises(OptionError, match="give increasing ones above 0"):
        curves_along(BEFORE, [])
    with pytest.raises(DataError, match="give the same sites in all"):
        curves_along(BEFORE, [(0.5, {"a": at(0.5)["a"]})])
