"""What a run of an `AttentionSession` gives: answers, regions, shares, costs, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class NodeShare:
    """How much of a node pass 2 computed; part of an `AttentionRun`.

    Attributes:
        node: its name.
        op: its operator.
        tensor: what it makes.
        share: fraction in [0, 1] of its pixels that take pass 2's values, over all inputs; for a
            node without pixels the fraction of the inputs that have a region.
        dense: shift-adds of all its pixels at pass 2's samples, for one input; None where it is no
            PSB operator.
        reason: why it computes all its pixels whatever the region is; "" where it skips.

    Example:
        >>> NodeShare("conv", "PsbConv", "y", 0.25, 4000, "").made
        1000.0
    """

    node: str
    op: str
    tensor: str
    share: float
    dense: int | None
    reason: str

    @property
    def made(self) -> float | None:
        """Shift-adds made for one input, by the theory: the share of the dense ones."""
        return None if self.dense is None else self.share * self.dense


@dataclass(frozen=True, slots=True)
class AttentionRun:
    """What two passes answer and what that took, as returned by `AttentionSession.run`.

    An input without a region keeps the answers of pass 1, as pass 2 has nothing to compute for it.

    Attributes:
        answers: output -> its values after pass 2.
        first: output -> its values after pass 1.
        tensor: the tensor whose pixels the region was chosen from.
        unsure: `(n, pixels...)` map of uncertainties; None where a mask was given.
        region: `(n, pixels...)` bool, the chosen pixels of `tensor`.
        masks: tensor of pass 2 -> `(n, pixels...)` bool, what is computed of it.
        nodes: every node with pixels and every PSB operator, in graph order.
        first_shift_adds: of pass 1 for one input; None where shapes do not tell.
        milliseconds: phase -> time: "pass 1", "region" (the map, what is chosen, and its masks),
            "values" (those of another model that pass 2 reads), "pass 2"; "total" is all of it.
        notes: sentences on what else happened.

    Example:
        >>> from reluflow.attention import AttentionSession
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> images = np.zeros((1, 1, 28, 28), np.float32)
        >>> everything = np.ones((28, 28), bool)
        >>> found = AttentionSession(psb, threads=1).run({"image": images}, (1, 16), everything)
        >>> found.coverage, found.shift_adds / found.dense_shift_adds
        (1.0, 1.0625)
    """

    answers: Mapping[str, Array]
    first: Mapping[str, Array]
    tensor: str
    unsure: NDArray[np.float64] | None
    region: Mask
    masks: Mapping[str, Mask]
    nodes: tuple[NodeShare, ...]
    first_shift_adds: int | None
    milliseconds: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """Fraction in [0, 1] of the pixels of `tensor` in the region."""
        return float(self.region.mean())

    @property
    def shift_adds(self) -> float | None:
        """Shift-adds of both passes for one input, by the theory; None where shapes do not tell."""
        second = self.second_shift_adds
        return None if self.first_shift_adds is None else self.first_shift_adds + second

    @property
    def second_shift_adds(self) -> float:
        """Shift-adds of pass 2 for one input, by the theory: in regions alone."""
        return sum(node.made or 0.0 for node in self.nodes)

    @property
    def dense_shift_adds(self) -> int:
        """Shift-adds of pass 2 for one input if it computed everything."""
        return sum(node.dense or 0 for node in self.nodes)
