"""Factors of the rates of single sites."""

from __future__ import annotations

import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.temperature import CrossingCurve, CrossingCurves, SiteRates

LATTICE = np.geomspace(1e-3, 10.0, 4001)


def settled(widths: dict[str, int], places: dict[str, float], span: float) -> SiteRates:
    """Let the factors act on curves, as they do in a training, until they are at rest."""
    found = SiteRates(span, widths)
    for _ in range(60):
        curves = CrossingCurves(
            {
                name: CrossingCurve.of(LATTICE * places[name] / found.factors[name], units)
                for name, units in widths.items()
            }
        )
        found.update(curves, curves.rate(1.0))
    return found


@pytest.mark.parametrize("apart", [1.0, 3.0, 10.0])
def test_equally_wide_sites_get_the_same_temperature(apart: float) -> None:
    found = settled({"a": 64, "b": 64}, {"a": 1.0, "b": apart}, 100.0)
    assert found.factors["b"] / found.factors["a"] == pytest.approx(apart, rel=0.02)
    assert found.factors["a"] * found.factors["b"] == pytest.approx(1.0)


@pytest.mark.parametrize("span", [1.0, 1.2, 2.0])
def test_factors_stay_within_the_span(span: float) -> None:
    found = settled({"a": 64, "b": 64}, {"a": 1.0, "b": 100.0}, span)
    assert found.factors["b"] == pytest.approx(span)
    assert found.factors["a"] == pytest.approx(1 / span)


def test_wider_sites_may_be_hotter() -> None:
    found = settled({"narrow": 16, "wide": 128}, {"narrow": 1.0, "wide": 1.0}, 100.0)
    curve = CrossingCurve.of(LATTICE)
    curves = CrossingCurves({name: curve for name in found.factors})
    rate = curves.rate(1.0)
    bits = {name: float(curve.temperature(rate * factor)) for name, factor in found.factors.items()}
    assert bits["wide"] / bits["narrow"] == pytest.approx((128 / 16) ** (2 / 3), rel=0.3)


def test_sites_that_show_nothing_move_with_the_mean_alone() -> None:
    held = CrossingCurve.of(np.full(100, np.inf), 64)
    curves = CrossingCurves({"a": CrossingCurve.of(LATTICE, 64), "held": held})
    found = SiteRates(4.0, ["a", "held", "unknown"])
    found.update(curves, curves.rate(0.2))
    assert found.factors["held"] == found.factors["unknown"]
    assert found.update(curves, 0.0) == found.factors  # no change, no answer


@pytest.mark.parametrize("span", [0.9, -1.0, float("nan"), float("inf")])
def test_a_bad_span_is_refused(span: float) -> None:
    with pytest.raises(OptionError, match=f"site_span is {span}"):
        SiteRates(span, ["a"])
