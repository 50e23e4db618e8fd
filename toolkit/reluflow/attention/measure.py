"""Accuracy and cost of a cascade at several thresholds, beside both passes alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.cascade import Cascade, CascadeRun, open_cascade
from reluflow.attention.judged import class_targets, metric_name
from reluflow.attention.options import CascadeOptions
from reluflow.attention.passes import Feeds, open_pass
from reluflow.attention.result import CascadePoint, CascadeReport, ChosenThreshold, PassResult
from reluflow.attention.scores import find_scores
from reluflow.attention.threshold import threshold_for_coverage, threshold_for_loss
from reluflow.data import DataSource
from reluflow.errors import OptionError
from reluflow.graph import Model, find_psb
from reluflow.progress import Progress

Answers = NDArray[np.int64]
_FEWEST = 2
"""Inputs that can be halved."""


def measure_cascade(
    coarse: Model,
    fine: Model,
    source: DataSource,
    labels: NDArray[Any] | None = None,
    *,
    float_model: Model | None = None,
    options: CascadeOptions | None = None,
    progress: Progress | None = None,
) -> CascadeReport:
    """Measure a cascade of two passes: what it keeps of pass 2, and what it saves.

    Every point is a real run over all inputs: its time is measured beside the shift-adds, which are
    counted. The thresholds for coverages come from the uncertainties of pass 1 on the same inputs,
    without labels. A threshold for a loss is chosen on one half of the inputs and tested on the
    other.

    Args:
        coarse: of pass 1: a converted model, or one in floating point.
        fine: of pass 2, with the same inputs and classes; may be the same model.
        source: the inputs; read several times.
        labels: `(n,)` class numbers, or rows with one 1. None: the float model's answers count as
            correct, without one those of pass 2.
        float_model: both were made from it; None: none is run.
        options: samples of both passes, measure of uncertainty, coverages, loss, ...
        progress: called as progress("measuring", runs done, runs).

    Returns:
        Both passes alone, and the cascade at each coverage.

    Raises:
        OptionError: samples do not suit a model, or two draws of pass 1 would be equal.
        DataError: there are no inputs, no output is a classifier's, all scores of pass 1 are NaN,
            labels do not fit, or the data can be read once only.

    Example:
        >>> from reluflow.data import open_data, read_labels
        >>> from reluflow.graph import load, to_psb
        >>> file = "models/fashion_mnist_test_2000.npz"
        >>> model = load("models/fashion_resnet8.onnx")
        >>> psb = to_psb(model).model
        >>> found = measure_cascade(
        ...     psb, psb, open_data(file, model.inputs, limit=60), read_labels(file, limit=60),
        ...     options=CascadeOptions((1, 16), coverages=(0.0, 0.25, 1.0)))
        >>> [point.coverage for point in found.points], found.metric
        ([0.0, 0.25, 1.0], 'accuracy')
        >>> found.points[0].value == found.coarse.value, found.points[2].value == found.fine.value
        (True, True)
        >>> found.cost(found.points[1]), found.speed(found.points[1]) > 0
        (0.3125, True)

    Reference: docs/attention.md; thesis 4.2.5 and docs/spec.md, section 8, for the measure and the
    cost.
    """
    settings = options or CascadeOptions()
    source.check_rereadable()
    bench = _Bench(coarse, fine, source, settings, progress)
    first = bench.run(math.inf)
    second, fine_ms = bench.fine_alone()
    right, float_answers = _right(bench, second, labels, float_model)
    coarse_value, fine_value = _share(first.first == right), _share(second == right)
    points = tuple(bench.points(first.uncertainty, right))
    scores = bench.scores
    return CascadeReport(
        metric=metric_name(labels is not None, float_model is not None),
        measure=settings.measure,
        n_inputs=len(right),
        coarse=PassResult(
            bench.cascade.coarse.name,
            coarse_value,
            bench.cascade.coarse.shift_adds,
            1000 * first.coarse_seconds / len(right),
        ),
        fine=PassResult(
            bench.cascade.fine.name, fine_value, bench.cascade.fine.shift_adds, fine_ms
        ),
        points=points,
        chosen=_choose(first, second, right, settings),
        float_value=None
        if labels is None or float_answers is None
        else _share(float_answers == right),
        output=scores.output,
        probabilities=scores.probabilities,
        notes=tuple(_notes(first, settings, fine)),
    )


class _Bench:
    """The cascade, the data and how often they are run."""

    def __init__(
        self,
        coarse: Model,
        fine: Model,
        source: DataSource,
        options: CascadeOptions,
        progress: Progress | None,
    ) -> None:
        self.options = options
        self.cascade = open_cascade(
            coarse,
            fine,
            options.samples,
            measure=options.measure,
            threshold=math.inf,
            output=options.output,
            seed=options.seed,
            threads=options.threads,
            native=options.native,
        )
        self._source, self._progress = source, progress
        self._runs = 0
        batch = next(iter(self.batches()))  # never empty
        for each in (self.cascade.coarse, self.cascade.fine):  # both once, before any is timed
            outputs = each.run(batch)[0][0]
            n = len(next(iter(batch.values())))
            self.scores = find_scores(outputs, each.makers, n, options.output)
            self.example = outputs[self.scores.output]

    def batches(self) -> Iterator[Feeds]:
        """Yield the data in batches that both passes take."""
        size = self.cascade.coarse.batch_size or self._source.fitting_batch_size(
            self.options.batch_size
        )
        return self._source.batches(size)

    def run(self, threshold: float) -> CascadeRun:
        """Run the whole cascade over the data."""
        found = replace(self.cascade, threshold=threshold).run_all(self.batches())
        self.tick()
        return found

    def fine_alone(self) -> tuple[Answers, float]:
        """Return the answers of pass 2 to all inputs, and its milliseconds for one."""
        cascade = self.cascade
        found = Cascade(cascade.fine, cascade.fine, "entropy", math.inf, cascade.output).run_all(
            self.batches()
        )
        self.tick()
        return found.first, 1000 * found.coarse_seconds / len(found.first)

    def points(self, unsure: NDArray[np.float64], right: Answers) -> Iterator[CascadePoint]:
        """Yield the cascade at each coverage, run anew."""
        for wanted in self.options.coverages:
            threshold = threshold_for_coverage(unsure, wanted)
            found = self.run(threshold)
            yield CascadePoint(
                wanted,
                threshold,
                found.coverage,
                _share(found.answers == right),
                found.shift_adds,
                1000 * found.seconds / len(right),
            )

    def answers_of(self, model: Model) -> Answers:
        """Return the classes that a model in floating point decides for."""
        exact = open_pass(model, threads=self.options.threads)
        found = Cascade(exact, exact, "entropy", math.inf, self.options.output).run_all(
            self.batches()
        )
        self.tick()
        return found.first

    def tick(self) -> None:
        self._runs += 1
        if self._progress is not None:
            self._progress("measuring", self._runs, None)


def _right(
    bench: _Bench, second: Answers, labels: NDArray[Any] | None, float_model: Model | None
) -> tuple[Answers, Answers | None]:
    """Return what counts as correct, and the float model's answers."""
    exact = None if float_model is None else bench.answers_of(float_model)
    if labels is None:
        return (second if exact is None else exact), exact
    rows = bench.scores.read(bench.example)
    return class_targets(bench.scores.output, rows, labels, len(second)), exact


