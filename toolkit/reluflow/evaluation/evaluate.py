"""How well a converted model works at each number of samples, compared with float and int8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.errors import DataError, OptionError
from reluflow.evaluation.answers.metrics import (
    METRICS,
    Metric,
    MetricFunction,
    Values,
    accuracy,
    find_metric,
)
from reluflow.evaluation.answers.outputs import choose_task, run_arrays
from reluflow.evaluation.answers.task import Task
from reluflow.evaluation.bench import Bench, Exact, results
from reluflow.evaluation.describe import describe_psb
from reluflow.evaluation.explain import explain
from reluflow.evaluation.options import EvaluationOptions
from reluflow.evaluation.result import (
    Evaluation,
    LayerSensitivity,
    Neighbour,
    PsbDescription,
    SamplePoint,
)
from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.evaluation.saturation import measure_saturation
from reluflow.graph import Model, find_psb, fold_batchnorm, output_makers, plan_psb, psb_alone
from reluflow.progress import Progress
from reluflow.sessions import Session, open_session, static_int8


def evaluate(
    model: Model,
    source: DataSource,
    labels: NDArray[Any] | None = None,
    *,
    float_model: Model | None = None,
    metric: str | MetricFunction | None = None,
    options: EvaluationOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a converted model at several numbers of samples.

    What an output means (class numbers, scores of classes, one logit or probability, a map,
    plain numbers) is inferred from its type, its shape and the labels, and stated in the result's
    `task`. In addition to the metric the result has the SQNR of every output against the float
    model, which reveals what decisions hide. With the native library a run draws its samples;
    without it the same draws are baked into the weights of a model that needs no library. Both give
    the same metric up to the rounding of float32 sums.

    Args:
        model: of `to_psb`.
        source: the inputs; read several times.
        labels: `(n, ...)` correct answers: class numbers, maps of them, bits or numbers. Pixels
            labelled 255 or below 0 are ignored. None: the float model's answers count as correct.
        float_model: the original model; needed without labels, for int8 and for the sensitivity of
            layers.
        metric: a name of `METRICS`, or any function of the output (all inputs, as the model
            gives it) and the labels, larger is better; None: what suits the output.
        options: settings.
        progress: called as progress("measuring", runs done, None).

    Returns:
        The metric at each precision, with float and int8, and the cost of the model.

    Raises:
        OptionError: the float model is needed and was not given; no such metric or output.
        DataError: the number of labels is not that of the inputs, the labels fit no output, or
            the data cannot be read a second time.

    Example:
        >>> from reluflow.data import open_data, read_labels
        >>> from reluflow.graph import load, to_psb
        >>> model, file = load("models/fashion_resnet8.onnx"), "models/fashion_mnist_test_2000.npz"
        >>> images = open_data(file, model.inputs, limit=40)
        >>> found = evaluate(
        ...     to_psb(model).model, images, read_labels(file, limit=40), float_model=model,
        ...     options=EvaluationOptions(samples=(1, 16), seeds=1))
        >>> found.metric, [point.samples for point in found.points]
        ('accuracy', [1, 16])
        >>> found.loss(found.float_value)
        0.0
        >>> found.points[0].outputs[0].sqnr_db < found.points[1].outputs[0].sqnr_db
        True

    Reference: thesis 4.2.3, Fig. 4.3 and Table 4.2; docs/spec.md, section 7.
    """
    options = options or EvaluationOptions()
    wanted = _metric(metric, options)
    description = describe_psb(model)
    _check(source, labels, float_model, options)
    runner = _runner(model, options)
    bench = _bench(model, float_model, runner, source, labels, wanted, options, progress)
    exact = _float_values(bench)
    int8, int8_bytes = _int8(bench, float_model)
    seeds = tuple(range(options.seeds))
    nearest, errors = bench.point(runner, 0, seeds[:1])
    measured = {0: errors}
    saturation = measure_saturation(
        model,
        source,
        size=options.batch_size,
        threads=options.threads,
        native=options.native,
    )
    points = []
    for n in sorted(set(options.samples)):
        point, measured[n] = bench.point(runner, n, seeds)
        points.append(replace(point, mean_samples=description.mean_samples(n)))
    task = bench.task
    neighbours = (Neighbour("nearest", nearest.mean, nearest.more, nearest.outputs), int8, exact)
    return Evaluation(
        psb=description,
        metric=_shown(task.metrics[0], labels),
        n_inputs=bench.n_inputs,
        seeds=seeds,
        points=tuple(points),
        nearest=nearest.mean,
        float_value=exact.value if exact else None,
        float_bytes=float_model.size_bytes if float_model else None,
        int8_value=int8.value if int8 else None,
        int8_bytes=int8_bytes,
        sensitivity=tuple(_sensitivity(model, float_model, bench, exact)),
        saturation=saturation,
        native=runner.native,
        notes=(*_notes(bench, runner, labels), *_own_samples(description, points)),
        task=task.sentence,
        output=task.output,
        share=task.metrics[0].share,
        higher_is_better=task.metrics[0].higher_is_better,
        more=tuple(_shown(each, labels) for each in task.metrics[1:]),
        more_shares=tuple(each.share for each in task.metrics[1:]),
        neighbours=tuple(each for each in neighbours if each is not None),
        findings=explain(model, source, saturation, measured, options),
    )


