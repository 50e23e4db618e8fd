"""The cascade: a cheap pass on every input, an exact one where the first is unsure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.passes import Feeds, Pass, open_pass
from reluflow.attention.scores import Scores, find_scores
from reluflow.attention.uncertainty import check_measure, uncertainty
from reluflow.errors import DataError
from reluflow.graph import Model
from reluflow.progress import Progress

_BATCH = 64
"""Inputs that pass 2 waits for, where the model does not say."""


@dataclass(frozen=True, slots=True)
class CascadeRun:
    """What a cascade answers and what that took, as returned by the `run` of a `Cascade`.

    Attributes:
        answers: `(n,)` class numbers; -1 where the scores are NaN.
        first: `(n,)` class numbers of pass 1.
        uncertainty: `(n,)` of pass 1; infinite where its scores are NaN.
        refined: `(n,)` which inputs went on to pass 2.
        coarse_seconds: of the runs of pass 1.
        fine_seconds: of the runs of pass 2.
        seconds: of all, with what is between the runs.
        shift_adds: mean for one input; None where a pass does not tell.
    """

    answers: NDArray[np.int64]
    first: NDArray[np.int64]
    uncertainty: NDArray[np.float64]
    refined: NDArray[np.bool_]
    coarse_seconds: float
    fine_seconds: float
    seconds: float
    shift_adds: float | None

    @property
    def coverage(self) -> float:
        """Fraction in [0, 1] of the inputs that went on to pass 2."""
        return float(self.refined.mean())


@dataclass
class Cascade:
    """Two passes and the threshold between them, as returned by `open_cascade`.

    Attributes:
        coarse: pass 1.
        fine: pass 2.
        measure: what tells how unsure pass 1 is.
        threshold: inputs above it go on.
        output: name of the output with the scores; None: the first that has any.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> model = load("models/fashion_resnet8.onnx")
        >>> psb = to_psb(model).model
        >>> cascade = open_cascade(psb, psb, (1, 16), threshold=0.5)
        >>> images = {"image": np.load("models/fashion_mnist_test_2000.npz")["image"][:20]}
        >>> found = cascade.run(images)
        >>> found.answers.shape, (found.refined == (found.uncertainty > 0.5)).all().item()
        ((20,), True)
        >>> halves = [{"image": images["image"][:10]}, {"image": images["image"][10:]}]
        >>> (cascade.run_all(halves).first == found.first).all().item()
        True
    """

    coarse: Pass
    fine: Pass
    measure: str
    threshold: float
    output: str | None = None
    _reads: dict[str, Scores] = field(default_factory=dict, init=False, repr=False)

    def run(self, feeds: Feeds) -> CascadeRun:
        """Answer one batch.

        Args:
            feeds: input -> `(n, ...)`.

        Returns:
            A `CascadeRun`: the answers, and which inputs went on.

        Raises:
            DataError: no output has scores of classes, or all of pass 1's are NaN.
        """
        return self.run_all([feeds])

    def run_all(
        self, batches: Iterable[Feeds], progress: Progress | None = None, total: int | None = None
    ) -> CascadeRun:
        """Answer many batches; unsure inputs of several wait until pass 2 has a batch.

        Args:
            batches: input -> `(n, ...)` each.
            progress: called as progress("running", inputs done, `total`).
            total: number of inputs, where it is known.

        Returns:
            A `CascadeRun`, in the order of the inputs.

        Raises:
            DataError: there are no inputs, no output has scores of classes, or all of pass 1's are
                NaN.
        """
        start = time.perf_counter()
        parts, waiting = _Parts(), _Waiting(self.fine.batch_size)
        for feeds in batches:
            draws, seconds = self.coarse.run(feeds)
            unsure, p = self._judge(self.coarse, "pass 1", draws)
            waiting.longest = max(waiting.longest, len(unsure))
            refined = unsure > self.threshold
            parts.add(unsure, _decide(p), refined, seconds)
            waiting.add(feeds, np.flatnonzero(refined) + parts.n - len(unsure), refined)
            for at, rows in waiting.full():
                self._refine(parts, at, rows)
            if progress is not None:
                progress("running", parts.n, total)
        for at, rows in waiting.rest():
            self._refine(parts, at, rows)
        return parts.result(time.perf_counter() - start, self.coarse, self.fine)

    def _refine(self, parts: _Parts, at: NDArray[np.int64], rows: Feeds) -> None:
        draws, seconds = self.fine.run(rows)
        reads = self._reads_of(self.fine, "pass 2", draws[0])
        parts.answers[at] = _decide(reads.read(draws[0][reads.output]))
        parts.fine_seconds += seconds

    def _judge(self, each: Pass, name: str, draws: Any) -> tuple[Any, Any]:
        reads = self._reads_of(each, name, draws[0])
        scores = tuple(reads.read(draw[reads.output]) for draw in draws)
        return uncertainty(scores, self.measure, probabilities=reads.probabilities)

    def _reads_of(self, each: Pass, name: str, outputs: dict[str, NDArray[Any]]) -> Scores:
        if name not in self._reads:
            n = len(next(iter(outputs.values()))) if outputs else 0
            self._reads[name] = find_scores(outputs, each.makers, n, self.output)
            classes = {reads.classes for reads in self._reads.values()}
            if len(classes) > 1:
                raise DataError(
                    f"pass 1 knows {self._reads['pass 1'].classes} classes and pass 2 "
                    f"{self._reads['pass 2'].classes}; give two models of the same classes."
                )
        return self._reads[name]


class _Parts:
    """What is known of the inputs so far."""

    def __init__(self) -> None:
        self._unsure: list[NDArray[np.float64]] = []
        self._refined: list[NDArray[np.bool_]] = []
        self._first: list[NDArray[np.int64]] = []
        self.answers = np.zeros(0, np.int64)
        self.coarse_seconds = self.fine_seconds = 0.0

    @property
    def n(self) -> int:
        return len(self.answers)

    def add(self, unsure: Any, first: Any, refined: Any, seconds: float) -> None:
        self._unsure.append(unsure)
        self._first.append(first)
        self._refined.append(refined)
        self.answers = np.concatenate([self.answers, first])
        self.coarse_seconds += seconds

    def result(self, seconds: float, coarse: Pass, fine: Pass) -> CascadeRun:
        if not self.n:
            raise DataError("the data hold no inputs; give at least one.")
        unsure, refined = np.concatenate(self._unsure), np.concatenate(self._refined)
        if np.isposinf(unsure).all():
            raise DataError(
                f"pass 1 ({coarse.name}) gives NaN or infinite scores for all {self.n} inputs, so "
                "nothing tells how sure it is; look at the model with reluflow analyze."
            )
        adds = None
        if coarse.shift_adds is not None and fine.shift_adds is not None:
            adds = coarse.shift_adds + float(refined.mean()) * fine.shift_adds
        return CascadeRun(
            self.answers,
            np.concatenate(self._first),
            unsure,
            refined,
            self.coarse_seconds,
            self.fine_seconds,
            seconds,
            adds,
        )


class _Waiting:
    """Inputs that wait for pass 2."""

    def __init__(self, fixed: int | None) -> None:
        self._fixed = fixed
        self.longest = 0
        self._at: list[int] = []
        self._rows: list[dict[str, NDArray[Any]]] = []

    def add(self, feeds: Feeds, at: NDArray[np.int64], refined: NDArray[np.bool_]) -> None:
        for number, row in zip(at, np.flatnonzero(refined), strict=True):
            self._at.append(int(number))
            # copied: what a source has yielded may be overwritten
            self._rows.append({name: array[row : row + 1].copy() for name, array in feeds.items()})

    def full(self) -> Iterator[tuple[NDArray[np.int64], Feeds]]:
        size = self._fixed or max(1, min(self.longest, _BATCH))
        while len(self._at) >= size:
            yield self._take(size)

    def rest(self) -> Iterator[tuple[NDArray[np.int64], Feeds]]:
        if self._at:
            yield self._take(len(self._at))

    def _take(self, size: int) -> tuple[NDArray[np.int64], Feeds]:
        at, rows = self._at[:size], self._rows[:size]
        self._at, self._rows = self._at[size:], self._rows[size:]
        return np.array(at), {k: np.concatenate([row[k] for row in rows]) for k in rows[0]}


def _decide(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class of each row, -1 where there is none."""
    found: NDArray[np.int64] = scores.argmax(axis=1).astype(np.int64)
    found[np.isnan(scores).any(axis=1)] = -1
    return found


