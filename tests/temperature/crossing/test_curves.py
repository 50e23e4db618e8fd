"""Curves of D over the rate, counted from crossing rates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError
from reluflow.temperature import CrossingCurve, CrossingCurves, LogNormal, crossing_rates, merged

Floats = NDArray[np.float64]


def linear_site(seed: int, rows: int, units: int, pixels: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    shape = (rows, units, pixels) if pixels else (rows, units)
    return rng.normal(size=shape), 0.1 * rng.normal(size=shape)


@pytest.mark.parametrize("pixels", [0, 1, 5])
@pytest.mark.parametrize("units", [1, 3, 64])
def test_crossing_rates_tell_which_samples_have_changed_at_any_rate(
    units: int, pixels: int
) -> None:
    c, g = linear_site(units, 40, units, pixels)
    rates = crossing_rates(c, g)
    for eta in np.geomspace(1e-3, 1e3, 25):
        changed = ((c + eta * g > 0) != (c > 0)).any(axis=1).reshape(-1)
        np.testing.assert_array_equal(rates < eta, changed)


def test_units_at_the_threshold_and_nan() -> None:
    rates = crossing_rates(
        [[0.0], [0.0], [np.nan], [1.0], [1.0], [2.0], [-1.0]],
        [[1.0], [-1.0], [1.0], [np.nan], [0.0], [-4.0], [-1.0]],
    )
    assert rates.tolist() == [0.0, math.inf, math.inf, math.inf, math.inf, 0.5, math.inf]
    assert not np.signbit(rates).any()


def test_infinite_values() -> None:
    rates = crossing_rates(
        [[np.inf], [np.inf], [-np.inf], [-np.inf], [1.0], [-1.0], [1.0]],
        [[-np.inf], [-1.0], [np.inf], [1.0], [-np.inf], [np.inf], [np.inf]],
    )
    assert rates.tolist() == [math.inf] * 4 + [0.0, 0.0, math.inf]


def test_a_site_without_units_never_changes() -> None:
    assert crossing_rates(np.zeros((3, 0)), np.zeros((3, 0))).tolist() == [math.inf] * 3


@pytest.mark.parametrize("before, slope", [([1.0], [1.0]), ([[1.0]], [[1.0, 2.0]]), (1.0, 1.0)])
def test_shapes_that_do_not_fit_are_refused(before: Any, slope: Any) -> None:
    with pytest.raises(DataError, match="before has the shape"):
        crossing_rates(before, slope)


@pytest.mark.parametrize("seed", range(3))
def test_a_curve_is_the_share_of_samples_that_have_changed(seed: int) -> None:
    c, g = linear_site(seed, 2000, 32)
    rates = crossing_rates(c, g)
    curve = CrossingCurve.of(rates, 32)
    for eta in np.quantile(rates, [0.02, 0.2, 0.5, 0.9, 0.99]):
        # Inside a cell, 2.2 % of the rate wide, the curve is interpolated.
        assert float(curve.distance(eta)) == pytest.approx((rates < eta).mean(), abs=0.01)
    assert curve.units == 32 and curve.samples == 2000


@pytest.mark.parametrize("mu, sigma", [(0.0, 1.0), (-8.0, 0.5), (3.0, 2.5)])
@pytest.mark.parametrize("samples", [400, 20_000])
def test_a_log_normal_network_gives_its_own_rates(mu: float, sigma: float, samples: int) -> None:
    truth = LogNormal(mu, sigma)
    curve = CrossingCurve.of(truth.rate((np.arange(samples) + 0.5) / samples))
    for bits in (0.05, 0.5, 1.0, 3.0, 5.0, math.log2(samples) - 0.5):
        # The last lies in the tail, where fewer than 3 samples are left and the model continues.
        assert math.log(curve.rate(bits)) == pytest.approx(
            math.log(float(truth.rate_at(bits))), abs=0.1 * sigma
        )


def test_few_changed_samples_follow_a_straight_line() -> None:
    curve = CrossingCurve.of(np.arange(1, 101) / 100.0)
    distances = curve.distance([0.001, 0.002, 0.004])
    np.testing.assert_allclose(distances / distances[0], [1.0, 2.0, 4.0], rtol=1e-6)
    assert float(curve.distance(0.0)) == 0.0


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 8, 30, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_rate_is_the_inverse_of_temperature(samples: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates = rng.lognormal(0.0, 1.0, samples)
    rates[rng.random(samples) < 0.2] = np.inf
    curve = CrossingCurve.of(rates)
    bits = curve.temperature(np.geomspace(1e-20, 1e20, 2000))
    assert np.all(np.isfinite(bits)) and np.all(np.diff(bits) >= 0)
    assert bits[-1] <= math.log2(samples) + 1e-9
    for wanted in np.linspace(0.0, bits[-1], 7):
        assert float(curve.temperature(curve.rate(wanted))) == pytest.approx(wanted, abs=1e-6)
    assert curve.rate(bits[-1] + 1e-3) == math.inf


def test_samples_that_never_change_bound_the_temperature() -> None:
    curve = CrossingCurve.of([1.0] * 50 + [np.inf] * 50)
    assert float(curve.temperature(1e9)) == pytest.approx(1.0)
    assert curve.rate(1.1) == math.inf


def test_samples_that_change_at_once() -> None:
    curve = CrossingCurve.of([0.0] * 25 + [1.0] * 75)
    assert float(curve.distance(1e-9)) == pytest.approx(0.25)
    assert float(curve.distance(0.0)) == 0.0
    assert curve.rate(0.1) < 1e-15


def test_merged_curves_are_those_of_all_samples() -> None:
    rates = np.random.default_rng(0).lognormal(0.0, 1.0, 300)
    names = ("a", "b")
    parts = [
        CrossingCurves({n: CrossingCurve.of(p, 4) for n in names}) for p in rates.reshape(3, 100)
    ]
    whole = CrossingCurve.of(rates, 4)
    for name in names:
        np.testing.assert_array_equal(merged(parts)[name].counts, whole.counts)
    assert merged(parts)["a"].units == 4
    np.testing.assert_array_equal((parts[0] * 0.5)["a"].counts, parts[0]["a"].counts * 0.5)


def test_a_site_that_only_one_batch_ran_keeps_its_samples() -> None:
    both = CrossingCurves({"a": CrossingCurve.of([1.0])}) + CrossingCurves(
        {"a": CrossingCurve.of([2.0]), "b": CrossingCurve.of([3.0])}
    )
    assert {name: curve.samples for name, curve in both.items()} == {"a": 2.0, "b": 1.0}


def test_the_means_of_unlike_sites_differ() -> None:
    cold, hot = (
        CrossingCurve.of(np.geomspace(1, 100, 500)),
        CrossingCurve.of(np.geomspace(0.01, 1, 500)),
    )
    curves = CrossingCurves({"cold": cold, "hot": hot})
    rate = 0.9
    by_site = [float(curve.temperature(rate)) for curve in (cold, hot)]
    assert float(curves.temperature(rate)) == pytest.approx(sum(by_site) / 2)
    mean = float((cold.distance(rate) + hot.distance(rate)) / 2)
    assert float(curves.distance(rate)) == pytest.approx(mean, abs=1e-3)
    assert float(curves.temperature(rate, "distance")) == pytest.approx(
        -math.log2(1 - mean), abs=1e-3
    )
    assert curves.rate(1.5) < curves.rate(1.5, "distance")
    assert curves.highest() == pytest.approx(math.log2(500))
    assert curves.samples == 1000


@pytest.mark.parametrize("factor", [1e-3, 0.7, 1.01, 2.0, 40.0])
def test_shifted_curves_are_those_of_multiplied_rates(factor: float) -> None:
    rates = np.geomspace(1e-2, 1e2, 999)
    curve = CrossingCurve.of([0.0, *rates, np.inf], 7)
    moved, exact = curve.shifted(math.log(factor)), CrossingCurve.of([0.0, *rates * factor, np.inf])
    assert moved.units == 7 and moved.samples == pytest.approx(1001)
    assert (moved.counts[0], moved.counts[-1]) == (1, 1)
    for bits in (0.1, 1.0, 3.0):
        assert moved.rate(bits) == pytest.approx(exact.rate(bits), rel=0.02)


def test_samples_shifted_off_the_lattice_stay_counted() -> None:
    curves = CrossingCurves({"a": CrossingCurve.of([1.0] * 4)})
    assert curves.shifted(1e9)["a"].counts[-1] == 4
    assert curves.shifted(-1e9)["a"].counts[0] == 4
    assert curves.shifted(0.0)["a"].counts.tolist() == curves["a"].counts.tolist()
    with pytest.raises(OptionError, match="log_factor is nan"):
        curves.shifted(math.nan)


def test_what_makes_no_curve_is_refused() -> None:
    with pytest.raises(DataError, match="rates are empty"):
        CrossingCurve.of([])
    with pytest.raises(DataError, match=r"a crossing rate is -1\.0"):
        CrossingCurve.of([1.0, -1.0])
    with pytest.raises(DataError, match="a crossing rate is nan"):
        CrossingCurve.of([np.nan])
    with pytest.raises(DataError, match="a network needs at least one switch site"):
        CrossingCurves({})
    with pytest.raises(DataError, match="give those of at least one batch"):
        merged([])
    curve = CrossingCurve.of([1.0])
    with pytest.raises(DataError, match=r"rate is -1\.0"):
        curve.distance(-1.0)
    with pytest.raises(OptionError, match=r"bits is -1\.0"):
        curve.rate(-1.0)
    curves = CrossingCurves({"a": curve})
    with pytest.raises(OptionError, match="mean is 'median'"):
        curves.rate(1.0, "median")  # type: ignore[arg-type]