def _runner(model: Model, options: EvaluationOptions) -> Runner:
    return Runner(
        model,
        options.threads,
        options.native,
        sampler=options.sampler,
        rounded_below=ROUNDED_BELOW,
    )


def _metric(metric: str | MetricFunction | None, options: EvaluationOptions) -> Metric | None:
    """Return the requested metric, None where the output determines it."""
    if metric is accuracy:
        return METRICS["accuracy"]
    if metric is not None and not isinstance(metric, str):
        name = options.metric or str(getattr(metric, "__name__", "<lambda>"))
        return Metric("metric" if name == "<lambda>" else name, metric, share=False)
    wanted = metric if metric is not None else options.metric
    return None if wanted is None else find_metric(wanted)


def _shown(metric: Metric, labels: Values | None) -> str:
    """Return a metric's name; without labels it is measured against the float model."""
    if labels is not None:
        return metric.name
    return "agreement with float" if metric.name == "accuracy" else f"{metric.name} to float"


def _bench(
    model: Model,
    float_model: Model | None,
    runner: Runner,
    source: DataSource,
    labels: Values | None,
    metric: Metric | None,
    options: EvaluationOptions,
    progress: Progress | None,
) -> Bench:
    """Examine the outputs for the first batch, and decide how they are read."""
    exact = None if float_model is None else open_session(float_model, threads=options.threads)
    session, extra = (exact, {}) if exact is not None else runner.at(0, 0)
    outputs, n_inputs = _first(session, source, extra, options)
    makers = output_makers(float_model or model)

    def choose(wanted: Metric | None) -> Task:
        return choose_task(
            outputs,
            labels,
            makers,
            n_inputs=n_inputs,
            metric=wanted,
            output=options.output,
            threshold=options.threshold,
        )

    task = choose(metric)
    kept = None if exact is None else Exact(exact)
    bench = Bench(source, options, task, kept, outputs, progress)
    if labels is not None:
        bench.answers = task.targets(np.asarray(labels))
    elif task.kind == "output":  # a function receives the float model's decisions as labels
        bench.answers = bench.read_exact(replace(choose(None), output=task.output))
    else:
        bench.answers = bench.read_exact(task)
    return bench


def _first(
    session: Session, source: DataSource, extra: Mapping[str, Any], options: EvaluationOptions
) -> tuple[dict[str, Values], int]:
    """Return the outputs for the first batch, and how many inputs it has."""
    batch = next(source.batches(source.fitting_batch_size(options.batch_size)))  # never empty
    return run_arrays(session, {**batch, **extra}), len(next(iter(batch.values())))


