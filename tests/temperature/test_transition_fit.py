import json
import math

import numpy as np
import pytest

from reluflow.errors import DataError, OptionError
from reluflow.temperature import (
    ArctanTransition,
    ErfTransition,
    LogNormal,
    Transition,
    fit_transition,
)

RATES = np.geomspace(1e-4, 1e2, 50)
CASES = [
    (LogNormal(-2.0, 0.7), "log-rate"),
    (LogNormal(-2.0, 0.7), "distance"),
    (LogNormal(1.0, 3.0), "distance"),
    (ErfTransition(64.0, 3.0), "distance"),
    (ErfTransition(2.5, 0.3), "distance"),
    (ArctanTransition(64.0, 3.0), "distance"),
    (ArctanTransition(1000.0, 0.2), "distance"),
]


@pytest.mark.parametrize(("model", "space"), CASES, ids=repr)
def test_each_model_is_found_again(model: Transition, space: str) -> None:
    fit = fit_transition(RATES, model.distance(RATES), model.name, space=space)
    assert (fit.model.mu, fit.model.sigma) == pytest.approx((model.mu, model.sigma), rel=1e-4)
    assert fit.rmse < 1e-6


@pytest.mark.parametrize("model", [LogNormal(-1.0, 1.0), ArctanTransition(3.0, 1.0)], ids=repr)
def test_standard_errors_tell_the_scatter_of_fits(model: Transition) -> None:
    random = np.random.default_rng(3)
    noise = 0.01
    fits = [
        fit_transition(
            RATES,
            np.clip(model.distance(RATES) + random.normal(0, noise, RATES.size), 0, 1),
            model.name,
            space="distance",
        )
        for _ in range(60)
    ]
    scatter = np.std([[fit.model.mu, fit.model.sigma] for fit in fits], axis=0)
    stated = np.mean([fit.standard_errors for fit in fits], axis=0)
    # Clipping at 0 and 1 takes some of the noise away, so the scatter may be the smaller one.
    assert np.all(scatter < 1.4 * stated) and np.all(scatter > 0.5 * stated)


def test_standard_errors_in_log_rates_are_those_of_a_straight_line() -> None:
    random = np.random.default_rng(0)
    z = np.linspace(-1.5, 1.5, 40)
    model = LogNormal(-3.0, 0.8)
    rates = np.exp(-3.0 + 0.8 * z + random.normal(0, 0.05, z.size))
    fit = fit_transition(rates, LogNormal(0.0, 1.0).distance(np.exp(z)))
    assert fit.standard_errors[0] == pytest.approx(0.05 / math.sqrt(40), rel=0.3)
    assert fit.standard_errors[1] == pytest.approx(0.05 / math.sqrt(np.sum(z**2)), rel=0.3)
    assert fit.model.mu == pytest.approx(model.mu, abs=0.03)


def test_extremes_are_left_out_in_log_rates_and_used_in_distances() -> None:
    model = LogNormal(0.0, 0.3)
    rates = np.array([1e-8, 0.8, 1.0, 1.5, 1e8])
    distances = model.distance(rates)
    assert fit_transition(rates, distances).used == 3
    assert fit_transition(rates, distances, space="distance").used == 5
    holed = np.where(rates == 1.0, np.nan, distances)
    assert fit_transition(rates, holed).used == 2
    assert fit_transition(rates, holed).standard_errors == (math.inf, math.inf)


def test_a_fit_goes_to_json() -> None:
    fit = fit_transition([0.1, 1.0], [0.2, 0.8])
    told = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert told["standard_errors"] == [None, None]
    assert told["model"]["name"] == "log-normal" and told["used"] == 2


@pytest.mark.parametrize("model", ["log-normal", "erf", "arctan"])
def test_too_few_points_are_refused(model: str) -> None:
    with pytest.raises(DataError, match="1 of 4 points have D strictly between 0 and 1"):
        fit_transition([0.1, 1.0, 2.0, 3.0], [0.0, 0.4, 1.0, 1.0], model)
    with pytest.raises(DataError, match=r"2 of 2 points .* wants two at different rates"):
        fit_transition([0.1, 0.1], [0.3, 0.4], model)


def test_bad_arguments_of_a_fit_are_refused() -> None:
    with pytest.raises(DataError, match="distances do not grow with the rate"):
        fit_transition([0.1, 1.0], [0.8, 0.2])
    with pytest.raises(DataError, match="distances do not grow with the rate"):
        fit_transition([0.1, 1.0], [0.3, 0.3])
    with pytest.raises(OptionError, match="model is 'logit'; accepted are log-normal"):
        fit_transition([0.1], [0.1], "logit")
    with pytest.raises(OptionError, match="space is 'log-rate' for model 'erf'"):
        fit_transition([0.1], [0.1], "erf", space="log-rate")
    with pytest.raises(DataError, match=r"shapes \(2,\) and \(1,\)"):
        fit_transition([0.1, 1.0], [0.1])
    with pytest.raises(DataError, match="rates hold a value that is not above 0"):
        fit_transition([0.0, 1.0], [0.1, 0.2])
    with pytest.raises(DataError, match="distances hold a value outside"):
        fit_transition([0.1, 1.0], [0.1, 1.2])
