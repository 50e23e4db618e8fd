"""A converted model: its evaluation, what it stores, where its time goes, as functions."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from reluflow._api.deploy import nothing_to_convert
from reluflow._api.lock import locked
from reluflow._api.outputs import keep_inputs_beside
from reluflow.data import DataSource, RandomData, open_data
from reluflow.errors import ModelError, OptionError
from reluflow.evaluation import (
    Evaluation,
    EvaluationOptions,
    MetricFunction,
    ProfileOptions,
    PsbDescription,
    PsbProfile,
    choose_answers,
    describe_psb,
    load_metric,
)
from reluflow.evaluation import convert as convert_model
from reluflow.evaluation import evaluate as evaluate_model
from reluflow.evaluation import profile as profile_model
from reluflow.evaluation.answers.own_metric import file_of_metric
from reluflow.graph import Model, PsbOptions, find_psb, load, with_input_defaults
from reluflow.progress import Progress
from reluflow.report import EVALUATION_FILES, write_evaluation


def evaluate(
    model: Any,
    data: Any,
    labels: Any = None,
    out: str | os.PathLike[str] | None = None,
    *,
    float_model: Any = None,
    metric: str | MetricFunction | None = None,
    label_name: str | None = None,
    psb: PsbOptions | None = None,
    options: EvaluationOptions | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a converted model as a function of the number of samples, with float and int8.

    Args:
        model: a converted model, or one in floating point, which is converted first.
        data: as for `analyze`; read several times.
        labels: correct answers, array or path (.npz, .npy, idx). None: the array `label_name` of
            the .npz given as `data`, else the float model's answers, as `notes` then say.
        out: folder for page, plot and JSON; None writes nothing.
        float_model: what `model` was converted from.
        metric: a name, a function of outputs and labels, or the place of one as "MODULE:FUNCTION"
            or "FILE.py:FUNCTION"; by default one that fits.
        label_name: array of an .npz with the answers; by default "label", if there is one.
        psb: how a model in floating point is converted; a sampler in `options` takes precedence.
        options: numbers of samples, seeds, int8, layers tried alone, ...
        limit: use the first so many inputs only.
        progress: called as progress("measuring", runs done, None).

    Returns:
        The metric at each number of samples, and what the model costs.

    Raises:
        ModelError: there is nothing to convert, or the conversion changes what is computed.
        OutputError: a file in `out` would replace an input, or cannot be written.
        ReluflowError: bad model, data, labels or options, in one sentence.

    Example:
        >>> import reluflow
        >>> few = reluflow.EvaluationOptions(samples=(4,), seeds=1, sensitivity=16)
        >>> images = "models/fashion_mnist_test_2000.npz"  # with an array "label"
        >>> found = reluflow.evaluate(
        ...     "models/fashion_resnet8.onnx", images, options=few, limit=40)
        >>> found.metric, [point.samples for point in found.points]
        ('accuracy', [4])
        >>> layer = max(found.sensitivity, key=lambda layer: layer.loss)
        >>> len(found.sensitivity), 0 <= layer.point.mean <= 1
        (10, True)

    Reference: thesis, section 4.2.3.
    """
    loaded = with_input_defaults(load(model)).model
    reference = None if float_model is None else load(float_model)
    measure = load_metric(metric)
    read = (loaded, reference, data, labels, file_of_metric(metric))
    keep_inputs_beside(out, EVALUATION_FILES, *read)
    _refuse_converted(reference)
    settings = options or EvaluationOptions()
    if find_psb(loaded):
        _refuse_conversion(psb)
    else:
        reference = reference or loaded
        loaded = _convert(loaded, psb or PsbOptions(), settings)
    source = open_data(data, loaded.inputs, limit=limit)
    has_float = reference is not None
    right, note = choose_answers(labels, data, label_name, limit=limit, has_float=has_float)
    with locked(out):
        result = evaluate_model(
            loaded,
            source,
            right,
            float_model=reference,
            metric=measure,
            options=settings,
            progress=progress,
        )
        result = replace(result, notes=(*([note] if note else []), *result.notes))
        if out is not None:
            write_evaluation(result, Path(out))
    return result


