"""The bound on the rate of a training that a fixed temperature would end."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest

from reluflow.temperature import CrossingOptions
from reluflow.temperature.crossing.bound import RateBound

STEADY = tuple(10.0 * math.exp(0.005 * n) for n in range(10))
"""Norms whose square grows by 1.005 % from probe to probe."""


def bound_after(
    norms: Sequence[float],
    *,
    bits: Sequence[float] | None = None,
    rates: Sequence[float] | None = None,
    options: CrossingOptions | None = None,
) -> RateBound:
    """Returns a bound that has seen a probe at every 10th step."""
    bound = RateBound(options or CrossingOptions())
    for n, norm in enumerate(norms):
        rate, t = (rates or [0.1] * len(norms))[n], (bits or [2.0] * len(norms))[n]
        bound.see_rate(t, rate)
        needed = rate * bound.hottest / t
        bound.see(10 * (n + 1), t, rate, needed=needed, weights=norm, gradient=1.0)
    return bound


def test_weights_that_grow_steadily_bind_nothing() -> None:
    assert bound_after(STEADY).limit(2.0) == math.inf


@pytest.mark.parametrize(("factor", "is_bound"), [(9.0, False), (12.0, True)])
def test_weights_that_run_away_lower_the_rate_at_once(factor: float, is_bound: bool) -> None:
    bound = bound_after([*STEADY, STEADY[-1] * math.exp(0.005 * factor)])  # so much as fast
    assert bound.is_bound is is_bound
    assert bound.limit(2.0) == (pytest.approx(0.05) if is_bound else math.inf)
    assert bound.limit(1.0) == bound.limit(2.0) / 2.0


@pytest.mark.parametrize(("before", "limit"), [(0.1, 0.125), (0.5, 0.5), (0.2, 0.2), (0.9, 0.5)])
def test_the_rate_falls_to_the_least_that_the_temperature_needed(
    before: float, limit: float
) -> None:
    rates = [before] * len(STEADY) + [1.0]
    bound = bound_after([*STEADY, 1.1 * STEADY[-1]], rates=rates)
    assert bound.limit(2.0) == pytest.approx(limit)


def test_it_halves_while_the_weights_still_run_away() -> None:
    norms = [*STEADY, *(factor * STEADY[-1] for factor in (1.1, 1.3, 1.8))]
    bound = bound_after(norms)
    assert bound.n_runaways == 3
    assert bound.limit(2.0) == pytest.approx(0.1 / 8.0)


def test_a_run_that_slows_down_is_left_to_run_out() -> None:
    norms = [*STEADY, *(factor * STEADY[-1] for factor in (1.1, 1.2, 1.28))]
    bound = bound_after(norms)
    assert bound.n_runaways == 1
    assert bound.limit(2.0) == pytest.approx(0.1 / 2.0)


def test_weights_may_grow_with_the_square_of_the_temperature() -> None:
    slow = tuple(math.exp(0.06 * n / 16.0) for n in range(10))  # at a quarter of the temperature
    warm = (slow[-1] * 1.06, slow[-1] * 1.12)
    bits = [2.0] + [0.5] * 9 + [2.0] * 2
    assert not bound_after([*slow, *warm], bits=bits).is_bound


def test_small_growth_is_no_running_away() -> None:
    still = tuple(10.0 * (1.0 + 1e-6 * n) for n in range(10))
    assert not bound_after([*still, 10.5]).is_bound  # 10.0 % of the square, as a logarithm
    assert bound_after([*still, 10.55]).is_bound


def test_an_infinite_option_lets_them_run() -> None:
    options = CrossingOptions(runaway=math.inf)
    assert not bound_after([*STEADY, 1.1 * STEADY[-1]], options=options).is_bound


def test_without_growth_the_rate_may_still_be_lowered() -> None:
    options = CrossingOptions(growth=math.inf)
    assert bound_after([*STEADY, 1.1 * STEADY[-1]], options=options).limit(2.0) < math.inf


def test_a_state_continues_and_an_older_one_is_read() -> None:
    norms = [*STEADY, 1.1 * STEADY[-1]]
    first = bound_after(norms)
    state = json.loads(json.dumps(first.state_dict()))
    second = RateBound(CrossingOptions())
    second.load_state_dict(state)
    for bound in (first, second):
        bound.see(120, 2.0, 0.05, needed=0.1, weights=2.0 * norms[-1], gradient=1.0)
    assert second.state_dict() == first.state_dict()
    assert second.n_runaways == 2
    older = {name: state[name] for name in ("hottest", "lowest", "norms", "is_bound")}
    RateBound(CrossingOptions()).load_state_dict(older)
