"""Accuracy and cost of two passes over pairs of samples and ways to select pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.choose import random_region, with_margin
from reluflow.attention.judged import class_targets, metric_name
from reluflow.attention.maps.find import UncertaintyMap, open_map
from reluflow.attention.passes import Feeds, Pass, open_pass
from reluflow.attention.regional.result import AttentionRun
from reluflow.attention.regional.session import AttentionSession
from reluflow.attention.result import PassResult
from reluflow.attention.scores import Scores, find_scores
from reluflow.attention.table.options import AttentionOptions
from reluflow.attention.table.result import AttentionPoint, AttentionReport
from reluflow.data import DataSource
from reluflow.errors import DataError
from reluflow.graph import Model
from reluflow.progress import Progress

Answers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Key = tuple[tuple[int, int], bool, int]
"""Samples of both passes, whether pixels are drawn at random, margin."""


def measure_attention(
    model: Model,
    source: DataSource,
    labels: NDArray[Any] | None = None,
    *,
    float_model: Model | None = None,
    options: AttentionOptions | None = None,
    progress: Progress | None = None,
) -> AttentionReport:
    """Measure what two passes keep of the second on all pixels, and what they save.

    The region is where the map of uncertainties of pass 1 is above its mean, with and without a
    margin, and as many pixels at random; it is carried to every tensor as a scaled mask. Every
    point is a real run: its time is measured beside the shift-adds, which are counted.

    Args:
        model: a converted classifier.
        source: the inputs.
        labels: `(n,)` class numbers, or rows with one 1. None: the float model's answers count as
            correct, without one those of the most samples on all pixels.
        float_model: `model` was made from it; None: none is run.
        options: samples, margins, ...
        progress: called as progress("measuring", inputs done, inputs).

    Returns:
        Each number of samples on all pixels, and each pair with each way to select.

    Raises:
        ModelError: the model has no PSB operator.
        DataError: there are no inputs, no output is a classifier's, nothing tells how unsure the
            pixels are, or labels do not fit.

    Example:
        >>> from reluflow.data import open_data, read_labels
        >>> from reluflow.graph import load, to_psb
        >>> file = "models/fashion_mnist_test_2000.npz"
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> images = open_data(file, psb.inputs[:1], limit=20)
        >>> found = measure_attention(
        ...     psb, images, read_labels(file, limit=20), options=AttentionOptions((1,), (16,)))
        >>> [point.selection for point in found.points]
        ['entropy', 'random', 'entropy + margin 1', 'random, as with margin 1']
        >>> found.points[0].coverage == found.points[1].coverage, found.cost(found.points[0]) < 1
        (True, True)

    Reference: thesis 4.2.5, Table 4.2 and Figure 4.5; docs/attention.md.
    """
    settings = options or AttentionOptions()
    bench = _Bench(model, float_model, settings)
    size = bench.batch_size or source.fitting_batch_size(settings.batch_size)
    for batch in source.batches(size):
        bench.add(batch)
        if progress is not None:
            progress("measuring", bench.n, source.n_samples)
    return bench.report(labels)


class _Tally:
    """What runs of one kind gave so far."""

    def __init__(self) -> None:
        self._answers: list[Answers] = []
        self._adds: list[float | None] = []
        self._covered: list[float] = []
        self._ms = 0.0

    def add(self, answers: Answers, ms: float, adds: float | None, covered: float = 1.0) -> None:
        self._answers.append(answers)
        self._adds.append(adds)
        self._covered.append(covered)
        self._ms += ms

    @property
    def answers(self) -> Answers:
        return np.concatenate(self._answers)

    @property
    def ms(self) -> float:
        """Milliseconds for one input."""
        return self._ms / len(self.answers)

    @property
    def coverage(self) -> float:
        return self._mean(self._covered)

    @property
    def adds(self) -> float | None:
        """Shift-adds for one input."""
        known = [each for each in self._adds if each is not None]
        return self._mean(known) if len(known) == len(self._adds) else None

    def _mean(self, values: list[float]) -> float:
        sizes = [len(each) for each in self._answers]
        return float(np.average(values, weights=sizes))


class _Bench:
    """The session, every number of samples alone, and what they gave."""

    def __init__(self, model: Model, float_model: Model | None, options: AttentionOptions) -> None:
        self._options = options
        common: dict[str, Any] = {"threads": options.threads, "native": options.native}
        self._session = AttentionSession(model, **common)
        self._map: UncertaintyMap | None = None
        self._common = common
        seeds = (options.seed,)
        self._passes: dict[int | None, Pass] = {
            n: open_pass(model, n, seeds=seeds, **common)
            for n in sorted({*options.base, *options.refine})
        }
        if float_model is not None:
            self._passes[None] = open_pass(float_model, threads=options.threads)
        self._alone = {n: _Tally() for n in self._passes}
        self._points: dict[Key, _Tally] = {}
        self._scores: Scores | None = None
        self._rows: NDArray[Any] | None = None
        self._notes: tuple[str, ...] = ()
        self.n = 0

    @property
    def batch_size(self) -> int | None:
        """The number of inputs that the model is made for, None: any."""
        return next(iter(self._passes.values())).batch_size

    def add(self, batch: Feeds) -> None:
        """Run everything on a batch."""
        n = len(next(iter(batch.values())))
        if self._map is None:
            shapes, graph = self._session.first_graph(batch)
            self._map = open_map(self._session.fine, shapes, graph=graph, **self._common)
            self._session.unsure = self._map
        for samples, each in self._passes.items():
            if not self.n:
                each.run(batch)  # the first run of a session is not timed
            (outputs,), seconds = each.run(batch)
            adds = None if each.shift_adds is None else float(each.shift_adds)
            self._alone[samples].add(self._decide(outputs, n), 1e3 * seconds, adds)
        for pair in self._options.pairs:
            self._pair(batch, n, pair)
        self.n += n

    def _pair(self, batch: Feeds, n: int, pair: tuple[int, int]) -> None:
        """Run one pair of samples with every way to select."""
        seed = self._options.seed
        if not self.n:
            self._session.run(batch, pair, seed=seed)
        told = self._session.run(batch, pair, seed=seed)
        self._notes = told.notes
        choice = told.milliseconds["region"]
        for margin in self._options.margins:
            wide = np.stack([with_margin(mask, margin) for mask in told.region])
            if margin:
                self._keep((pair, False, margin), self._masked(batch, pair, told, wide), n, choice)
            else:
                self._keep((pair, False, 0), told, n, 0.0)
            if self._options.random:
                drawn = np.stack([self._drawn(mask, i) for i, mask in enumerate(wide, self.n)])
                self._keep((pair, True, margin), self._masked(batch, pair, told, drawn), n, 0.0)

    def _drawn(self, mask: Mask, number: int) -> Mask:
        seed = np.random.SeedSequence([self._options.seed, number]).generate_state(1)[0]
        return random_region(mask.shape, float(mask.mean()), int(seed))

    def _masked(
        self, batch: Feeds, pair: tuple[int, int], told: AttentionRun, mask: Mask
    ) -> AttentionRun:
        if not self.n:
            self._session.run(batch, pair, mask, tensor=told.tensor)
        return self._session.run(batch, pair, mask, tensor=told.tensor, seed=self._options.seed)

    def _keep(self, key: Key, run: AttentionRun, n: int, extra_ms: float) -> None:
        tally = self._points.setdefault(key, _Tally())
        ms = run.milliseconds["total"] + extra_ms
        tally.add(self._decide(run.answers, n), ms, run.shift_adds, run.coverage)

    def _decide(self, outputs: Mapping[str, NDArray[Any]], n: int) -> Answers:
        if self._scores is None:
            makers = next(iter(self._passes.values())).makers
            self._scores = find_scores(dict(outputs), makers, n, self._options.output)
        self._rows = self._scores.read(outputs[self._scores.output])
        return np.asarray(self._rows.argmax(axis=1), np.int64)

    def report(self, labels: NDArray[Any] | None) -> AttentionReport:
        """Return what all runs gave, judged by the labels."""
        if self._scores is None or self._rows is None or self._map is None:
            raise DataError("the data hold no inputs; give at least one.")
        most = max(n for n in self._alone if n is not None)
        exact = self._alone.get(None)
        right = self._alone[most].answers if exact is None else exact.answers
        if labels is not None:
            right = class_targets(self._scores.output, self._rows, labels, self.n)
        return AttentionReport(
            metric=metric_name(labels is not None, exact is not None),
            n_inputs=self.n,
            passes={n: self._alone_result(n, right) for n in self._alone if n is not None},
            points=tuple(self._point(key, right) for key in self._points),
            float_value=None
            if labels is None or exact is None
            else float(np.mean(exact.answers == right)),
            tensor=self._map.tensor,
            how=self._map.sentence(),
            notes=self._notes,
        )

    def _alone_result(self, n: int, right: Answers) -> PassResult:
        tally = self._alone[n]
        value = float(np.mean(tally.answers == right))
        return PassResult(self._passes[n].name, value, self._passes[n].shift_adds, tally.ms)

    def _point(self, key: Key, right: Answers) -> AttentionPoint:
        tally = self._points[key]
        value = float(np.mean(tally.answers == right))
        return AttentionPoint(*key, tally.coverage, value, tally.adds, tally.ms)