def _choose(
    first: CascadeRun, second: Answers, right: Answers, options: CascadeOptions
) -> ChosenThreshold | None:
    """Choose a threshold on one half of the inputs, and test it on the other."""
    if options.loss is None:
        return None
    n = len(right)
    if n < _FEWEST:
        raise OptionError(
            f"loss is {options.loss}, but there is {n} input, which cannot be halved; give more."
        )
    order = np.random.default_rng(options.seed).permutation(n)
    tuning, test = order[: n // 2], order[n // 2 :]
    harmed = (second == right) & (first.first != right)
    threshold = threshold_for_loss(
        first.uncertainty[tuning], harmed[tuning], options.loss, options.confidence
    )
    refined = first.uncertainty[test] > threshold
    answers = np.where(refined, second[test], first.first[test])
    return ChosenThreshold(
        options.loss,
        options.confidence,
        threshold,
        len(tuning),
        len(test),
        _share(refined),
        _share(answers == right[test]),
        _share(second[test] == right[test]),
    )


def _notes(first: CascadeRun, options: CascadeOptions, fine: Model) -> Iterator[str]:
    lost = int(np.isposinf(first.uncertainty).sum())
    if lost:
        yield (
            f"Pass 1 gives NaN or infinite scores for {lost} of {len(first.answers)} inputs; they "
            "are the first to go on."
        )
    if options.samples[1] is not None and any(n.x_exponent is None for n in find_psb(fine)):
        yield (
            "Operators take the scales of activations from each run, so that an answer depends a "
            "little on the inputs beside it; convert with calibration data to fix them."
        )
    if 0.0 in options.coverages:
        yield "At coverage 0 nothing goes on: the answers are those of pass 1."
    if 1.0 in options.coverages:
        yield "At coverage 1 all inputs go on, so that pass 1 is made in vain."


def _share(which: NDArray[np.bool_]) -> float:
    return float(np.mean(which))