def inspect_psb(model: Any) -> PsbDescription:
    """Return what a converted model stores and how much it computes, without running it.

    Args:
        model: a converted model, as for `analyze`.

    Raises:
        ModelError: it cannot be read, or has no PSB operator.

    Example:
        >>> import reluflow
        >>> made = reluflow.convert("models/fashion_resnet8.onnx")
        >>> found = reluflow.inspect_psb(made.result.model)
        >>> found.p_bits, len(found.layers)
        (4, 10)

    Reference: thesis 4.2.4; docs/spec.md, section 8, cost model.
    """
    return describe_psb(load(model))


def profile_psb(
    model: Any,
    data: Any = None,
    *,
    float_model: Any = None,
    options: ProfileOptions | None = None,
) -> PsbProfile:
    """Measure where a converted model spends its time, operator by operator, beside float.

    Both models take turns, so that a machine that becomes slower meanwhile slows both. Operators
    are matched by the names of their nodes; what a PSB operator took over counts with it.

    Args:
        model: a converted model, as for `analyze`.
        data: as for `analyze`; the first batch is run. None: random numbers, where the model gives
            the sizes of its inputs; `RandomData(1, dims={...})` gives the others.
        float_model: what `model` was converted from; None: its PSB operators in floating point
            with the stored weights.
        options: number of samples, of runs and threads, ...

    Returns:
        The operators, the slowest first, with the float model's time for the same work.

    Raises:
        ModelError: the model has no PSB operator, or cannot be run.
        OptionError: the native library is missing, `float_model` is not what `model` was made
            from, or the sizes of the inputs are not known.
        DataError: the data do not fit the models.

    Example:
        >>> import reluflow
        >>> made = reluflow.convert("models/fashion_resnet8.onnx", check=False)
        >>> few = reluflow.ProfileOptions(samples=4, runs=2, threads=1)
        >>> found = reluflow.profile_psb(
        ...     made.result.model, float_model="models/fashion_resnet8.onnx", options=few)
        >>> found.nodes[0].psb, sum(row.ms is not None for row in found.nodes)
        (True, 12)

    Reference: docs/psb.md, where the time goes.
    """
    loaded = load(model)
    ready = with_input_defaults(loaded).model
    floats = None if float_model is None else load(float_model)
    wanted = options or ProfileOptions()
    source = _opened(RandomData(1) if data is None else data, ready, wanted.batch_size)
    found = profile_model(ready, source, float_model=floats, options=wanted)
    return replace(found, path=str(loaded.path) if loaded.path else None)


def _refuse_converted(reference: Model | None) -> None:
    if reference is not None and find_psb(reference):
        raise OptionError(
            f"float_model is {str(reference.path or '<memory>')!r}, which is converted already; "
            "give the model that it was made from."
        )


def _refuse_conversion(psb: PsbOptions | None) -> None:
    if psb is not None:
        raise OptionError(
            "psb is given, but the model is converted already; leave it out, or give the float "
            "model."
        )


def _convert(model: Model, psb: PsbOptions, options: EvaluationOptions) -> Model:
    """Return the verified conversion of a float model, with the sampler used to evaluate it."""
    wanted = psb if options.sampler is None else replace(psb, sampler=options.sampler)
    made = convert_model(model, wanted).result
    if not made.done.converted:
        raise ModelError(nothing_to_convert(model, made.refused))
    return made.model


def _opened(data: Any, model: Model, batch_size: int | None) -> DataSource:
    """Open the data; of random ones as many as one batch needs."""
    source = open_data(data, model.inputs)
    if not isinstance(data, RandomData):
        return source
    idle = source.description.preprocessing.get("ignored", ())
    if idle:
        raise OptionError(
            f"dims has {idle[0]!r}, but no input has a free dimension of this name; leave it out."
        )
    n_inputs = max(data.n_samples, source.fitting_batch_size(batch_size, 1))
    return open_data(replace(data, n_samples=n_inputs), model.inputs)
