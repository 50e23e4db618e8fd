"""Cascades of two passes, measured on data, as a function."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reluflow._api.deploy import as_converted
from reluflow.attention import CascadeOptions, CascadeReport, measure_cascade
from reluflow.data import open_data
from reluflow.errors import OptionError
from reluflow.evaluation import choose_answers
from reluflow.graph import Model, PsbOptions, find_psb, load, with_input_defaults
from reluflow.progress import Progress


def evaluate_cascade(
    model: Any,
    data: Any,
    labels: Any = None,
    *,
    cascade: str | CascadeOptions = "1/16",
    coarse: Any = None,
    float_model: Any = None,
    label_name: str | None = None,
    psb: PsbOptions | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> CascadeReport:
    """Measure a cascade: a cheap pass on every input, an exact one where the first is unsure.

    Args:
        model: of pass 2, and of pass 1 unless `coarse` is given: a converted classifier, or one in
            floating point, which is converted where samples are asked for.
        data: as for `analyze`; read several times.
        labels: class numbers, array or path (.npz, .npy, idx). None: the array `label_name` of the
            .npz given as `data`, else the float model's answers, or those of pass 2.
        cascade: the samples of both passes, such as "1/16" or "4/float", or all options.
        coarse: another model for pass 1, with the same inputs and classes.
        float_model: what `model` was converted from; it runs a pass that is "float".
        label_name: array of an .npz with the answers; by default "label", if there is one.
        psb: how a model in floating point is converted.
        limit: use the first so many inputs only.
        progress: called as progress("measuring", runs done, None).

    Returns:
        Both passes alone and the cascade at each coverage; the accuracy, counted shift-adds and
        measured time of each.

    Raises:
        OptionError: a pass in floating point has no float model, or samples do not suit a model.
        ModelError: there is nothing to convert.
        ReluflowError: bad model, data, labels or options, in one sentence.

    Example:
        >>> import reluflow
        >>> images = "models/fashion_mnist_test_2000.npz"  # with an array "label"
        >>> found = reluflow.evaluate_cascade(
        ...     "models/fashion_resnet8.onnx", images, cascade="1/16", limit=50)
        >>> found.coarse.name, found.fine.name, len(found.points) > 5
        ('1 sample', '16 samples', True)

    Reference: docs/attention.md; thesis 4.2.5.
    """
    options = CascadeOptions.of(cascade) if isinstance(cascade, str) else cascade
    given = load(model)
    reference = None if float_model is None else load(float_model)
    if reference is None and not find_psb(given):
        reference = given
    first = None if coarse is None else load(coarse)
    if psb is not None and find_psb(given) and (first is None or find_psb(first)):
        raise OptionError(
            "psb is given, but the models are converted already; leave it out, or give the float "
            "model."
        )
    passes = _passes(given, first, reference, options, psb)
    source = open_data(data, with_input_defaults(passes[1]).model.inputs, limit=limit)
    right, note = choose_answers(labels, data, label_name, limit=limit, has_float=True)
    found = measure_cascade(
        *passes, source, right, float_model=reference, options=options, progress=progress
    )
    if note is not None and reference is None:
        note = "There are no labels and no float model: the answers of pass 2 count as correct."
    return replace(found, notes=(*([note] if note else []), *found.notes))


def _passes(
    given: Model,
    coarse: Model | None,
    reference: Model | None,
    options: CascadeOptions,
    psb: PsbOptions | None,
) -> tuple[Model, Model]:
    """Return the models of both passes, converted where their samples ask for it."""
    if options.samples[1] is not None:
        fine = as_converted(given, psb)
    elif reference is not None:
        fine = reference
    else:
        raise OptionError(
            "float_model is missing, which is needed for a pass in floating point; name it."
        )
    if options.samples[0] is not None:
        return as_converted(coarse or given, psb), fine
    first = coarse or reference
    if first is None or find_psb(first):
        raise OptionError(
            "coarse is missing, which is needed for a first pass in floating point; name a smaller "
            "model that is not converted."
        )
    return first, fine
