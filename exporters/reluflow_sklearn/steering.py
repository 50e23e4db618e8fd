"""What makes an MLP of scikit-learn set its rate before every step."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from reluflow.errors import DataError, OptionError
from reluflow.temperature import (
    CoolingWarning,
    CrossingCool,
    CrossingCurves,
    PowerSchedule,
    curves_along,
    start_for_steps,
    start_for_widths,
)
from reluflow_sklearn.network import norm, pre_activations, step_of, use_rate

_AUTO_BATCH = 200
"""Greatest batch that scikit-learn takes where its size is "auto"."""


class Steered:
    """Steers the steps of an MLP; stands before the MLP among the bases of a class.

    It works where scikit-learn has the gradients of a batch and has not stepped yet: it computes
    the step that the optimiser will take, what it changes, and from that the rate.

    Example:
        >>> from reluflow_sklearn import ActCoolMLPRegressor
        >>> issubclass(ActCoolMLPRegressor, Steered)
        True
    """

    controller_: CrossingCool
    learning_rates_: list[float]
    start_temperature: float | None
    gamma: float
    total_steps: int | None

    def _fit(self, *args: Any, **kwargs: Any) -> Any:
        mlp: Any = self
        if mlp.solver == "lbfgs":
            raise OptionError(
                'solver is "lbfgs", which chooses the length of its steps itself; give "adam" or '
                '"sgd".'
            )
        with warnings.catch_warnings():
            # All iterations are meant to be made: the schedule ends with the last.
            warnings.filterwarnings(
                "ignore", "Stochastic Optimizer: Maximum iter", ConvergenceWarning
            )
            return super()._fit(*args, **kwargs)  # type: ignore[misc]

    def _fit_stochastic(self, x: Any, y: Any, *rest: Any) -> None:
        is_incremental = rest[-1]
        if not is_incremental or not hasattr(self, "controller_"):
            self._start_anew(self.total_steps if is_incremental else self._steps_of_fit(len_of(x)))
        super()._fit_stochastic(x, y, *rest)  # type: ignore[misc]

    def _start_anew(self, total_steps: int | None) -> None:
        mlp: Any = self
        start = self.start_temperature
        if start is None:
            widths = [len(bias) for bias in mlp.intercepts_[:-1]]
            start = start_for_widths(widths, "temperature")
            # The gradient of a squared error grows with the outputs: where a hot start is too fast
            # for its curvature, it diverges within a few steps, before a probe sees it.
            if is_classifier(mlp):
                start = start_for_steps(start, total_steps or math.inf)
        schedule = PowerSchedule(float(start), float(self.gamma))
        self.controller_ = CrossingCool(schedule, initial_rate=mlp.learning_rate_init)
        self.learning_rates_ = []
        self._total_steps = total_steps
        self._next_try = 0

    def _steps_of_fit(self, samples: int) -> int:
        """Return the number of steps of `fit`, with its batches and its validation data."""
        mlp: Any = self
        if mlp.early_stopping:
            samples -= math.ceil(samples * mlp.validation_fraction)
        batch = min(_AUTO_BATCH, samples) if mlp.batch_size == "auto" else mlp.batch_size
        return int(mlp.max_iter) * math.ceil(samples / min(max(batch, 1), max(samples, 1)))

    def _backprop(self, x: Any, y: Any, sample_weight: Any, *rest: Any) -> Any:
        found = super()._backprop(x, y, sample_weight, *rest)  # type: ignore[misc]
        _, coef_grads, intercept_grads = found
        self._steer(x, sample_weight, [*coef_grads, *intercept_grads])
        return found

    def _steer(self, x: Any, sample_weight: Any, gradients: list[np.ndarray]) -> None:
        """Set the rate of the coming step, and let the controller see what it changes."""
        mlp: Any = self
        weights = [*mlp.coefs_, *mlp.intercepts_]
        layers = len(mlp.coefs_)

        def values(state: list[np.ndarray]) -> dict[str, np.ndarray]:
            return pre_activations(x, state[:layers], state[layers:])

        def curves(rate: float, part: float = 1.0) -> CrossingCurves:
            step = step_of(mlp._optimizer, gradients, rate)
            way = []
            for share in sorted({min(part, 1.0), 1.0}):
                moved = [w + u * u.dtype.type(share) for w, u in zip(weights, step, strict=True)]
                way.append((share * rate, values(moved)))
            return curves_along(values(weights), way, weights=sample_weight)

        rate = self._next_rate(curves)
        if self.controller_.wants_curves:
            self.controller_.observe(
                curves(rate, self.controller_.part()),
                weight_norm=norm(weights),
                gradient_norm=norm(gradients),
            )
        use_rate(mlp._optimizer, rate)
        self.learning_rates_.append(rate)

    def _next_rate(self, curves: Any) -> float:
        """Return the rate by the controller; the first one while no step changes a pattern."""
        controller, done = self.controller_, len(self.learning_rates_)
        first = float(controller.initial_rate)
        if controller.curves is None and done < self._next_try:
            return first
        progress = min(1.0, done / self._total_steps) if self._total_steps else 0.0
        try:
            return controller.next_rate(progress, curves)
        except DataError:
            if done == 0:
                warnings.warn(
                    f"no step changes a pattern, whatever its rate; the rate is {first:g} "
                    "(learning_rate_init) until one does. See that the data differ and the "
                    "targets are more than one.",
                    CoolingWarning,
                    stacklevel=2,
                )
            self._next_try = max(1, 2 * done)
            return first


def len_of(x: Any) -> int:
    """Return the number of samples, of a sparse matrix as well.

    Args:
        x: `(samples, features)`.

    Example:
        >>> len_of(np.zeros((3, 2)))
        3
    """
    return int(x.shape[0])
