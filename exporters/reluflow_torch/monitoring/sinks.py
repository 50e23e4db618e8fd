"""Where measures go: Parquet, TensorBoard, Weights & Biases; each loaded only when used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from reluflow.errors import OptionError
from reluflow.patterns import PatternRecorder

Measures = dict[str, dict[str, float | int]]


class Sink(Protocol):
    """A place for the measures of one step."""

    def write(self, step: int, rows: Measures) -> None:
        """Take measures by site."""

    def close(self) -> None:
        """Keep all that was written."""


class ParquetSink:
    """Rows in a `PatternRecorder`; what was written by 64 calls is safe from a crash.

    Args:
        recorder: an open recorder, or its directory.
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


class TensorBoardSink:
    """Scalars `measure/site` in a TensorBoard log.

    Args:
        writer: a `SummaryWriter`, or the directory of a new one.

    Raises:
        OptionError: TensorBoard is not installed.
    """

    def __init__(self, writer: Any) -> None:
        self._own = isinstance(writer, str | os.PathLike)
        self._writer = _new_summary_writer(writer) if self._own else writer

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


class WandbSink:
    """Values `reluflow/measure/site` of a Weights & Biases run, over `reluflow/step`.

    Args:
        run: what `wandb.init` returned, or True for the run that is active.

    Raises:
        OptionError: wandb is not installed, or no run is active.
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


def _new_summary_writer(directory: Any) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise OptionError(
            f"tensorboard is {str(directory)!r}, but TensorBoard is not installed; "
            "run pip install tensorboard, or leave the argument out."
        ) from error
    return SummaryWriter(str(directory))


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
