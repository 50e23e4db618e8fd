import json

import numpy as np
import pytest

from reluflow.errors import DataError, OptionError
from reluflow.temperature import ArctanTransition, LogNormal, default_rates, sweep


def two_sites(rate: float) -> dict[str, float]:
    cold, hot = LogNormal(0.0, 1.0), LogNormal(-2.0, 1.0)
    return {"cold": float(cold.distance(rate)), "hot": float(hot.distance(rate))}


def test_the_grid_is_that_of_the_thesis() -> None:
    rates = default_rates()
    assert rates.shape == (50,) and (rates[0], rates[-1]) == pytest.approx((1e-4, 1e2))


def test_a_sweep_knows_sites_and_their_mean() -> None:
    found = sweep(two_sites)
    assert found.sites == ("cold", "hot") and found.distances.shape == (50, 2)
    np.testing.assert_allclose(found.mean, found.distances.sum(axis=1) / 2)
    assert found.fit(site="cold").model.mu == pytest.approx(0.0, abs=1e-6)
    assert found.fit(site="hot").model.mu == pytest.approx(-2.0, abs=1e-6)
    assert -2 < found.fit().model.mu < 0
    assert [fit.model.name for fit in found.fits] == ["log-normal", "erf", "arctan"]
    assert all(fit.used == 50 for fit in found.fits)


def test_the_right_model_has_the_least_error() -> None:
    found = sweep(lambda rate: float(ArctanTransition(30.0, 2.0).distance(rate)))
    assert min(found.fits, key=lambda fit: fit.rmse).model.name == "arctan"


def test_a_sweep_without_a_transition_has_no_fits() -> None:
    found = sweep(lambda rate: 0.0, [0.1, 1.0])
    assert found.fits == () and found.sites == ("mean",)


def test_a_sweep_goes_to_json() -> None:
    told = json.loads(json.dumps(sweep(two_sites, [0.1, 0.5, 2.0]).to_dict(), allow_nan=False))
    assert told["sites"] == ["cold", "hot"] and len(told["mean"]) == 3


def test_bad_sweeps_are_refused() -> None:
    with pytest.raises(OptionError, match=r"rates are \[1.0, 0.5\]; give increasing rates"):
        sweep(two_sites, [1.0, 0.5])
    with pytest.raises(OptionError, match=r"rates are 1 from 0.0001 to 100.0; give two at least"):
        default_rates(1)
    with pytest.raises(DataError, match=r"measure\(0.1\) is 2.0; a distance is a fraction"):
        sweep(lambda rate: 2.0, [0.1])
    with pytest.raises(DataError, match=r"measure\(0.1\) has no site"):
        sweep(lambda rate: {}, [0.1])
    with pytest.raises(DataError, match=r"measure\(2\) has sites \['b'\] after \['a'\]"):
        sweep(lambda rate: {"a" if rate < 1 else "b": 0.5}, [0.1, 2.0])
    found = sweep(two_sites, [0.1, 1.0])
    with pytest.raises(OptionError, match="site is 'warm'; accepted are cold, hot"):
        found.fit(site="warm")
