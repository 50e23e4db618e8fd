"""MLPClassifier and MLPRegressor of scikit-learn, at a temperature instead of a rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from reluflow_sklearn.steering import Steered


class ActCoolMLPClassifier(Steered, MLPClassifier):  # type: ignore[misc]
    """An `MLPClassifier` whose rate follows how many activation patterns a step changes.

    Before every step it sets the rate at which, by the curves of its latest probes, the target
    share of activation patterns of the hidden layers changes (ActCool). Everything else is
    scikit-learn's: pipelines, searches, `partial_fit`, sample weights, pickles. With the solver
    "sgd" velocities are scaled with the rate.

    Args:
        hidden_layer_sizes: units of each hidden layer.
        start_temperature: of the schedule, in bits; None: by the widths of the hidden layers
            (`reluflow.temperature.start_for_widths`), and in a classifier by the number of steps
            (`start_for_steps`).
        gamma: exponent of `reluflow.temperature.PowerSchedule`; the higher, the longer the
            training stays hot.
        total_steps: number of optimiser steps of a training by `partial_fit`; None: it stays at
            the start temperature. `fit` knows how many it makes.
        solver: "adam" or "sgd".
        alpha: as in MLPClassifier, like all that follow but for those explained.
        batch_size: samples of a step.
        learning_rate_init: where the search for the first rate begins; the rates of the training
            do not depend on it.
        max_iter: passes over the data in `fit`. All are made: the schedule ends with the last.
        shuffle: whether each pass has another order.
        random_state: of weights, order and validation data.
        tol: the improvement that `n_iter_no_change` waits for.
        verbose: whether the loss of each pass is printed.
        warm_start: whether `fit` begins with the weights it has; the schedule starts anew.
        momentum: of "sgd".
        nesterovs_momentum: whether "sgd" looks ahead. Off by default, other than in
            MLPClassifier: it counts the latest gradient nearly twice, which ends hot trainings of
            little data.
        early_stopping: whether the weights with the best validation score are kept.
        validation_fraction: of the data, with `early_stopping`.
        beta_1: of "adam".
        beta_2: of "adam".
        epsilon: of "adam".
        n_iter_no_change: passes without an improvement after which `fit` ends before it has
            cooled; by default it does not.

    Attributes:
        controller_: the `CrossingCool` that decides.
        learning_rates_: the rate of every step so far.

    Raises:
        OptionError: while fitting: the solver is "lbfgs", or a temperature makes no sense.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 4))
        >>> y = np.array(["in", "out"])[(np.hypot(*x.T[:2]) > 1.2).astype(int)]
        >>> mlp = ActCoolMLPClassifier((32,), max_iter=5, batch_size=50, random_state=0).fit(x, y)
        >>> len(mlp.learning_rates_), mlp.learning_rates_[-1] < max(mlp.learning_rates_)
        (20, True)

    Reference: docs/spec.md, section 6; docs/scikit-learn.md.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        start_temperature: float | None = None,
        gamma: float = 2.0,
        total_steps: int | None = None,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = np.inf,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
        )
        self.start_temperature = start_temperature
        self.gamma = gamma
        self.total_steps = total_steps


class ActCoolMLPRegressor(Steered, MLPRegressor):  # type: ignore[misc]
    """An `MLPRegressor` whose rate follows how many activation patterns a step changes.

    Args:
        hidden_layer_sizes: as in `ActCoolMLPClassifier`, like all but `loss`.
        loss: "squared_error" or "poisson".
        start_temperature: see there.
        gamma: see there.
        total_steps: see there.
        solver: see there.
        alpha: see there.
        batch_size: see there.
        learning_rate_init: see there.
        max_iter: see there.
        shuffle: see there.
        random_state: see there.
        tol: see there.
        verbose: see there.
        warm_start: see there.
        momentum: see there.
        nesterovs_momentum: see there.
        early_stopping: see there.
        validation_fraction: see there.
        beta_1: see there.
        beta_2: see there.
        epsilon: see there.
        n_iter_no_change: see there.

    Attributes:
        controller_: the `CrossingCool` that decides.
        learning_rates_: the rate of every step so far.

    Raises:
        OptionError: while fitting: the solver is "lbfgs", or a temperature makes no sense.

    Example:
        >>> x = np.linspace(-2.0, 2.0, 200)[:, None]
        >>> mlp = ActCoolMLPRegressor((64,), max_iter=5, batch_size=50, random_state=0)
        >>> mlp.fit(x, np.sin(x[:, 0])).controller_.steps
        20

    Reference: docs/spec.md, section 6; docs/scikit-learn.md.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        loss: str = "squared_error",
        start_temperature: float | None = None,
        gamma: float = 2.0,
        total_steps: int | None = None,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = np.inf,
    ) -> None:
        super().__init__(
            loss,
            hidden_layer_sizes,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
        )
        self.start_temperature = start_temperature
        self.gamma = gamma
        self.total_steps = total_steps
