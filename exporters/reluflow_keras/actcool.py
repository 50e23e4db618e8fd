"""ActCool: a Keras callback that sets the rate of every step by what it changes (thesis 3.3)."""

from __future__ import annotations

import json
import math
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reluflow.errors import DataError, OptionError
from reluflow.files import appearing
from reluflow.temperature import (
    CrossingCool,
    CrossingCurve,
    CrossingCurves,
    CrossingOptions,
    PowerSchedule,
    Schedule,
    curves_along,
)
from reluflow.temperature.crossing.part_size import Examples, PartSize
from reluflow.temperature.schedule import schedule_for_widths
from reluflow.temperature.state import check_state
from reluflow_keras.steps import Step, StepCallback

STATE_VERSION = 1
_KEPT = 3
"""States in the file: that of the latest backup is among them, whoever saved first."""
_HELD_WELL = 0.02
"""How far the rate may lie beside that which SGD's velocities hold, as a logarithm."""


class ActCool(StepCallback):
    """Keep the activation pattern temperature of `fit` on a schedule.

    Before every step it sets the rate at which, by the curves of its latest probes, the target
    share of activation patterns changes. A probe, at every 8th to 64th step, runs the model again
    on the batch of the step, two or three times. The first rate is found with a few hypothetical
    steps: calls of Keras's own train function that are undone bit for bit. It works on the backends
    torch, TensorFlow and JAX, with any model and any optimiser whose rate can be set.

    Args:
        total_steps: number of steps of the whole training, resumed parts included; None: epochs
            times batches of `fit`.
        schedule: progress in [0, 1] to temperature in bits; None: that of `schedule_for_widths`
            for the model's switch sites and the number of steps.
        options: settings of the controller.
        examples: measure on this many first examples of a batch, which run as a batch of their
            own. "auto": 16 or 32, more where the temperature is high
            (`reluflow.temperature.crossing.part_size`), and all in the first five probes. None:
            all.
        state_file: where the state is kept for a training that is resumed by `BackupAndRestore`;
            a file beside its folder, not in it. None: nowhere.
        save_freq: as that of `BackupAndRestore`: "epoch", or a number of batches.

    Attributes:
        controller: the `CrossingCool` that decides; None before the first step.
        rates: of the steps so far, those before a resumption as well.

    Raises:
        OptionError: an argument makes no sense; when the training starts, its steps cannot be
            told apart or its rate is not settable.
        DataError: at the first step, no state in the file is that of the restored weights, or it is
            of another model.
        ModelError: at the first step, the model has no switch.

    Warns:
        RuntimeWarning: at the first step, with "auto" the model does not run on a part of a batch.

    Example:
        >>> import keras
        >>> keras.utils.set_random_seed(0)
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, "relu")])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> cooling = ActCool()
        >>> _ = model.fit(x, np.tile(x, 4), epochs=3, verbose=0, callbacks=[cooling])
        >>> len(cooling.rates), cooling.controller.n_probes > 0
        (6, True)

    Reference: docs/spec.md, section 6; docs/keras.md.
    """

    def __init__(
        self,
        total_steps: int | None = None,
        *,
        schedule: Schedule | None = None,
        options: CrossingOptions | None = None,
        examples: Examples = "auto",
        state_file: str | os.PathLike[str] | None = None,
        save_freq: int | str = "epoch",
    ) -> None:
        super().__init__()
        if total_steps is not None and total_steps < 1:
            raise OptionError(f"total_steps is {total_steps}; give a number from 1 on.")
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise OptionError(
                f'save_freq is {save_freq!r}; give "epoch" or a number of batches from 1 on.'
            )
        self.controller: CrossingCool | None = None
        self.rates: list[float] = []
        self._given = total_steps
        self._total_steps = total_steps
        self._schedule, self._options = schedule, options
        self._size = PartSize(examples)
        self._velocity_rate: float | None = None
        self._file = None if state_file is None else Path(state_file)
        self._save_freq = save_freq
        self._saved: list[dict[str, Any]] = []
        self._unsaved = 0
        self._iterations: int | None = None
        self._sites: list[str] = []
        self._loaded_sites: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Stand between `fit` and its train function, and learn how long it will be."""
        import keras

        if not isinstance(getattr(self.model.optimizer, "_learning_rate", None), keras.Variable):
            raise OptionError(
                "the optimiser has a schedule of its own, so its rate is not settable; give it a "
                "number as learning_rate."
            )
        if self._given is None and self.controller is None:
            epochs, batches = self.params.get("epochs"), self.params.get("steps")
            if not epochs or not batches:
                raise OptionError(
                    "fit does not know how many batches an epoch has; give total_steps to ActCool."
                )
            self._total_steps = epochs * batches
        self._iterations, self._unsaved = None, 0
        super().on_train_begin(logs)

    def take(self, step: Step) -> None:
        """Set the rate, take the step, and measure it where the controller asks for it."""
        if self._iterations is None:
            self._iterations = step.iterations
            self._resume()
        if self._loaded_sites:
            self._rename_sites(step)
        controller = self.controller or self._start(step)
        progress = min(1.0, len(self.rates) / (self._total_steps or 1))
        examples = None
        if controller.fit_due or controller.will_want_curves:
            examples = self._size.at(controller.latest_temperature, controller.n_probes)
        before = step.values(examples=examples) if controller.fit_due else {}
        if self._velocity_rate is None:
            self._velocity_rate = step.rate

        def curves(rate: float) -> Any:
            factor = self._velocity_factor(step, rate)
            return curves_along(before, [(rate, step.trial(rate, factor, examples))])

        rate = controller.next_rate(progress, curves)
        self._use(step, rate)
        if controller.wants_curves:
            self._probe(step, controller, rate, examples)
        else:
            step.make()
        self.rates.append(rate)
        self._iterations += 1

    def _rename_sites(self, step: Step) -> None:
        """Give the sites of a state the names of this model: Keras numbers layers by process."""
        names = list(step.values())
        if len(names) != len(self._loaded_sites):
            raise DataError(
                f"the state is of a model with {len(self._loaded_sites)} switch sites, this one "
                f"has {len(names)}; use the model that was saved."
            )
        new = dict(zip(self._loaded_sites, names, strict=True))
        self._loaded_sites = []
        if self.controller is not None and self.controller.curves is not None:
            curves = self.controller.curves
            self.controller.curves = CrossingCurves({new[k]: curve for k, curve in curves.items()})
        self._sites = names

    def _start(self, step: Step) -> CrossingCool:
        schedule = self._schedule
        values = step.values()
        self._learn_part(step, values)
        if schedule is None:
            widths = [each.shape[1] for each in values.values()]
            mean = (self._options or CrossingOptions()).mean
            schedule = schedule_for_widths(widths, mean, self._total_steps or math.inf)
        self.controller = CrossingCool(schedule, self._options)
        return self.controller

    def _learn_part(self, step: Step, whole: dict[str, np.ndarray]) -> None:
        """Find out whether the model runs on a part of a batch."""
        self._size.see((len(each) for each in whole.values()), step.examples)
        least = self._size.least
        if not self._size.is_used or step.examples <= least:
            return
        try:
            found = step.values(examples=least)
            problem = "" if list(found) == list(whole) else "it has other switch sites there"
        except Exception as error:  # a model may say anything of a batch of another size
            if not self._size.is_auto:
                raise
            problem = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        if problem:
            self._size.take_whole()
            warnings.warn(
                f"model {step.name!r} does not run on a part of a batch ({problem}), so "
                "probes repeat whole batches; give examples=None.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _use(self, step: Step, rate: float) -> None:
        """Set the rate of the coming step, and scale the velocities of SGD to it.

        These hold the rates of earlier steps. They decay and take in new ones, so the rate that
        they hold is an average of the same weights. Mostly it is near that of the step, and
        scaling waits until it is not.
        """
        factor, momentum = self._velocity_factor(step, rate), _momentum_inside(step.optimizer)
        step.use(rate, factor)
        held = rate if factor != 1.0 or self._velocity_rate is None else self._velocity_rate
        self._velocity_rate = rate + momentum * (held - rate)

    def _velocity_factor(self, step: Step, rate: float) -> float:
        """Return what the velocities are to be multiplied with for a step; 1: leave them."""
        if not _momentum_inside(step.optimizer) or self._velocity_rate is None:
            return 1.0
        factor = rate / self._velocity_rate
        return factor if abs(math.log(factor)) > _HELD_WELL else 1.0

    def _probe(
        self, step: Step, controller: CrossingCool, rate: float, examples: int | None
    ) -> None:
        """Take the step, and let the controller see what it changed."""
        part, shown = controller.part(), _gradient_in(step.optimizer, rate)
        before = step.before(
            examples,
            keeps_weights=part < 1.0 or (shown is not None and not shown.is_moment),
            keeps_moments=shown is not None and shown.is_moment,
        )
        step.make()
        found, (length, moved) = step.changes(before, examples, part, shown.kept if shown else 1.0)
        self._sites = list(step.sites)
        units = [each.shape[1] for each in before.values]
        number = len(units)

        def curves(shares: list[np.ndarray]) -> CrossingCurves:
            rows = zip(self._sites, shares, units, strict=True)
            return CrossingCurves(
                {name: CrossingCurve.of(rate * each, width) for name, each, width in rows}
            )

        controller.observe(
            curves(found[:number]),
            weight_norm=float(length),
            gradient_norm=float(moved) / shown.scale if shown else None,
            straight=curves(found[number:]) if found[number:] else None,
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep the state where `BackupAndRestore` does."""
        self._unsaved += 1
        if self._save_freq != "epoch" and self._unsaved >= int(self._save_freq):
            self._save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the state where `BackupAndRestore` does."""
        if self._save_freq == "epoch":
            self._save()

    def _save(self) -> None:
        self._unsaved = 0
        if self._file is None or self.controller is None:
            return
        self._saved = [*self._saved, self.state_dict()][-_KEPT:]
        with appearing(self._file) as unfinished:
            unfinished.write_text(json.dumps(self._saved), encoding="utf-8")

    def state_dict(self) -> dict[str, Any]:
        """Return everything that future rates depend on, ready for JSON.

        Raises:
            DataError: there has been no step.
        """
        if self.controller is None:
            raise DataError("ActCool has no state before the first step; call fit first.")
        return {
            "version": STATE_VERSION,
            "iterations": self._iterations,
            "controller": self.controller.state_dict(),
            "rates": list(self.rates),
            "sites": list(self._sites),
            "part": self._size.state(),
            "velocity_rate": self._velocity_rate,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; a training with `state_file` does so by itself.

        Args:
            state: what `state_dict` returned, also after JSON.

        Raises:
            DataError: another version, or a field is missing.
        """
        fields = "controller", "rates", "sites", "part", "velocity_rate"
        check_state("state", state, STATE_VERSION, fields)
        schedule = self._schedule or PowerSchedule(1.0)  # replaced by that of the state
        self.controller = CrossingCool(schedule, self._options)
        self.controller.load_state_dict(state["controller"])
        self.rates = list(state["rates"])
        self._loaded_sites = list(state["sites"])
        self._size.load(state["part"])
        self._velocity_rate = state["velocity_rate"]

    def _resume(self) -> None:
        """Take the state that belongs to the weights, where they come from a backup."""
        if self._file is None or self.controller is not None or not self._file.is_file():
            return
        if self._iterations == 0:
            return  # a new training
        try:
            self._saved = json.loads(self._file.read_text(encoding="utf-8"))
            if not isinstance(self._saved, list):
                raise TypeError("no list")
            found = [each for each in self._saved if each["iterations"] == self._iterations]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{self._file} holds no states of ActCool; name another file."
            ) from error
        if not found:
            steps = ", ".join(str(each["iterations"]) for each in self._saved)
            raise DataError(
                f"the weights are those after {self._iterations} steps, but {self._file} has the "
                f"states after {steps}; give ActCool the save_freq of BackupAndRestore, or remove "
                "the file to begin a new schedule."
            )
        self.load_state_dict(found[-1])


class _Shown(NamedTuple):
    """Where an optimiser shows its gradient.

    Attributes:
        is_moment: in its moments, or else in the weights: after a step, these are `kept` times what
            they were and `scale` times the gradient, or less it.
        kept: see above.
        scale: see above.
    """

    is_moment: bool
    kept: float
    scale: float


def _gradient_in(optimizer: Any, rate: float) -> _Shown | None:
    """Return where an optimiser shows the gradient of a step: SGD and Adam do."""
    kinds = {kind.__name__ for kind in type(optimizer).__mro__}
    if "SGD" in kinds:
        momentum = float(optimizer.momentum)
        return _Shown(True, momentum, rate) if momentum else _Shown(False, 1.0, rate)
    if kinds & {"Adam", "Nadam"}:
        beta = float(optimizer.beta_1)
        return _Shown(True, beta, 1.0 - beta)
    return None


def _momentum_inside(optimizer: Any) -> float:
    """Return the momentum of an optimiser whose velocities hold the rates of earlier steps."""
    kinds = {kind.__name__ for kind in type(optimizer).__mro__}
    return float(optimizer.momentum) if "SGD" in kinds else 0.0
