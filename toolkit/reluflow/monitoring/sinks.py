"""Where measures go: Parquet, TensorBoard, Weights & Biases."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reluflow.errors import OptionError
from reluflow.monitoring.records import Measures
from reluflow.patterns import PatternRecorder


class Sink(ABC):
    """A destination for the measures of one step; `open_sinks` returns the requested ones."""

    @abstractmethod
    def write(self, step: int, rows: Measures) -> None:
        """Take measures by site.

        Args:
            step: of the training, from 0.
            rows: site -> measure -> value.
        """

    @abstractmethod
    def close(self) -> None:
        """Make everything that was written permanent."""


class ParquetSink(Sink):
    """Rows in a `PatternRecorder`; rows are safe from a crash after at most 64 calls.

    Args:
        recorder: an open recorder, or its directory.

    Example:
        >>> import tempfile
        >>> from reluflow.patterns import read
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sink = ParquetSink(folder)
        ...     sink.write(3, {"relu": {"patterns": 12}})
        ...     sink.close()
        ...     read(folder).num_rows
        1
    """

    _FLUSH_EVERY = 64

    def __init__(self, recorder: PatternRecorder | str | os.PathLike[str]) -> None:
        if not isinstance(recorder, PatternRecorder):
            recorder = PatternRecorder(Path(recorder))
        self._recorder: PatternRecorder = recorder
        self._calls = 0

    def write(self, step: int, rows: Measures) -> None:
        """Append one row per site."""
        for site, measures in rows.items():
            self._recorder.record(step, site, measures)
        self._calls += 1
        if self._calls % self._FLUSH_EVERY == 0:
            self._recorder.flush()

    def close(self) -> None:
        """Flush."""
        self._recorder.flush()


class TensorBoardSink(Sink):
    """Scalars `measure/site` in a TensorBoard log.

    Args:
        writer: anything with `add_scalar(name, value, step)`, `flush()` and, where it is ours,
            `close()`: torch's `SummaryWriter`, for one.
        closes: whether it was made here and has to be closed at the end.

    Example:
        >>> class Printer:
        ...     def add_scalar(self, name, value, step):
        ...         print(name, value, step)
        >>> TensorBoardSink(Printer()).write(3, {"relu": {"patterns": 12}})
        patterns/relu 12 3
    """

    def __init__(self, writer: Any, *, closes: bool = False) -> None:
        self._own, self._writer = closes, writer

    def write(self, step: int, rows: Measures) -> None:
        """Add one scalar per measure and site."""
        for site, measures in rows.items():
            for name, value in measures.items():
                self._writer.add_scalar(f"{name}/{site}", value, step)

    def close(self) -> None:
        """Flush; close a writer made here."""
        self._writer.flush()
        if self._own:
            self._writer.close()


class WandbSink(Sink):
    """Values `reluflow/measure/site` of a Weights & Biases run, over `reluflow/step`.

    Args:
        run: what `wandb.init` returned, or True for the run that is active.

    Raises:
        OptionError: wandb is not installed, or no run is active.

    Example:
        >>> class Run:
        ...     def define_metric(self, name, **settings):
        ...         pass
        ...     def log(self, values):
        ...         print(values)
        >>> WandbSink(Run()).write(3, {"relu": {"patterns": 12}})
        {'reluflow/step': 3, 'reluflow/patterns/relu': 12}
    """

    def __init__(self, run: Any) -> None:
        self._run = _active_run() if run is True else run
        self._run.define_metric("reluflow/step", hidden=True)
        self._run.define_metric("reluflow/*", step_metric="reluflow/step")

    def write(self, step: int, rows: Measures) -> None:
        """Log all measures of the step at once."""
        values: dict[str, float | int] = {"reluflow/step": step}
        for site, measures in rows.items():
            values |= {f"reluflow/{name}/{site}": value for name, value in measures.items()}
        self._run.log(values)

    def close(self) -> None:
        """Leave the run open: its owner finishes it."""


def open_sinks(
    recorder: PatternRecorder | str | os.PathLike[str] | None,
    tensorboard: Any,
    wandb: Any,
    new_writer: Callable[[str], Any],
) -> list[Sink]:
    """Return the requested destinations.

    Args:
        recorder: a `PatternRecorder`, a directory for one, or None.
        tensorboard: a TensorBoard writer, a directory for one, or None.
        wandb: a run of Weights & Biases, True for the active one, or None.
        new_writer: makes a TensorBoard writer of a directory: each framework has its own.

    Returns:
        One sink each; empty where nothing was requested.

    Raises:
        OptionError: what a sink needs is not installed, or no run of wandb is active.

    Example:
        >>> import tempfile
        >>> from reluflow.patterns import read
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (sink,) = open_sinks(folder, None, None, new_writer=print)
        ...     sink.write(0, {"relu": {"patterns": 12}})
        ...     sink.close()
        ...     read(folder).to_pylist()
        [{'step': 0, 'site': 'relu', 'patterns': 12}]
    """
    sinks: list[Sink] = []
    if recorder is not None:
        sinks.append(ParquetSink(recorder))
    if isinstance(tensorboard, str | os.PathLike):
        sinks.append(TensorBoardSink(new_writer(os.fspath(tensorboard)), closes=True))
    elif tensorboard is not None:
        sinks.append(TensorBoardSink(tensorboard))
    if wandb is not None and wandb is not False:
        sinks.append(WandbSink(wandb))
    return sinks


def _active_run() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise OptionError(
            "wandb is True, but Weights & Biases is not installed; run pip install wandb, or "
            "leave the argument out."
        ) from error
    if wandb.run is None:
        raise OptionError(
            "wandb is True, but no run is active; call wandb.init() first, or give the run."
        )
    return wandb.run
