"""A cascade at every coverage: what it keeps of pass 2, what it costs, how fast it runs."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from cascades.networks import Network
from numpy.typing import NDArray

from reluflow.attention import (
    Cascade,
    Pass,
    find_scores,
    open_pass,
    threshold_for_coverage,
    threshold_for_loss,
    uncertainty,
)

COVERAGES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1.0)
ACCEPTED = 0.003
"""Loss against pass 2 that thresholds are chosen for."""
Which = tuple[str, int | None]
"""A form and its number of samples; None in floating point."""


@dataclass
class Bench:
    """The passes of a network, each opened and run over all images once.

    Attributes:
        net: the network.
        timed: the first so many images are timed.
        rounds: of which the median counts.
    """

    net: Network
    timed: int
    rounds: int
    _passes: dict[Which, Pass] = field(default_factory=dict)
    _scores: dict[Which, NDArray[Any]] = field(default_factory=dict)

    def open(self, which: Which) -> Pass:
        """Return a pass of one thread."""
        if which not in self._passes:
            form, samples = which
            self._passes[which] = open_pass(self.net.forms[form], samples, threads=1)
        return self._passes[which]

    def scores(self, which: Which) -> NDArray[Any]:
        """Return the scores of all images, `(n, classes)`."""
        if which not in self._scores:
            each = self.open(which)
            found = [each.run(feeds)[0][0] for feeds in self._batches(len(self.net.images))]
            reads = find_scores(found[0], each.makers, self.net.batch)
            self._scores[which] = np.concatenate([reads.read(one[reads.output]) for one in found])
        return self._scores[which]

    def right(self) -> NDArray[Any]:
        """Return the classes that count as correct."""
        labels = self.net.labels
        return self.scores(("float", None)).argmax(axis=1) if labels is None else labels

    def cascade(self, measure: str, first: Which, second: Which, threshold: float) -> Cascade:
        """Return a cascade of two passes."""
        return Cascade(self.open(first), self.open(second), measure, threshold)

    def speed(self, measure: str, first: Which, second: Which, coverage: float) -> float:
        """Return the time of pass 2 alone over that of the cascade, both in turn.

        Raises:
            RuntimeError: the cascade answers otherwise than its passes did alone.
        """
        scores = self.scores(first)[: self.timed]
        unsure, _ = uncertainty((scores,), measure)
        cascade = self.cascade(measure, first, second, threshold_for_coverage(unsure, coverage))
        one, two = (self.scores(each)[: self.timed].argmax(axis=1) for each in (first, second))
        expected = np.where(unsure > cascade.threshold, two, one)
        alone = replace(cascade, coarse=cascade.fine, threshold=math.inf)
        ratios = []
        for number in range(self.rounds):
            seconds = {}
            for which in ("cascade", "alone") if number % 2 else ("alone", "cascade"):
                run = (cascade if which == "cascade" else alone).run_all(self._batches(self.timed))
                if which == "cascade" and (run.answers != expected).any():
                    raise RuntimeError(f"a cascade of {first} and {second} answers otherwise.")
                # what pass 2 alone answers need not be judged
                seconds[which] = run.seconds if which == "cascade" else run.coarse_seconds
            ratios.append(seconds["alone"] / seconds["cascade"])
        return statistics.median(ratios)

    def _batches(self, n: int) -> list[dict[str, NDArray[Any]]]:
        name, size = self.net.forms["float"].inputs[0].name, self.net.batch
        return [{name: self.net.images[at : min(n, at + size)]} for at in range(0, n, size)]


def measure(bench: Bench, unsure: str, first: Which, second: Which) -> dict[str, Any]:
    """Return a cascade at every coverage, and with thresholds that were chosen on other images."""
    net, right = bench.net, bench.right()
    coarse, fine = (bench.scores(which).argmax(axis=1) for which in (first, second))
    values, _ = uncertainty((bench.scores(first),), unsure)
    adds = tuple(bench.open(which).shift_adds for which in (first, second))

    def point(refined: NDArray[np.bool_]) -> dict[str, Any]:
        coverage = float(refined.mean())
        value = float((np.where(refined, fine, coarse) == right).mean())
        return {
            "coverage": coverage,
            "value": value,
            "loss_points": 100 * (float((fine == right).mean()) - value),
            "shift_adds": None
            if adds[0] is None or adds[1] is None
            else (adds[0] + coverage * adds[1]) / adds[1],
            "speed": bench.speed(unsure, first, second, coverage),
        }

    points = [point(values > threshold_for_coverage(values, each)) for each in COVERAGES]
    harmed, helped = (fine == right) & (coarse != right), (fine != right) & (coarse == right)
    refined = np.zeros(len(values), bool)
    for half in (net.half, ~net.half):
        tuning = values[half], harmed[half], ACCEPTED, None
        refined[~half] = values[~half] > threshold_for_loss(*tuning, helped=helped[half])
    return {
        "unsure": unsure,
        "metric": "agreement with float" if net.labels is None else "accuracy",
        "n_inputs": len(values),
        "coarse": float((coarse == right).mean()),
        "fine": float((fine == right).mean()),
        "float": float((bench.scores(("float", None)).argmax(axis=1) == right).mean()),
        "points": points,
        "kept": next(each for each in points if each["loss_points"] <= 100 * ACCEPTED + 1e-9),
        "halves": point(refined),
    }
