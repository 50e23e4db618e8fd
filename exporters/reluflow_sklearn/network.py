"""The pre-activations of an MLP in numpy, and the step that its optimiser makes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot

from reluflow.errors import ModelError

Arrays = Sequence[np.ndarray]
Values = dict[str, np.ndarray]


def pre_activations(x: Any, coefs: Arrays, intercepts: Arrays) -> Values:
    """Return the pre-activations of the hidden layers, computed as scikit-learn does.

    Args:
        x: `(samples, features)`, dense or sparse.
        coefs: weights of all layers, `(inputs, units)` each.
        intercepts: biases of all layers, `(units,)` each.

    Returns:
        "hidden_1", "hidden_2", ... -> `(samples, units)`.

    Example:
        >>> ones = np.ones((2, 2))
        >>> found = pre_activations(np.eye(2), [ones, ones], [np.zeros(2), np.zeros(2)])
        >>> {name: values.tolist() for name, values in found.items()}
        {'hidden_1': [[1.0, 1.0], [1.0, 1.0]]}
    """
    found = {}
    for number, (weights, bias) in enumerate(zip(coefs[:-1], intercepts[:-1], strict=True), 1):
        values = safe_sparse_dot(x, weights)
        values += bias
        found[f"hidden_{number}"] = values
        x = np.maximum(values, 0)
    return found


def check_relu(mlp: Any) -> None:
    """Refuse an MLP without switches.

    Args:
        mlp: a fitted MLPClassifier or MLPRegressor, or another estimator.

    Raises:
        ModelError: it is not fitted, not an MLP, or its activation is not relu.

    Example:
        >>> from sklearn.neural_network import MLPClassifier
        >>> check_relu(MLPClassifier(activation="tanh", max_iter=1))
        Traceback (most recent call last):
        ...
        reluflow.errors.ModelError: MLPClassifier has the activation 'tanh'; give one with 'relu'.
    """
    name, activation = type(mlp).__name__, getattr(mlp, "activation", None)
    if activation is None:
        raise ModelError(f"{name} is no MLP; give an MLPClassifier or an MLPRegressor.")
    if activation != "relu":
        raise ModelError(f"{name} has the activation {activation!r}; give one with 'relu'.")
    if not hasattr(mlp, "coefs_"):
        raise ModelError(f"{name} has no weights; fit it first.")


def use_rate(optimizer: Any, rate: float) -> None:
    """Set the rate of the next step of an optimiser of `MLPClassifier`.

    The velocities of "sgd" hold the rates of earlier steps. They are scaled with the rate, so that
    a whole step stays proportional to it, as in optimisers that apply the rate to the velocity.

    Args:
        optimizer: of an MLP with the solver "sgd" or "adam".
        rate: above 0.

    Example:
        >>> from types import SimpleNamespace
        >>> sgd = SimpleNamespace(learning_rate=0.1, velocities=[np.array([3.0])])
        >>> use_rate(sgd, 0.2)
        >>> sgd.learning_rate_init, sgd.velocities
        (0.2, [array([6.])])
    """
    if hasattr(optimizer, "velocities"):
        factor = rate / optimizer.learning_rate
        if factor != 1.0:
            # In the type of the weights: a float64 factor would widen float32 velocities.
            optimizer.velocities = [v * v.dtype.type(factor) for v in optimizer.velocities]
    optimizer.learning_rate = optimizer.learning_rate_init = rate


def step_of(optimizer: Any, gradients: Arrays, rate: float) -> list[np.ndarray]:
    """Return what a step of some rate would add to the weights; the optimiser stays as it is.

    Args:
        optimizer: of an MLP with the solver "sgd" or "adam".
        gradients: of its weights, in their order.
        rate: of the step.

    Returns:
        One array for each of the weights.

    Example:
        >>> from sklearn.neural_network import MLPRegressor
        >>> mlp = MLPRegressor(hidden_layer_sizes=(2,), solver="sgd", momentum=0.0)
        >>> mlp = mlp.partial_fit(np.eye(2), [0.0, 1.0])
        >>> ones = [np.ones_like(w) for w in (*mlp.coefs_, *mlp.intercepts_)]
        >>> step_of(mlp._optimizer, ones, 0.5)[-1]
        array([-0.5])
    """
    hypothetical = copy.copy(optimizer)  # a step replaces its lists of moments, nothing in them
    use_rate(hypothetical, rate)
    # The rate of the next step makes its type, not that of the weights.
    return [
        np.asarray(update, gradient.dtype)
        for update, gradient in zip(
            hypothetical._get_updates(list(gradients)), gradients, strict=True
        )
    ]


def norm(arrays: Arrays) -> float:
    """Return the Euclidean norm of some arrays together.

    Args:
        arrays: of any shape.

    Example:
        >>> norm([np.array([3.0]), np.array([[4.0]])])
        5.0
    """
    return float(np.sqrt(sum(float(np.vdot(array, array)) for array in arrays)))
