"""How many activation patterns differ between two states of an MLP."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reluflow.errors import OptionError
from reluflow.temperature import CrossingCurves, StepDistance, curves_along, distance_of
from reluflow_sklearn.network import check_relu, pre_activations


def step_distance(before: Any, after: Any, x: Any) -> StepDistance:
    """Return D of every hidden layer between two states, such as before and after `partial_fit`.

    Args:
        before: a fitted MLPClassifier or MLPRegressor with relu, or a pipeline that ends with one.
        after: the same network with other weights.
        x: `(samples, features)` inputs.

    Returns:
        D by site: "hidden_1", "hidden_2", ...

    Raises:
        ModelError: a model is no fitted MLP with relu.
        DataError: the two do not have the same layers.

    Example:
        >>> import copy
        >>> from reluflow_sklearn import ActCoolMLPRegressor
        >>> x = np.random.default_rng(0).normal(size=(64, 4))
        >>> mlp = ActCoolMLPRegressor(hidden_layer_sizes=(16,)).partial_fit(x, x[:, 0])
        >>> before = copy.deepcopy(mlp)
        >>> step = step_distance(before, mlp.partial_fit(x, x[:, 0]), x)
        >>> [site.name for site in step.sites], 0 < step.mean_distance < 1
        (['hidden_1'], True)
        >>> curves = step_curves(before, mlp, x, rate=mlp.learning_rates_[-1])
        >>> float(curves.distance(mlp.learning_rates_[-1])) > float(curves.distance(1e-6))
        True

    Reference: docs/spec.md, section 5; thesis, equation 3.15.
    """
    return distance_of(_values(before, x), _values(after, x))


def step_curves(before: Any, after: Any, x: Any, rate: float) -> CrossingCurves:
    """Return D of every hidden layer at any rate, to first order in what one step changed.

    Args:
        before: as for `step_distance`.
        after: as for `step_distance`.
        x: as for `step_distance`.
        rate: learning rate of the step between them.

    Raises:
        ModelError: as for `step_distance`.
        DataError: as for `step_distance`.
        OptionError: a rate that is not above 0 and finite.

    Example:
        >>> from sklearn.neural_network import MLPRegressor
        >>> x = np.random.default_rng(0).normal(size=(64, 4))
        >>> mlp = MLPRegressor(hidden_layer_sizes=(16,)).partial_fit(x, x[:, 0])
        >>> step_curves(mlp, mlp, x, rate=0.1)["hidden_1"].rate(1.0)  # no step, no change
        inf

    Source: docs/spec.md, section 5 (crossing rates).
    """
    if not 0.0 < rate < math.inf:
        raise OptionError(f"rate is {rate}; give that of the step, above 0 and finite.")
    return curves_along(_values(before, x), [(rate, _values(after, x))])


def _values(model: Any, x: Any) -> dict[str, np.ndarray]:
    mlp = model
    if hasattr(model, "steps"):
        mlp = model.steps[-1][1]
        x = model[:-1].transform(x) if len(model.steps) > 1 else x
    check_relu(mlp)
    return pre_activations(x, mlp.coefs_, mlp.intercepts_)
