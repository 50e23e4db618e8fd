import math
from collections.abc import Callable

import numpy as np
import pytest

from reluflow.errors import DataError
from reluflow.temperature import ActCool, ActCoolOptions, LogNormal, PowerSchedule

Measure = Callable[[float], float]


def fitted(measure: Measure, **options: float) -> tuple[ActCool, list[float]]:
    rates: list[float] = []

    def listen(rate: float) -> float:
        rates.append(rate)
        return measure(rate)

    controller = ActCool(PowerSchedule(2.0), ActCoolOptions(**options))  # type: ignore[arg-type]
    controller.next_rate(0.5, listen)
    return controller, rates


@pytest.mark.parametrize("mu", [-20.0, -9.0, -1.0, 0.0, 7.0, 18.0])
@pytest.mark.parametrize("sigma", [0.2, 1.0, 3.0])
def test_the_transition_is_found_wherever_it_is(mu: float, sigma: float) -> None:
    controller, rates = fitted(lambda rate: float(LogNormal(mu, sigma).distance(rate)))
    assert (controller.mu, controller.sigma) == pytest.approx((mu, sigma), abs=1e-6)
    assert len(rates) == len(set(rates)) <= 25


def test_measurements_enclose_the_bounds() -> None:
    model = LogNormal(-4.0, 2.5)
    _, rates = fitted(lambda rate: float(model.distance(rate)))
    distances = [float(model.distance(rate)) for rate in rates]
    assert min(distances) <= 0.25 and max(distances) >= 0.75


def test_a_steep_transition_is_halved_until_points_lie_within() -> None:
    model = LogNormal(-4.03, 0.02)
    controller, rates = fitted(lambda rate: round(float(model.distance(rate)), 3))
    assert controller.mu == pytest.approx(-4.03, abs=0.01)
    assert controller.sigma == pytest.approx(0.02, rel=0.5)
    assert len(rates) <= 25


def test_a_sharp_edge_keeps_sigma_and_centres_mu() -> None:
    controller, rates = fitted(lambda rate: float(rate > 0.0123))
    assert controller.mu == pytest.approx(math.log(0.0123), abs=1e-3)
    assert controller.sigma == 1.0 and len(rates) <= 30


def test_the_grid_serves_where_some_sites_never_change() -> None:
    model = LogNormal(-3.0, 1.0)
    controller, rates = fitted(lambda rate: 0.4 * float(model.distance(rate)))
    grid = np.array(ActCoolOptions().initial_rates)
    assert all(np.isclose(rates, rate).any() for rate in grid)
    assert float(model.distance(controller.rate or 0.0)) > 0.5
    assert len(rates) <= 25 + 20


def test_the_upper_bound_is_given_up_on_a_plateau() -> None:
    model = LogNormal(-3.0, 1.0)
    controller, rates = fitted(lambda rate: 0.7 * float(model.distance(rate)))
    assert len(rates) <= 25
    assert controller.mu == pytest.approx(-2.5, abs=1.0)


def test_the_search_stops_where_it_is_told() -> None:
    _, rates = fitted(lambda rate: float(LogNormal(-3.0, 40.0).distance(rate)), max_iterations=3)
    assert len(rates) <= 2 + 3 + 25 + 6 + 12


@pytest.mark.parametrize(
    ("measure", "sentence"),
    [
        (
            lambda rate: 0.0,
            r"D = 0 at all of .* rates: no step .* behind a frozen backbone",
        ),
        (lambda rate: 1.0, r"D = 1 at all of .* rates: .* draw the same random numbers"),
        (
            lambda rate: float(rate < 1e-2),
            r"D = 0 or 1 at all of .* rates; see that the step .* samples are more than one",
        ),
    ],
)
def test_a_network_that_no_rate_changes_is_refused(measure: Measure, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        fitted(measure, samples=1)


def test_a_refit_that_finds_nothing_keeps_the_model() -> None:
    model = LogNormal(-3.0, 1.0)
    controller, _ = fitted(lambda rate: float(model.distance(rate)))
    controller.observe(1.0)
    assert controller.fit_due
    mu, sigma = controller.mu, controller.sigma
    controller.next_rate(0.5, lambda rate: 1.0)
    assert (controller.mu, controller.sigma, controller.n_fits) == (mu, sigma, 2)


def test_distances_that_do_not_grow_keep_sigma() -> None:
    model = LogNormal(-3.0, 1.0)
    controller, _ = fitted(lambda rate: float(model.distance(rate)))
    controller.observe(1.0)
    controller.next_rate(0.5, lambda rate: 1.0 - float(model.distance(rate)))
    assert controller.sigma == pytest.approx(1.0) and math.isfinite(controller.mu)
