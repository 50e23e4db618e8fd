"""What a check for drift found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from reluflow.frames import Shown, SiteTable

_NAMED = 5


@dataclass(frozen=True, slots=True)
class SiteDrift:
    """One site's share of patterns that are not in the reference; `check_against` returns them.

    Attributes:
        site: its name.
        chosen: whether it is one of those that the score is made of.
        patterns: in the reference.
        held_out: share of unseen patterns among held-out inputs of the reference, in [0, 1].
        share: the same among the new inputs: their mean.
        low: where the mean of all such inputs lies at least, with a confidence of 95 %.
        high: where it lies at most.
    """

    site: str
    chosen: bool
    patterns: int
    held_out: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GroupDrift:
    """Some inputs in a row; `check_against` returns them.

    Attributes:
        first: number of the first input.
        n_inputs: inputs in the group.
        score: their mean.
        threshold: of a group of this size.
        alarm: whether the score is above it.
    """

    first: int
    n_inputs: int
    score: float
    threshold: float
    alarm: bool


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DriftReport(SiteTable[SiteDrift]):
    """How far new inputs lie from those of a reference; returned by `check_against`.

    The score of an input is the share of its patterns that are not in the reference, at the chosen
    site, or the mean of these shares where several are chosen.

    Attributes:
        model: name of the model's file.
        n_inputs: number of inputs.
        false_alarms: rate that all thresholds are set for: of inputs, of groups, and of checks.
        sites: in graph order.
        score: mean of all inputs.
        low: where the mean of all such inputs lies at least, with a confidence of 95 %.
        high: where it lies at most.
        held_out: mean of the held-out inputs.
        n_held_out: their number.
        threshold: of the mean of so many inputs.
        drift: whether the score is above it.
        scores: `(n_inputs,)` score of each input.
        input_threshold: of one input.
        input_rate: least and greatest rate of false alarms that this threshold may really have,
            with a confidence of 95 %.
        group: inputs in a group.
        groups: one after the other; the last may be shorter.
        notes: sentences on what else is to be known.
    """

    model: str
    n_inputs: int
    false_alarms: float
    sites: tuple[SiteDrift, ...]
    score: float
    low: float
    high: float
    held_out: float
    n_held_out: int
    threshold: float
    drift: bool
    scores: NDArray[np.float64]
    input_threshold: float
    input_rate: tuple[float, float]
    group: int
    groups: tuple[GroupDrift, ...]
    notes: tuple[str, ...]

    _shown: ClassVar[Shown] = {
        "site": ("site", "text"),
        "held out": ("held_out", "share"),
        "here": ("share", "share"),
        "at least": ("low", "share"),
        "at most": ("high", "share"),
    }

    def _heading(self) -> str:
        return f"{self.model}: patterns that are not in the reference, {self.n_inputs:,} inputs"

    def _sentences(self) -> tuple[str, ...]:
        return (*self.sentences(), *self.notes)

    @property
    def alarms(self) -> tuple[int, ...]:
        """Numbers of the inputs whose score is above `input_threshold`."""
        return tuple(np.flatnonzero(self.scores > self.input_threshold).tolist())

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {
            **found,
            "sites": [asdict(each) for each in self.sites],
            "scores": self.scores.tolist(),
            "alarms": list(self.alarms),
            "groups": [asdict(each) for each in self.groups],
            "input_rate": list(self.input_rate),
            "notes": list(self.notes),
            "findings": list(self.sentences()),
        }

    def sentences(self) -> tuple[str, ...]:
        """Return the findings in words."""
        verdict = "Drift" if self.drift else "No drift"
        low, high = self.input_rate
        alarms, groups = self.alarms, [each for each in self.groups if each.alarm]
        named = f" ({', '.join(map(str, alarms[:_NAMED]))}{', …' * (len(alarms) > _NAMED)})"
        return (
            f"{verdict}: {self.score:.2%} of the patterns are not in the reference ({self.low:.2%} "
            f"to {self.high:.2%} with 95 % confidence); {self.held_out:.2%} of held-out inputs' "
            f"patterns are not. {self.n_inputs:,} inputs are an alarm above {self.threshold:.2%}.",
            f"Single inputs: {len(alarms):,} of {self.n_inputs:,} are above "
            f"{self.input_threshold:.2%}{named if alarms else ''}; {self.false_alarms:.2%} would "
            f"be without drift, {low:.2%} to {high:.2%} as the threshold comes from "
            f"{self.n_held_out:,} held-out inputs.",
            f"Groups of {self.group}: {len(groups):,} of {len(self.groups):,} are an alarm.",
        )
