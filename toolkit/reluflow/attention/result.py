"""The records of a measured cascade."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from reluflow.evaluation.result import finite
from reluflow.frames import Shown, Tabular, flat


@dataclass(frozen=True, slots=True)
class PassResult:
    """One pass alone on all inputs; part of what `measure_cascade` returns.

    Attributes:
        name: what runs: "16 samples" or "float".
        value: its accuracy or agreement, in [0, 1].
        shift_adds: for one input; None in floating point, or where shapes do not tell.
        ms: milliseconds for one input.
    """

    name: str
    value: float
    shift_adds: int | None
    ms: float


@dataclass(frozen=True, slots=True)
class CascadePoint:
    """A cascade at one threshold; part of what `measure_cascade` returns.

    Attributes:
        wanted: the coverage that the threshold was chosen for.
        threshold: of the uncertainty; infinite where nothing goes on, -infinite where all do.
        coverage: fraction in [0, 1] of the inputs that went on to pass 2.
        value: accuracy or agreement of the cascade, in [0, 1].
        shift_adds: mean for one input; None where a pass does not tell.
        ms: measured milliseconds for one input, all of the cascade.
    """

    wanted: float
    threshold: float
    coverage: float
    value: float
    shift_adds: float | None
    ms: float


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """A threshold for a loss, and what it keeps of it on other inputs.

    It is part of what `measure_cascade` returns.

    Example:
        >>> found = ChosenThreshold(0.003, 0.95, 0.4, 1000, 1000, 0.2, 0.909, 0.91)
        >>> found.sentence().partition(", chosen")[0]
        'For a loss of at most 0.3 points against pass 2 with confidence 0.95'

    Attributes:
        loss: wanted, against pass 2.
        confidence: with which it is kept.
        threshold: chosen on the tuning half.
        n_tuning: inputs of the tuning half.
        n_test: inputs of the other half.
        coverage: fraction in [0, 1] of the other half that goes on.
        value: accuracy or agreement of the cascade on the other half.
        fine_value: that of pass 2 there.
    """

    loss: float
    confidence: float
    threshold: float
    n_tuning: int
    n_test: int
    coverage: float
    value: float
    fine_value: float

    def sentence(self) -> str:
        """Return what was wanted, found and kept."""
        what = f"loss of at most {100 * self.loss:g} points against pass 2"
        if self.threshold == -math.inf:
            return (
                f"For a {what}, {self.n_tuning} inputs are too few to let pass 1 keep any with "
                f"confidence {self.confidence:g}: all go on; give more inputs, or accept more loss."
            )
        lost = 100 * (self.fine_value - self.value)
        return (
            f"For a {what} with confidence {self.confidence:g}, chosen on {self.n_tuning} inputs: "
            f"threshold {self.threshold:.4g}; on the other {self.n_test} it sends on "
            f"{100 * self.coverage:.1f}% and loses {lost:.2f} points."
        )


@dataclass(frozen=True, slots=True, repr=False)
class CascadeReport(Tabular):
    """What a cascade keeps and saves at each threshold, as returned by `measure_cascade`.

    Attributes:
        metric: "accuracy", "agreement with float" or "agreement with pass 2".
        measure: of the uncertainty.
        n_inputs: number of inputs.
        coarse: pass 1 alone.
        fine: pass 2 alone.
        points: one per coverage, in the order of the options.
        chosen: the threshold for a loss; None: none was wanted.
        float_value: the float model's accuracy; None where there is none, or it is what all is
            judged by.
        output: the output that the scores come from.
        probabilities: it gives probabilities, otherwise scores that a softmax is taken of.
        notes: sentences that the reader should know.
    """

    metric: str
    measure: str
    n_inputs: int
    coarse: PassResult
    fine: PassResult
    points: tuple[CascadePoint, ...]
    chosen: ChosenThreshold | None
    float_value: float | None
    output: str
    probabilities: bool
    notes: tuple[str, ...] = ()

    _shown: ClassVar[Shown] = {
        "runs": ("runs", "text"),
        "score": ("value", "share"),
        "goes on": ("coverage", "share"),
        "threshold": ("threshold", "number"),
        "cost": ("cost", "number"),
        "ms": ("ms", "ms"),
        "speed": ("speed", "number"),
    }

    def _heading(self) -> str:
        return f"{self.metric} of a cascade on {self.n_inputs:,} inputs, unsure by {self.measure}"

    def _records(self) -> Sequence[dict[str, Any]]:
        dense = self.fine.shift_adds
        alone = [
            {
                "runs": each.name,
                "wanted": None,
                "threshold": None,
                "coverage": None,
                "value": each.value,
                "shift_adds": each.shift_adds,
                "ms": each.ms,
                "cost": None if each.shift_adds is None or not dense else each.shift_adds / dense,
                "speed": self.fine.ms / each.ms,
            }
            for each in (self.coarse, self.fine)
        ]
        both = [
            {"runs": "cascade", **flat(point), "cost": self.cost(point), "speed": self.speed(point)}
            for point in self.points
        ]
        return [*alone, *both]

    def _sentences(self) -> Sequence[str]:
        return [*([] if self.chosen is None else [self.chosen.sentence()]), *self.notes]

    def speed(self, point: CascadePoint) -> float:
        """Return how many times as fast as pass 2 alone a cascade ran.

        Args:
            point: one of `points`.
        """
        return self.fine.ms / point.ms

    def cost(self, point: CascadePoint) -> float | None:
        """Return a cascade's shift-adds over those of pass 2 alone; None where they are unknown.

        Args:
            point: one of `points`.
        """
        return None if point.shift_adds is None else point.shift_adds / (self.fine.shift_adds or 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; thresholds that are not finite become None."""
        found: dict[str, Any] = finite(asdict(self))
        return found
