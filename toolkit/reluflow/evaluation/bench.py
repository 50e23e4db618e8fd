"""Runs models over the data and measures their answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from reluflow.data import DataSource
from reluflow.errors import DataError, OptionError, ReluflowError
from reluflow.evaluation.answers.metrics import Metric, Values
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.evaluation.answers.task import Task
from reluflow.evaluation.options import EvaluationOptions
from reluflow.evaluation.result import OutputError, SamplePoint
from reluflow.evaluation.run import Runner
from reluflow.evaluation.signal_error import SignalError, open_errors
from reluflow.progress import Progress
from reluflow.sessions import Session

Feeds = Mapping[str, np.ndarray]
_KEPT_BYTES = 1 << 28
_CALIBRATION_INPUTS = 256


class Exact:
    """The float model's outputs: those of the first batches are kept, others are recomputed."""

    def __init__(self, session: Session, room: int = _KEPT_BYTES) -> None:
        self._session = session
        self._kept: list[dict[str, Values]] = []
        self._room = room

    def at(self, index: int, batch: Feeds) -> dict[str, Values]:
        """Return the outputs for a batch, the `index`-th of the data."""
        if index < len(self._kept):
            return self._kept[index]
        found = run_arrays(self._session, batch)
        n_bytes = sum(each.nbytes for each in found.values())
        if index == len(self._kept) and n_bytes <= self._room:
            self._kept.append(found)
            self._room -= n_bytes
        return found


@dataclass
class Bench:
    """The data, the correct answers and how outputs are read.

    Attributes:
        source: the inputs.
        options: of the evaluation.
        task: how outputs are read.
        exact: the float model's outputs, None: there is none.
        shapes: some values of each output.
        progress: called after each run.
        answers: the correct ones, in the form that the metrics use.
        n_inputs: as found in the last run.
    """

    source: DataSource
    options: EvaluationOptions
    task: Task
    exact: Exact | None
    shapes: Mapping[str, Values]
    progress: Progress | None
    answers: Values | None = None
    n_inputs: int = 0
    _runs: int = field(default=0, init=False)

    def batches(self) -> Iterator[tuple[int, Feeds]]:
        """Yield the data's batches, numbered."""
        size = self.source.fitting_batch_size(self.options.batch_size)
        return enumerate(self.source.batches(size))

    def read_exact(self, task: Task) -> Values:
        """Return the answers of the float model to all inputs, as a task reads them."""
        assert self.exact is not None
        parts = [
            task.read(self.exact.at(index, batch)[task.output]) for index, batch in self.batches()
        ]
        return self._joined(parts)

    def read(
        self, session: Session, extra: Feeds, errors: Mapping[str, SignalError] | None = None
    ) -> Values:
        """Return the answers of a model to all inputs; `errors` accumulate its outputs."""
        parts = []
        for index, batch in self.batches():
            found = run_arrays(session, {**batch, **extra})
            parts.append(self.task.read(found[self.task.output]))
            if errors and self.exact is not None:
                exact = self.exact.at(index, batch)
                for name, error in errors.items():
                    error.add(found[name], exact[name])
        self._runs += 1
        if self.progress is not None:
            self.progress("measuring", self._runs, None)
        return self._joined(parts)

    def _joined(self, parts: list[Values]) -> Values:
        found = np.concatenate(parts)
        self.n_inputs = len(found)
        return found

    def errors(self) -> dict[str, SignalError]:
        """Return empty sums for the outputs; none without a float model."""
        if self.exact is None:
            return {}
        axes = {} if self.task.axis is None else {self.task.output: self.task.axis}
        return open_errors(self.shapes, axes)

    def score(self, found: Values) -> tuple[float, ...]:
        """Return the metrics of answers."""
        if self.answers is None or len(self.answers) != len(found):
            count = 0 if self.answers is None else len(self.answers)
            raise DataError(f"there are {count} labels for {len(found)} inputs; give one each.")
        answers, counts = self.answers, self.task.judged(self.answers)
        if counts is not None:
            found, answers = found[counts], answers[counts]
        return tuple(_measure(metric, found, answers) for metric in self.task.metrics)

    def point(
        self, runner: Runner, samples: int, seeds: tuple[int, ...]
    ) -> tuple[SamplePoint, dict[str, SignalError]]:
        """Measure at one number of samples; runs that must be equal are done once."""
        different = seeds[:1] if runner.is_certain(samples) else seeds
        errors = self.errors()
        rows = [self.score(self.read(*runner.at(samples, seed), errors)) for seed in different]
        values = [row[0] for row in rows] * (len(seeds) // len(different))
        std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        more = tuple(float(np.mean(column)) for column in list(zip(*rows, strict=True))[1:])
        found = results(errors)
        how = runner.sampler(samples)
        mean = float(np.mean(values))
        return SamplePoint(samples, mean, std, tuple(values), more, found, how), errors

    def sample(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield some batches to calibrate int8 with."""
        seen = 0
        for _, batch in self.batches():
            yield dict(batch)
            seen += len(next(iter(batch.values())))
            if seen >= _CALIBRATION_INPUTS:
                return


def _measure(metric: Metric, found: Values, answers: Values) -> float:
    """Return a metric; faults of a user's own function are reported as such.

    Raises:
        OptionError: it fails, or returns no number.
    """
    if metric.reads != "output":
        return float(metric.function(found, answers))
    try:
        return float(metric.function(found, answers))
    except ReluflowError:
        raise
    except Exception as error:  # foreign code may raise anything
        raise OptionError(
            f"metric {metric.name!r} fails on outputs {list(found.shape)} and labels "
            f"{list(answers.shape)} ({type(error).__name__}: {error}); mend the function, or let "
            "it return one number."
        ) from error


def results(errors: Mapping[str, SignalError]) -> tuple[OutputError, ...]:
    """Return sums as records."""
    return tuple(error.result() for error in errors.values())
