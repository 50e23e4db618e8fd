"""Patterns, D and crossing curves on the device, against the toolkit's own."""

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy
reluflow_jax = pytest.importorskip("reluflow_jax")

from reluflow.errors import DataError  # noqa: E402
from reluflow.monitoring import PatternHistory  # noqa: E402
from reluflow.patterns import fingerprint  # noqa: E402
from reluflow.temperature import CrossingCurve, crossing_rates  # noqa: E402
from reluflow_jax.sites.curves import count, first_rates, rates_along  # noqa: E402

rng = np.random.default_rng(5)
X = rng.standard_normal((400, 6)).astype(np.float32)
W = rng.standard_normal((6, 70)).astype(np.float32)
STEP = 0.1 * rng.standard_normal((6, 70)).astype(np.float32)


def forward(w: Any, x: Any) -> Any:
    return jax.nn.relu(x @ w)


def test_keys_are_those_of_the_toolkit() -> None:
    values = rng.standard_normal((50, 70)).astype(np.float32)
    values[0, :3] = (0.0, -0.0, np.nan)
    np.testing.assert_array_equal(reluflow_jax.fingerprints(values), fingerprint(values).keys)


def test_counts_are_those_of_all_batches_together() -> None:
    counts = reluflow_jax.count_patterns(forward, W[:, :4], [X[:150], X[150:]])
    found = counts["relu_0"]
    bits = X @ W[:, :4] > 0
    assert found.table.samples == 400
    assert found.table.total == len(np.unique(bits, axis=0))
    np.testing.assert_array_equal(found.active, bits.sum(0))
    assert PatternHistory().measure(counts)["relu_0"]["patterns"] == found.table.total


def test_a_distance_is_the_share_of_samples_that_differ() -> None:
    x = X.copy()
    x[7] = np.nan
    step = reluflow_jax.distance(forward, W, W + STEP, x)
    (site,) = step.sites
    changed = ((x @ W > 0) != (x @ (W + STEP) > 0)).any(1).sum()
    assert (site.changed, site.samples, site.units) == (changed, 400, 70)
    assert (site.nans, site.nonfinite) == (70, 140)


def test_a_function_without_a_site_is_refused() -> None:
    with pytest.raises(DataError, match="no switch site that is seen"):
        reluflow_jax.distance(lambda w, x: x @ w, W, W, X)
    with pytest.raises(DataError, match="no switch site that is seen"):
        reluflow_jax.crossing_curves(lambda w, x: x @ w, W, W, X)
    with pytest.raises(DataError, match="no batch was given"):
        reluflow_jax.count_patterns(forward, W, [])


def test_curves_count_the_rates_of_the_toolkit() -> None:
    found = reluflow_jax.crossing_curves(forward, W, STEP, X)["relu_0"]
    wide = X.astype(np.float64)
    wanted = CrossingCurve.of(crossing_rates(wide @ W, wide @ STEP), 70)
    assert (found.units, found.samples) == (70, 400)
    # A sample whose rate is within rounding of an edge may be in the next cell.
    assert np.abs(np.cumsum(found.counts - wanted.counts)).max() <= 1
    for bits in (0.5, 1.0, 3.0):
        assert found.rate(bits) == pytest.approx(wanted.rate(bits), rel=1e-3)


def test_what_says_nothing_never_switches_and_what_is_at_the_threshold_does_at_once() -> None:
    c = np.array([[np.nan, 1.0], [np.inf, -1.0], [0.0, -1.0], [0.0, 1.0], [1.0, 1.0]], np.float32)
    g = np.array([[1.0, -2.0], [-np.inf, 0.5], [1.0, 0.0], [-1.0, -1.0], [0.0, np.nan]], np.float32)
    rates = first_rates({"a": c}, {"a": g})["a"]
    np.testing.assert_array_equal(rates, [0.5, 2.0, 0.0, 1.0, np.inf])
    np.testing.assert_array_equal(rates, crossing_rates(c, g))
    counts = count({"a": rates})[0]
    assert (int(counts[0]), int(counts[-1]), int(counts.sum())) == (1, 1, 5)


def test_a_long_step_bends_where_its_derivative_ends() -> None:
    start, slope, end = (rng.standard_normal((300, 5)).astype(np.float32) for _ in range(3))
    held, whole = 0.25, 2.0
    found = rates_along({"a": start}, {"a": slope}, {"a": end}, (held, whole))["a"]
    middle = start + np.float32(held) * slope
    early = crossing_rates(start, slope)
    late = held + (whole - held) * crossing_rates(middle, end - middle)
    np.testing.assert_allclose(found, np.where(early <= held, early, late), rtol=1e-5)
    changed = ((start > 0) != (end > 0)).any(1)
    assert (np.asarray(found)[changed] <= whole * 1.00001).all()