def _float_values(bench: Bench) -> Neighbour | None:
    if bench.exact is None:
        return None
    value, *more = bench.score(bench.read_exact(bench.task))
    return Neighbour("float32", value, tuple(more), ())


def _int8(bench: Bench, float_model: Model | None) -> tuple[Neighbour | None, int | None]:
    """Measure ONNX Runtime's int8 on request; return it and the bytes of its file."""
    if not bench.options.int8 or float_model is None:
        return None, None
    model = static_int8(fold_batchnorm(float_model).model, bench.sample())
    errors = bench.errors()
    session = open_session(model, threads=bench.options.threads)
    value, *more = bench.score(bench.read(session, {}, errors))
    return Neighbour("int8", value, tuple(more), results(errors)), model.size_bytes


def _notes(bench: Bench, runner: Runner, labels: Values | None) -> Iterator[str]:
    if not runner.native:
        yield "The native library did not run: the draws were baked into the weights for each run."
    if labels is not None and bench.exact is None:
        yield "No float model was given, so losses and SQNR are left out."
    counts = None if bench.answers is None else bench.task.judged(bench.answers)
    if counts is not None:
        yield f"{1 - counts.mean():.1%} of the labels are 255 or negative and are left out."
    wanted = {*bench.options.samples, *filter(None, [bench.options.sensitivity])}
    if bench.options.seeds > 1 and all(map(runner.is_certain, wanted)):
        yield (
            "Nothing is drawn at these numbers of samples: each was run once, and stands for all "
            f"{bench.options.seeds} seeds."
        )
    rounded = [n for n in sorted(wanted) if runner.sampler(n) != runner.sampler(ROUNDED_BELOW)]
    if rounded:
        yield (
            f"n = {' and '.join(map(str, rounded))}: rounded to nearest, which below "
            f"{ROUNDED_BELOW} samples is closer to the float model than any draw; "
            "give a sampler to draw there too."
        )


def _own_samples(model: PsbDescription, points: Sequence[SamplePoint]) -> Iterator[str]:
    if all(layer.factor == 1 for layer in model.layers):
        return
    means = [point for point in points if point.mean_samples is not None]
    figures = ", ".join(f"{point.mean_samples:.2f} at n = {point.samples}" for point in means)
    yield (
        "Operators have their own numbers of samples, a multiple of n"
        + (f"; on average over the multiplications {figures}." if figures else ".")
    )


def _check(
    source: DataSource,
    labels: Values | None,
    float_model: Model | None,
    options: EvaluationOptions,
) -> None:
    needs = {
        "labels": labels is None,
        "int8": options.int8,
        "sensitivity": options.sensitivity is not None,
    }
    for name, needed in needs.items():
        if needed and float_model is None:
            what = "without labels" if name == "labels" else f"for {name}"
            raise OptionError(f"float_model is missing, which is needed {what}; name it.")
    source.check_rereadable()
    known = source.n_samples
    if labels is not None and known is not None and len(labels) != known:
        raise DataError(
            f"there are {len(labels)} labels for {known} inputs; give one label an input."
        )


def _sensitivity(
    model: Model, float_model: Model | None, bench: Bench, exact: Neighbour | None
) -> Iterator[LayerSensitivity]:
    """Take one layer at a time from the converted model, and measure at a low number of samples."""
    samples = bench.options.sensitivity
    if samples is None or float_model is None or exact is None:
        return
    plan = plan_psb(float_model)
    for node in find_psb(model):
        single = psb_alone(plan, model, node.name).model
        runner = _runner(single, bench.options)
        point, _ = bench.point(runner, samples, tuple(range(bench.options.seeds)))
        loss = bench.task.metrics[0].loss(exact.value, point.mean)
        yield LayerSensitivity(node.name, point, loss)
