"""How many activation patterns differ between two states of an MLP."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reluflow.errors import DataError, OptionError
from reluflow.temperature import CrossingCurves, SiteDistance, StepDistance, curves_along
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
        >>> mlp = ActCoolMLPRegressor((16,), random_state=0).partial_fit(x, x[:, 0])
        >>> before = copy.deepcopy(mlp)
        >>> step = step_distance(before, mlp.partial_fit(x, x[:, 0]), x)
        >>> [site.name for site in step.sites], 0 < step.mean_distance < 1
        (['hidden_1'], True)
        >>> curves = step_curves(before, mlp, x, rate=mlp.learning_rates_[-1])
        >>> float(curves.distance(mlp.learning_rates_[-1])) > float(curves.distance(1e-6))
        True

    Reference: docs/spec.md, section 5; thesis, equation 3.15.
    """
    first, second = _pair(before, after, x)
    sites = []
    for name, one in first.items():
        other = second[name]
        changed = int(np.count_nonzero(np.any((one > 0) != (other > 0), axis=1)))
        finite = (int(np.count_nonzero(~np.isfinite(values))) for values in (one, other))
        nans = int(np.count_nonzero(np.isnan(other)))
        sites.append(
            SiteDistance(
                name, changed, len(one), units=one.shape[1], nans=nans, nonfinite=sum(finite)
            )
        )
    return StepDistance(tuple(sites))


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

    Source: docs/spec.md, section 5 (crossing rates).
    """
    if not 0.0 < rate < math.inf:
        raise OptionError(f"rate is {rate}; give that of the step, above 0 and finite.")
    first, second = _pair(before, after, x)
    return curves_along(first, [(rate, second)])


def _pair(before: Any, after: Any, x: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    one, other = _values(before, x), _values(after, x)
    shapes = [[values.shape for values in each.values()] for each in (one, other)]
    if shapes[0] != shapes[1]:
        raise DataError(
            f"the models have pre-activations of the shapes {shapes[0]} and {shapes[1]}; give two "
            "states of one network."
        )
    return one, other


def _values(model: Any, x: Any) -> dict[str, np.ndarray]:
    mlp = model
    if hasattr(model, "steps"):
        mlp = model.steps[-1][1]
        x = model[:-1].transform(x) if len(model.steps) > 1 else x
    check_relu(mlp)
    return pre_activations(x, mlp.coefs_, mlp.intercepts_)
