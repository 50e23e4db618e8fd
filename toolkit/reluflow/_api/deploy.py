"""Conversion to shift-adds and its evaluation, as calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reluflow._api.outputs import keep_inputs, keep_inputs_beside
from reluflow.data import open_data
from reluflow.deployment import (
    Conversion,
    Evaluation,
    EvaluationOptions,
    MetricFunction,
    calibrate,
    read_answers,
)
from reluflow.deployment import convert as convert_model
from reluflow.deployment import evaluate as evaluate_model
from reluflow.errors import ModelError
from reluflow.graph import Model, PsbOptions, find_psb, load, to_psb
from reluflow.report import EVALUATION_FILES, write_evaluation

Progress = Callable[[str, int, int | None], None]


def convert(
    model: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    options: PsbOptions | None = None,
    calibration: Any = None,
    limit: int | None = None,
) -> Conversion:
    """Convert the multiplications of a model to stochastic shift-adds, and prove the conversion.

    Args:
        model: as for `analyze`.
        out: file to write; None writes nothing.
        options: bits, sampler, pruning, ...; the defaults serve most models.
        calibration: data that choose the scales of the activations, as for `analyze`.
        limit: calibrate on the first so many inputs only.

    Returns:
        The conversion: `result.model` is the converted model, `sentences()` says how far each
        step of it departs from the model that was given.

    Raises:
        ModelError: there is nothing to convert, or the conversion changes what is computed.
        OutputError: `out` is the model's own file, or cannot be written.
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import reluflow
        >>> made = reluflow.convert("models/fashion_resnet8.onnx")
        >>> len(made.result.converted) > 0
        True

    Reference: thesis, section 4.2.
    """
    loaded = load(model)
    keep_inputs(out, loaded, calibration)
    settings = options or PsbOptions()
    if calibration is not None:
        source = open_data(calibration, loaded.inputs, limit=limit)
        settings = replace(settings, x_exponents=calibrate(loaded, source, options=settings))
    made = convert_model(loaded, settings)
    if not made.result.converted:
        raise ModelError(nothing_to_convert(loaded, made.result.refused))
    if out is not None:
        made.result.model.save(out)
    return made


def nothing_to_convert(model: Model, refused: Any) -> str:
    """Return the sentence on a model without a layer that can be converted."""
    reasons = "; ".join(f"{node.node}: {node.reason}" for node in refused[:3])
    return (
        f"model {str(model.path or '<memory>')!r} has nothing to convert "
        f"({reasons or 'no linear operator'}); "
        "give a model with Conv, Gemm or MatMul of constant weights"
    )


def evaluate(
    model: Any,
    data: Any,
    labels: Any = None,
    out: str | os.PathLike[str] | None = None,
    *,
    float_model: Any = None,
    metric: str | MetricFunction | None = None,
    label_name: str = "label",
    psb: PsbOptions | None = None,
    options: EvaluationOptions | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a converted model against the number of samples, beside float and int8.

    Args:
        model: a converted model, or one in floating point, which is converted first.
        data: as for `analyze`; read several times.
        labels: right answers, array or path (.npz, .npy, idx); None: the float model's answers.
        out: folder for page, plot and JSON; None writes nothing.
        float_model: what `model` was converted from.
        metric: a name, or a function of outputs and labels; what fits by default.
        label_name: array of an .npz with the answers.
        psb: how a model in floating point is converted.
        options: numbers of samples, seeds, int8, ...
        limit: use the first so many inputs only.
        progress: called as progress("measuring", runs done, None).

    Returns:
        The metric at each number of samples, and what the model costs.

    Raises:
        OutputError: a file in `out` would replace an input, or cannot be written.
        ReluflowError: bad model, data, labels or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> from reluflow.deployment import EvaluationOptions
        >>> held = np.load("models/fashion_mnist_test_2000.npz")
        >>> few = EvaluationOptions(samples=(4,), seeds=1)
        >>> found = reluflow.evaluate(
        ...     "models/fashion_resnet8.onnx", held["image"][:40], held["label"][:40], options=few)
        >>> [point.samples for point in found.points][-1]
        4

    Reference: thesis, section 4.2.3.
    """
    loaded = load(model)
    reference = None if float_model is None else load(float_model)
    keep_inputs_beside(out, EVALUATION_FILES, loaded, reference, data, labels)
    if not find_psb(loaded):
        reference = reference or loaded
        made = to_psb(loaded, psb or PsbOptions())
        if not made.converted:
            raise ModelError(nothing_to_convert(loaded, made.refused))
        loaded = made.model
    source = open_data(data, loaded.inputs, limit=limit)
    result = evaluate_model(
        loaded,
        source,
        _answers(labels, label_name, limit),
        float_model=reference,
        metric=metric,
        options=options,
        progress=progress,
    )
    if out is not None:
        write_evaluation(result, Path(out))
    return result


def _answers(labels: Any, name: str, limit: int | None) -> np.ndarray | None:
    if labels is None or not isinstance(labels, str | os.PathLike):
        return None if labels is None else np.asarray(labels)[:limit]
    return read_answers(labels, name, limit)
