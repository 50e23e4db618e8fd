"""MLPs of scikit-learn whose rate follows what a step changes."""

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from reluflow.errors import ModelError, OptionError
from reluflow.temperature import CoolingWarning
from reluflow_sklearn import (
    ActCoolMLPClassifier,
    ActCoolMLPRegressor,
    step_curves,
    step_distance,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient vanishes.*:UserWarning")
DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS /= 16.0
OWN = [
    ActCoolMLPClassifier(max_iter=60),
    ActCoolMLPRegressor(max_iter=60, solver="sgd"),
]


@pytest.mark.parametrize("own", OWN, ids=str)
def test_scikit_learns_own_checks_pass(own: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # data without information are among the checks
        checks = list(estimator_checks_generator(own, mark=None))
        for estimator, check in checks:
            try:
                check(estimator)
            except pytest.skip.Exception:  # what needs pandas
                continue
            except Exception as error:
                if type(error).__name__ != "SkipTest":
                    raise AssertionError(f"{check}: {error}") from error
    assert len(checks) > 40


def test_it_learns_whatever_the_first_rate_is() -> None:
    scores, rates = [], []
    for first in (1e-6, 1e-3, 1.0):
        mlp = ActCoolMLPClassifier(
            (64, 32), max_iter=20, batch_size=64, random_state=0, learning_rate_init=first
        ).fit(DIGITS[:1300], LABELS[:1300])
        scores.append(mlp.score(DIGITS[1300:], LABELS[1300:]))
        rates.append(mlp.learning_rates_)
    assert min(scores) > 0.9
    assert len(rates[0]) == 20 * 21
    assert np.allclose(rates[0][0], [rate[0] for rate in rates], rtol=0.5)
    assert rates[0][-1] < 0.1 * max(rates[0])


def steered(solver: str, **settings: Any) -> ActCoolMLPClassifier:
    return ActCoolMLPClassifier(
        (64, 32), solver=solver, batch_size=128, shuffle=False, random_state=1, **settings
    )


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_probe_sees_the_step_that_is_then_made(solver: str) -> None:
    """The curves that the controller gets are those between the weights before and after."""
    batch = DIGITS[:128], LABELS[:128]
    mlp = steered(solver, total_steps=100, start_temperature=0.5)
    mlp.partial_fit(*batch, classes=np.arange(10))
    for _ in range(3):
        before = copy.deepcopy(mlp)
        seen: list[Any] = []
        mlp.controller_.observe = lambda curves, seen=seen, **norms: seen.append((curves, norms))  # type: ignore[method-assign]
        mlp.controller_._next_probe = mlp.controller_.steps + 1
        mlp.partial_fit(*batch)
        ((curves, norms),) = seen
        rate = mlp.learning_rates_[-1]
        wanted = step_curves(before, mlp, batch[0], rate)
        assert list(curves) == ["hidden_1", "hidden_2"]
        for name, curve in curves.items():
            assert np.array_equal(curve.counts, wanted[name].counts)
        assert step_distance(before, mlp, batch[0]).mean_distance > 0
        assert norms["gradient_norm"] > 0
        assert np.isclose(
            norms["weight_norm"] ** 2,
            sum(float((w**2).sum()) for w in (*before.coefs_, *before.intercepts_)),
        )


def test_velocities_follow_the_rate() -> None:
    """With momentum alone a step is as long as the rate says, in the direction of the last."""
    mlp = steered("sgd", momentum=0.5, nesterovs_momentum=False, alpha=0.0)
    mlp.max_iter = 1
    mlp.fit(DIGITS[:128], LABELS[:128])
    from reluflow_sklearn.network import step_of

    none = [np.zeros_like(w) for w in (*mlp.coefs_, *mlp.intercepts_)]
    rate = mlp.learning_rates_[-1]
    one, ten = step_of(mlp._optimizer, none, rate), step_of(mlp._optimizer, none, 10 * rate)
    for a, b in zip(one, ten, strict=True):
        assert np.allclose(10 * a, b)
    assert np.any(one[0])


def test_partial_fit_cools_over_the_steps_it_is_told_and_a_pickle_goes_on() -> None:
    mlp = steered("adam", total_steps=60)
    for step in range(30):
        part = slice(40 * step, 40 * step + 128)
        mlp.partial_fit(DIGITS[part], LABELS[part], classes=np.arange(10))
    again = pickle.loads(pickle.dumps(mlp))
    for each in (mlp, again):
        for step in range(30):
            part = slice(40 * step, 40 * step + 128)
            each.partial_fit(DIGITS[part], LABELS[part])
    assert mlp.learning_rates_ == again.learning_rates_
    assert len(mlp.learning_rates_) == 60
    assert mlp.controller_.wanted_temperature(59 / 60) < 0.1
    assert mlp.learning_rates_[-1] < 0.2 * max(mlp.learning_rates_)


def test_it_works_in_a_search_over_a_pipeline() -> None:
    pipeline = make_pipeline(
        StandardScaler(), ActCoolMLPClassifier((32,), max_iter=8, batch_size=32, random_state=0)
    )
    search = GridSearchCV(
        pipeline, {"actcoolmlpclassifier__start_temperature": [0.5, 1.0]}, cv=2
    ).fit(DIGITS[:600], LABELS[:600])
    assert search.best_score_ > 0.7
    copied = clone(search.best_estimator_[-1])
    assert copied.start_temperature in (0.5, 1.0)
    assert not hasattr(copied, "controller_")


def test_float32_stays_float32() -> None:
    for solver in ("adam", "sgd"):
        mlp = steered(solver, max_iter=2).fit(DIGITS[:300].astype(np.float32), LABELS[:300])
        assert {w.dtype for w in (*mlp.coefs_, *mlp.intercepts_)} == {np.dtype(np.float32)}


def test_what_cannot_be_steered_is_told() -> None:
    with pytest.raises(OptionError, match="lbfgs"):
        ActCoolMLPClassifier(solver="lbfgs").fit(DIGITS, LABELS)
    with pytest.raises(OptionError, match="start"):
        ActCoolMLPClassifier(start_temperature=-1.0).fit(DIGITS, LABELS)


def test_where_no_step_changes_a_pattern_the_first_rate_stays_and_a_warning_tells() -> None:
    mlp = ActCoolMLPRegressor(
        (8,), solver="sgd", max_iter=3, alpha=0.0, warm_start=True, learning_rate_init=0.02
    ).fit(DIGITS[:100], LABELS[:100])
    mlp.coefs_[1][:] = 0.0  # no gradient reaches the hidden layer before this is another
    with pytest.warns(CoolingWarning, match="no step changes a pattern"):
        mlp.fit(DIGITS[:100], LABELS[:100])
    assert mlp.learning_rates_[0] == 0.02
    assert mlp.controller_.curves is not None
    assert mlp.controller_.steps == 2


def test_bad_pairs_are_refused() -> None:
    mlp = steered("adam", max_iter=1).fit(DIGITS, LABELS)
    other = ActCoolMLPClassifier((16,), max_iter=1).fit(DIGITS, LABELS)
    from sklearn.linear_model import LinearRegression

    from reluflow.errors import DataError

    with pytest.raises(DataError, match="states of one network"):
        step_distance(mlp, other, DIGITS)
    with pytest.raises(ModelError, match="is no MLP"):
        step_distance(mlp, LinearRegression(), DIGITS)
    with pytest.raises(ModelError, match="fit it first"):
        step_distance(clone(mlp), mlp, DIGITS)
    with pytest.raises(OptionError, match="rate is 0"):
        step_curves(mlp, mlp, DIGITS, 0)