def open_cascade(
    coarse: Model,
    fine: Model,
    samples: tuple[int | None, int | None],
    *,
    measure: str = "entropy",
    threshold: float,
    output: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    native: bool | None = None,
) -> Cascade:
    """Open two models, or one at two precisions, as a cascade.

    Args:
        coarse: of pass 1; converted or in floating point.
        fine: of pass 2, with the same inputs and classes; may be the same model.
        samples: of pass 1 and of pass 2; None for a model in floating point.
        measure: "entropy" in bits, "margin" (1 minus the distance of the two largest
            probabilities), "ratio" (the second largest over the largest) or "disagreement" of two
            draws of pass 1.
        threshold: inputs with a larger uncertainty go on to pass 2.
        output: name of the output with the scores; None: the first that has any.
        seed: of all draws; the second draw of pass 1 takes the next.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.

    Returns:
        The cascade, whose `run` answers a batch.

    Raises:
        OptionError: there is no such measure, samples do not suit a model, or two draws of pass 1
            would be equal.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> model = load("models/fashion_resnet8.onnx")
        >>> cascade = open_cascade(to_psb(model).model, model, (2, None), threshold=0.5)
        >>> cascade.coarse.name, cascade.fine.name
        ('2 samples', 'float')

    Reference: docs/attention.md; thesis 4.2.5, where the parts of one image take the place of
    inputs.
    """
    check_measure(measure)
    seeds = (seed, seed + 1) if measure == "disagreement" else (seed,)
    return Cascade(
        open_pass(coarse, samples[0], seeds=seeds, threads=threads, native=native),
        open_pass(fine, samples[1], seeds=(seed,), threads=threads, native=native),
        measure,
        threshold,
        output,
    )
