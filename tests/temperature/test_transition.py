import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.errors import DataError
from reluflow.temperature import (
    ArctanTransition,
    ErfTransition,
    LogNormal,
    Transition,
    transition_from_dict,
)
from reluflow.temperature.transition import normal_score

MODELS = [
    LogNormal(-2.0, 0.7),
    LogNormal(5.0, 3.0),
    ErfTransition(64.0, 0.3),
    ErfTransition(1500.0, 20.0),
    ArctanTransition(64.0, 0.3),
    ArctanTransition(512.0, 5.0),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=repr)


@each_model
def test_distance_and_rate_are_inverse(model: Transition) -> None:
    wanted = np.concatenate([np.geomspace(1e-12, 0.5, 40), 1 - np.geomspace(1e-6, 0.5, 40)])
    np.testing.assert_allclose(model.distance(model.rate(wanted)), wanted, rtol=1e-9)


@each_model
def test_temperature_and_rate_at_are_inverse(model: Transition) -> None:
    bits = np.array([1e-9, 1e-3, 0.1, 1.0, 6.0, 20.0, 40.0, 60.0])
    np.testing.assert_allclose(model.temperature(model.rate_at(bits)), bits, rtol=1e-7)


@each_model
def test_distance_grows_from_nothing(model: Transition) -> None:
    rates = np.concatenate([[0.0], np.geomspace(1e-8, 1e6, 200)])
    distances = model.distance(rates)
    assert distances[0] == 0 and np.all(np.diff(distances) >= 0)
    assert math.copysign(1, float(model.distance(0.0))) == 1
    assert model.rate(0.0) == 0 and model.rate_at(0.0) == 0
    assert model.distance(rates.reshape(3, 67)).shape == (3, 67)


def test_log_normal_is_the_formula_of_the_thesis() -> None:
    eta, mu, sigma = 0.03, -2.5, 1.3
    printed = 0.5 * (1 + math.erf((math.log(eta) - mu) / (sigma * math.sqrt(2))))
    assert LogNormal(mu, sigma).distance(eta) == pytest.approx(printed, rel=1e-14)


def test_per_unit_models_are_the_formulas_of_the_thesis() -> None:
    eta, mu, sigma = 0.03, 40.0, 1.3
    erf = 1 - (1 - 0.5 * math.erf(sigma / math.sqrt(2) * eta)) ** mu
    arctan = 1 - (1 - math.atan(sigma * eta) / math.pi) ** mu
    assert ErfTransition(mu, sigma).distance(eta) == pytest.approx(erf, rel=1e-12)
    assert ArctanTransition(mu, sigma).distance(eta) == pytest.approx(arctan, rel=1e-12)


def test_log_normal_is_exact_where_double_precision_of_d_ends() -> None:
    model = LogNormal(0.0, 1.0)
    assert model.distance(math.exp(-30.0)) == pytest.approx(4.906713927148187e-198, rel=1e-10)
    assert math.log(model.rate_at(300.0)) == pytest.approx(20.19, abs=0.02)
    assert model.rate(1.0) == math.inf


def test_per_unit_models_never_reach_all_units_bits() -> None:
    for model in (ErfTransition(3.0, 1.0), ArctanTransition(3.0, 1.0)):
        assert model.temperature(1e300) == pytest.approx(3.0)
        assert model.rate_at(3.5) == math.inf
        assert model.rate(1 - 2**-3.5) == math.inf


@pytest.mark.parametrize("bits", [0.0, 1e-9, 0.3, 1.0, 2.0, 60.0])
def test_the_score_is_that_of_the_model(bits: float) -> None:
    rate = float(LogNormal(0.5, 2.0).rate_at(bits))
    assert math.exp(0.5 + 2.0 * normal_score(bits)) == pytest.approx(rate, rel=1e-12)


@given(st.floats(-20, 20), st.floats(0.05, 10))
def test_half_of_the_patterns_change_at_exp_mu(mu: float, sigma: float) -> None:
    model = LogNormal(mu, sigma)
    assert float(model.rate(0.5)) == pytest.approx(math.exp(mu))
    assert float(model.rate_at(1.0)) == pytest.approx(math.exp(mu))


@each_model
def test_models_survive_json_fields(model: Transition) -> None:
    assert transition_from_dict(model.to_dict()) == model


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(DataError, match=r"sigma is -1.0; give a finite number above 0"):
        LogNormal(0.0, -1.0)
    with pytest.raises(DataError, match="mu is nan; give a finite number"):
        LogNormal(math.nan, 1.0)
    with pytest.raises(DataError, match=r"mu is -3.0; give a finite number above 0"):
        ArctanTransition(-3.0, 1.0)
    with pytest.raises(DataError, match="model is 'logistic'; accepted are log-normal, erf"):
        transition_from_dict({"name": "logistic", "mu": 0, "sigma": 1})
    with pytest.raises(DataError, match="give mu and sigma too"):
        transition_from_dict({"name": "erf", "mu": 1.0})


@each_model
def test_bad_arguments_are_refused(model: Transition) -> None:
    with pytest.raises(DataError, match=r"distance is 1.5; give fractions"):
        model.rate(1.5)
    with pytest.raises(DataError, match=r"temperature is -1.0; give bits"):
        model.rate_at(-1.0)
    with pytest.raises(DataError, match=r"rate is \[1.0, nan\]; give learning rates"):
        model.distance([1.0, math.nan])
