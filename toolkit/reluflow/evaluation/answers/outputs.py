"""The outputs of a run as arrays, and which of them is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from reluflow.errors import DataError, OptionError
from reluflow.evaluation.answers.metrics import Metric, Values
from reluflow.evaluation.answers.task import Task, recognise, squeeze
from reluflow.sessions import Session


def run_arrays(session: Session, feeds: Mapping[str, np.ndarray]) -> dict[str, Values]:
    """Run a model; return its outputs that are arrays, or maps of numbers (ZipMap's), by name."""
    found = zip(session.outputs, session.run(feeds), strict=True)
    arrays = ((name, _array(value)) for name, value in found)
    return {name: value for name, value in arrays if value is not None}


def _array(value: Any) -> Values | None:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        keys = sorted(value[0])
        return np.array([[row[key] for key in keys] for row in value], np.float32)
    return None


def choose_task(
    outputs: Mapping[str, Values],
    labels: Values | None,
    makers: Mapping[str, str],
    *,
    n_inputs: int,
    metric: Metric | None = None,
    output: str | None = None,
    threshold: float | None = None,
) -> Task:
    """Return which output is measured, and how it is read.

    Among several outputs, class numbers take precedence, then the first that the labels fit.

    Args:
        outputs: their values for some inputs.
        labels: the correct answers; None: there are none.
        makers: of `output_makers`.
        n_inputs: number of these inputs.
        metric: what to measure; None: whatever suits.
        output: the name of the output to use; None: whatever suits.
        threshold: of bits.

    Raises:
        OptionError: there is no such output, or the threshold would have no effect.
        DataError: no output fits.
    """
    if output is not None and output not in outputs:
        listed = ", ".join(map(repr, outputs)) or "none that is an array"
        raise OptionError(f"output is {output!r}; the model has {listed}.")
    names = [output] if output is not None else sorted(outputs, key=lambda o: not _says(outputs[o]))
    errors = []
    for name in names:
        try:
            _check_rows(name, outputs[name], n_inputs)
            task = recognise(
                name,
                outputs[name],
                labels,
                maker=makers.get(name, ""),
                metric=metric,
                threshold=threshold,
            )
        except DataError as error:
            errors.append(error)
            continue
        _check_threshold(threshold, task, labels)
        others = [repr(each) for each in outputs if each != name]
        more = f"; not measured: {', '.join(others)}" if others else ""
        return replace(task, sentence=task.sentence + more)
    if not errors:
        raise DataError("the model has no output that is an array; there is nothing to measure.")
    raise errors[0]


def _check_threshold(threshold: float | None, task: Task, labels: Values | None) -> None:
    """Refuse a threshold without effect; without labels it may decide for the float model."""
    if threshold is None or task.kind == "bits" or (task.kind == "output" and labels is None):
        return
    raise OptionError(
        f"threshold is {threshold:g}, but {task.sentence}, for which it does nothing; leave it "
        "out, or choose an output of yes and no."
    )


def _says(values: Values) -> bool:
    """Tell whether an output is already a decision for each input."""
    return values.dtype.kind in "iubUSO" and values.ndim > 0 and squeeze(values).ndim == 1


def _check_rows(name: str, values: Values, n_inputs: int) -> None:
    if values.ndim < 1 or len(values) != n_inputs:
        raise DataError(
            f"output {name!r} is {list(values.shape)} for {n_inputs} inputs, not one answer each; "
            "choose another output."
        )
