"""The records of a measured table of attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from reluflow.attention.result import PassResult
from reluflow.evaluation.result import finite
from reluflow.frames import Shown, Tabular, flat


@dataclass(frozen=True, slots=True)
class AttentionPoint:
    """Two passes with one way to select; part of what `measure_attention` returns.

    Attributes:
        samples: of pass 1 and of pass 2: `psb j/k`.
        random: whether as many pixels were drawn at random instead of the unsure ones.
        margin: pixels of the map added around the unsure ones, or as many as that gives.
        coverage: mean fraction in [0, 1] of the map's pixels in the region.
        value: accuracy or agreement, in [0, 1].
        shift_adds: mean of both passes for one input, by the theory; None where shapes do not tell.
        ms: measured milliseconds for one input: both passes and the choice.

    Example:
        >>> AttentionPoint((1, 32), False, 1, 0.7, 0.9, 100.0, 1.0).selection
        'entropy + margin 1'
    """

    samples: tuple[int, int]
    random: bool
    margin: int
    coverage: float
    value: float
    shift_adds: float | None
    ms: float

    @property
    def selection(self) -> str:
        """The way to select, in words."""
        if self.random:
            return f"random, as with margin {self.margin}" if self.margin else "random"
        return f"entropy + margin {self.margin}" if self.margin else "entropy"


@dataclass(frozen=True, slots=True, repr=False)
class AttentionReport(Tabular):
    """What attention keeps and saves, as returned by `measure_attention`.

    Attributes:
        metric: "accuracy", "agreement with float" or "agreement with pass 2".
        n_inputs: number of inputs.
        passes: number of samples -> all pixels computed with it.
        points: the pairs of samples, each with every way to select.
        float_value: the float model's accuracy; None where there is none, or it is what all is
            judged by.
        tensor: whose pixels are chosen.
        how: a sentence on what tells how unsure they are.
        notes: sentences that the reader should know.

    Example:
        >>> passes = {n: PassResult(f"{n} samples", 0.9, 100 * n, 2.0) for n in (1, 16)}
        >>> point = AttentionPoint((1, 16), False, 0, 0.25, 0.9, 500.0, 1.0)
        >>> found = AttentionReport("accuracy", 10, passes, (point,), None, "map", "by its map")
        >>> found.cost(point), found.speed(point)
        (0.3125, 2.0)
    """

    metric: str
    n_inputs: int
    passes: dict[int, PassResult]
    points: tuple[AttentionPoint, ...]
    float_value: float | None
    tensor: str
    how: str
    notes: tuple[str, ...] = ()

    _shown: ClassVar[Shown] = {
        "samples": ("runs", "text"),
        "pixels of pass 2": ("selection", "text"),
        "score": ("value", "share"),
        "region": ("coverage", "share"),
        "cost": ("cost", "number"),
        "ms": ("ms", "ms"),
        "speed": ("speed", "number"),
    }

    def _heading(self) -> str:
        return f"{self.metric} with attention on {self.n_inputs:,} inputs, pixels of {self.tensor}"

    def _records(self) -> Sequence[dict[str, Any]]:
        alone = [
            {
                "runs": f"psb {n}",
                "samples": [n, n],
                "random": False,
                "margin": None,
                "coverage": None,
                "value": each.value,
                "shift_adds": each.shift_adds,
                "ms": each.ms,
                "selection": "all",
                "cost": None,
                "speed": None,
            }
            for n, each in self.passes.items()
        ]
        both = [
            {
                "runs": "psb {}/{}".format(*point.samples),
                **flat(point),
                "selection": point.selection,
                "cost": self.cost(point),
                "speed": self.speed(point),
            }
            for point in self.points
        ]
        return [*alone, *both]

    def _sentences(self) -> Sequence[str]:
        return [self.how, *self.notes]

    def cost(self, point: AttentionPoint) -> float | None:
        """Return a point's shift-adds over those of pass 2 on all pixels; None: unknown.

        Args:
            point: one of `points`.
        """
        dense = self.passes[point.samples[1]].shift_adds
        return None if point.shift_adds is None or not dense else point.shift_adds / dense

    def speed(self, point: AttentionPoint) -> float:
        """Return how many times as fast as pass 2 on all pixels a point ran.

        Args:
            point: one of `points`.
        """
        return self.passes[point.samples[1]].ms / point.ms

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        found: dict[str, Any] = finite(asdict(self))
        return found | {"passes": {str(n): each for n, each in found["passes"].items()}}
