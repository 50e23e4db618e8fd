"""Conversion to shift-adds and its evaluation, as calls."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from reluflow._api.lock import locked
from reluflow._api.outputs import keep_inputs, keep_inputs_beside
from reluflow.data import open_data, read_answers
from reluflow.errors import ModelError, OptionError
from reluflow.evaluation import (
    ActivationBits,
    Conversion,
    Evaluation,
    EvaluationOptions,
    MetricFunction,
    calibrate,
    choose_activation_bits,
)
from reluflow.evaluation import convert as convert_model
from reluflow.evaluation import evaluate as evaluate_model
from reluflow.graph import Model, PsbOptions, find_psb, load, to_psb, with_input_defaults
from reluflow.progress import Progress
from reluflow.report import EVALUATION_FILES, write_evaluation


def convert(
    model: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    options: PsbOptions | None = None,
    calibration: Any = None,
    limit: int | None = None,
    x_bits: int | Literal["auto"] | None = None,
) -> Conversion:
    """Convert the multiplications of a model to stochastic shift-adds, and prove the conversion.

    Args:
        model: as for `analyze`.
        out: file to write; None writes nothing.
        options: bits, sampler, pruning, ...; the defaults serve most models.
        calibration: data that choose the scales of the activations, as for `analyze`.
        limit: calibrate on the first so many inputs only.
        x_bits: bits of an activation in the place of those of `options`; "auto" chooses 12 or
            16 by what each costs on the calibration data, and `activation_bits` says why.

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
    settings, found = fit_activations(loaded, options or PsbOptions(), calibration, limit, x_bits)
    made = replace(convert_model(loaded, settings), activation_bits=found)
    if not made.result.converted:
        raise ModelError(nothing_to_convert(loaded, made.result.refused))
    if out is not None:
        made.result.model.save(out)
    return made


def fit_activations(
    model: Model,
    options: PsbOptions,
    calibration: Any,
    limit: int | None,
    x_bits: int | str | None,
) -> tuple[PsbOptions, ActivationBits | None]:
    """Return options with the bits and scales of activations, and how the bits were chosen.

    Args:
        model: the float model.
        options: of the conversion.
        calibration: data, or None.
        limit: use the first so many inputs only.
        x_bits: a number, "auto", or None for that of the options.

    Raises:
        OptionError: "auto" without data, or no accepted number.
        DataError: the data do not calibrate the model.
    """
    if x_bits not in (None, "auto"):
        options = replace(options, x_bits=cast(int, x_bits))  # which refuses what is none
    if calibration is None:
        if x_bits == "auto":
            raise OptionError(
                "x_bits is 'auto', which measures on data; give calibration=DATA, or a whole "
                "number from 2 to 16."
            )
        return options, None
    source = open_data(calibration, model.inputs, limit=limit)
    if x_bits != "auto":
        return replace(options, x_exponents=calibrate(model, source, options=options)), None
    found = choose_activation_bits(model, source, options=options)
    return found.options, found


def nothing_to_convert(model: Model, refused: Any) -> str:
    """Return the sentence on a model without a layer that can be converted."""
    reasons = "; ".join(f"{node.node}: {node.reason}" for node in refused[:3])
    return (
        f"model {str(model.path or '<memory>')!r} has nothing to convert "
        f"({reasons or 'no linear operator'}); "
        "give a model with Conv, Gemm or MatMul of constant weights."
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
        >>> from reluflow.evaluation import EvaluationOptions
        >>> held = np.load("models/fashion_mnist_test_2000.npz")
        >>> few = EvaluationOptions(samples=(4,), seeds=1)
        >>> found = reluflow.evaluate(
        ...     "models/fashion_resnet8.onnx", held["image"][:40], held["label"][:40], options=few)
        >>> [point.samples for point in found.points][-1]
        4

    Reference: thesis, section 4.2.3.
    """
    loaded = with_input_defaults(load(model))
    reference = None if float_model is None else load(float_model)
    keep_inputs_beside(out, EVALUATION_FILES, loaded, reference, data, labels)
    if find_psb(loaded):
        if psb is not None:
            raise OptionError(
                "psb is given, but the model is converted already; leave it out, or give the "
                "float model."
            )
    else:
        reference = reference or loaded
        made = to_psb(loaded, psb or PsbOptions())
        if not made.converted:
            raise ModelError(nothing_to_convert(loaded, made.refused))
        loaded = made.model
    source = open_data(data, loaded.inputs, limit=limit)
    with locked(out):
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
