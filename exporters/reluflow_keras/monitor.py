"""Recording a Keras training: D of its steps, and the patterns of some data."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from reluflow.errors import OptionError
from reluflow.monitoring import (
    MEAN,
    Measures,
    PatternHistory,
    Periods,
    SiteCounts,
    open_sinks,
    step_measures,
)
from reluflow.patterns import PatternRecorder, fingerprint
from reluflow.temperature import StepDistance, distance_of
from reluflow_keras.steps import Step, StepCallback


class PatternMonitor(StepCallback):
    """Record what training does to the activation patterns, without changing it.

    Args:
        every: steps between measurements of D and temperature of the step just taken, on its
            batch; 0: never. Each costs two passes.
        measures_every: steps between counts of all patterns of `data`: entropy, dead units,
            Jaccard indices; 0: never. Each costs a pass of `data`.
        recorder: a `PatternRecorder`, or a directory for one (Parquet).
        tensorboard: a writer with `add_scalar`, or None.
        wandb: a run of Weights & Biases, or True for the active one.
        data: inputs for the pattern measures, of one pass, as the model takes them.

    Attributes:
        step: number of steps seen.
        distances: what the latest measured step changed; None before the first.
        measures: site -> measures of the latest count.

    Raises:
        OptionError: an argument makes no sense, or a package that it needs is not installed.

    Example:
        >>> import keras
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(16, "relu", name="dense")]
        ... )
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> monitor = PatternMonitor(every=1, measures_every=2, data=x)
        >>> _ = model.fit(x, np.tile(x, 4), epochs=2, verbose=0, callbacks=[monitor])
        >>> monitor.step, [site.name for site in monitor.distances.sites]
        (4, ['dense'])
        >>> monitor.measures["dense"]["samples"]
        64

    Reference: docs/spec.md, section 3 and section 5; docs/monitoring.md for the measures.
    """

    def __init__(
        self,
        *,
        every: int = 10,
        measures_every: int = 0,
        recorder: PatternRecorder | str | os.PathLike[str] | None = None,
        tensorboard: Any = None,
        wandb: Any = None,
        data: Any = None,
    ) -> None:
        super().__init__()
        self._periods = Periods(every, measures_every)
        if measures_every and data is None:
            raise OptionError(
                f"measures_every is {measures_every}, but there are no data to count on; give data."
            )
        self.step = 0
        self.distances: StepDistance | None = None
        self.measures: Measures = {}
        self._history = PatternHistory()
        self._data = data
        self._sinks = open_sinks(recorder, tensorboard, wandb, _no_writer)

    def take(self, step: Step) -> None:
        """Take a step, and measure it where its turn has come."""
        rows: Measures = {}
        if self._periods.wants_measures(self.step):
            self.measures = self._history.measure(_counts(step.values(self._data)))
            rows = {name: dict(found) for name, found in self.measures.items()}
        if self._periods.wants_distance(self.step):
            before = step.values()
            step.make()
            self.distances = distance_of(before, step.values())
            whole, sites = step_measures(self.distances)
            rows[MEAN] = {**rows.get(MEAN, {}), **whole, "learning_rate": step.rate}
            for name, found in sites.items():
                rows[name] = {**rows.get(name, {}), **found}
        else:
            step.make()
        if rows:
            for sink in self._sinks:
                sink.write(self.step, rows)
        self.step += 1

    def on_train_end(self, logs: Any = None) -> None:
        """Step aside, and save what was recorded."""
        super().on_train_end(logs)
        for sink in self._sinks:
            sink.close()


def _counts(values: dict[str, np.ndarray]) -> dict[str, SiteCounts]:
    found = {}
    for name, each in values.items():
        hashed = fingerprint(each)
        found[name] = SiteCounts.of(hashed.keys, hashed.active)
    return found


def _no_writer(folder: str) -> Any:
    raise OptionError(
        f"tensorboard is {folder!r}, but the writer is the framework's; give one with add_scalar, "
        "such as that of tensorboardX or torch."
    )
