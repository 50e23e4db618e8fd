"""`VideoOptions`: what counts as a change, how far it reaches, and when all is computed."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.attention.regional.options import CARRIES, RegionOptions
from reluflow.errors import OptionError


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """Options of a `VideoSession`.

    Attributes:
        samples: of a converted model, one of 1, 2, 4, ..., 64.
        seed: of the draws, the same for all frames.
        threshold: largest difference of a pixel's value, in units of the model's input, that is
            noise.
        block: pixels along each axis of the blocks in which changes are looked for.
        least_pixels: pixels of a block that differ by more than the threshold, so that it counts.
        margin: pixels of every tensor around the changed blocks ("scaled").
        carry: "scaled": the same part of the picture in every tensor; "exact": every pixel that
            reads a changed one, which gives the dense pass's values bit for bit and computes
            much more.
        refresh: frames from one pass over everything to the next; 1: every frame.
        most_changed: share of changed blocks above which everything is computed, in [0, 1].
        pan_reach: steps up to which a moved picture is recognised, along each axis; a step is the
            product of all strides. 0: never.
        unsure: blocks that are computed beside the changed ones, those of which the network is
            unsure: rule and halo, in blocks, over the mean of each stale block. None:
            changed blocks alone.
        patience: frames that a block waits after it was computed until it is again because of
            `unsure`.

    Raises:
        OptionError: a value is out of its range.

    Example:
        >>> VideoOptions(threshold=4 / 255).refresh
        30
    """

    samples: int = 16
    seed: int = 0
    threshold: float = 0.0
    block: int = 8
    least_pixels: int = 1
    margin: int = 1
    carry: str = "scaled"
    refresh: int = 30
    most_changed: float = 0.4
    pan_reach: int = 1
    unsure: RegionOptions | None = None
    patience: int = 0

    def __post_init__(self) -> None:
        least = {"block": 1, "least_pixels": 1, "margin": 0, "refresh": 1, "pan_reach": 0}
        least["patience"] = 0
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; give a whole number from {lowest} on."
                )
        if not self.threshold >= 0:
            raise OptionError(f"threshold is {self.threshold}; give a number from 0 on.")
        if not 0 <= self.most_changed <= 1:
            raise OptionError(f"most_changed is {self.most_changed}; give a share from 0 to 1.")
        if self.carry not in CARRIES:
            raise OptionError(f"carry is {self.carry!r}; accepted are {', '.join(CARRIES)}.")
        self._check_unsure()

    def _check_unsure(self) -> None:
        if self.unsure is None:
            if self.patience:
                raise OptionError(
                    f"patience is {self.patience}, but does nothing without unsure; give both."
                )
            return
        if self.carry == "exact":
            raise OptionError(
                "unsure is given, but carry is 'exact', with which nothing drifts; leave one out."
            )
        usual = RegionOptions()
        for name in ("margin", "carry"):
            value = getattr(self.unsure, name)
            if value != getattr(usual, name):
                raise OptionError(
                    f"unsure has {name} {value!r}, but unsure blocks are carried as changed ones "
                    f"are; set {name} of VideoOptions."
                )
