"""`RegionOptions`: which pixels of a map of uncertainties a second pass computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.choose import RULES, random_region, unsure_region, with_margin
from reluflow.attention.region import Region, receptive_region
from reluflow.attention.regional.scaled import scaled_region
from reluflow.errors import OptionError
from reluflow.graph import SpatialGraph

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
CARRIES = ("scaled", "exact")
"""How a region of one tensor is carried to the others."""


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """Which pixels a second pass computes, and how they are carried to every tensor.

    Attributes:
        rule: of `unsure_region`: "mean", "quantile", "absolute" or "coverage".
        value: of the rule; none for "mean".
        halo: pixels of the map added around the unsure ones, which see their surroundings exactly
            then; the thesis' margin is 1.
        margin: pixels added around: of every tensor ("scaled"), or of the map ("exact").
        carry: "scaled": the same part of the picture in every tensor, as the thesis does; "exact":
            all that the region depends on, `receptive_region`.
        random: seed of as many pixels drawn at random instead, the baseline; None: the unsure ones.

    Example:
        >>> RegionOptions("coverage", 0.2).choose(np.array([[0.1, 0.9], [0.2, 0.3], [0.4, 0.0]]))
        array([[False,  True],
               [False, False],
               [False, False]])
        >>> from reluflow.graph import load, read_spatial
        >>> graph = read_spatial(load("models/fashion_resnet8.onnx"), {"image": (1, 1, 28, 28)})
        >>> mask = np.eye(28, dtype=bool)
        >>> RegionOptions(carry="exact").carried(graph, "image", mask).mask("image").sum().item()
        28

    Reference: thesis 4.2.5; docs/attention.md, regions.
    """

    rule: str = "mean"
    value: float | None = None
    margin: int = 0
    carry: str = "scaled"
    random: int | None = None
    halo: int = 0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise OptionError(f"rule is {self.rule!r}; accepted are {', '.join(RULES)}.")
        if self.carry not in CARRIES:
            raise OptionError(f"carry is {self.carry!r}; accepted are {', '.join(CARRIES)}.")
        with_margin(np.zeros(1, bool), self.margin)
        if self.halo < 0:
            raise OptionError(f"halo is {self.halo} pixels; give a whole number from 0 on.")

    def choose(self, unsure: Floats, number: int = 0) -> Mask:
        """Return the region of one map of uncertainties.

        Args:
            unsure: of each pixel, `(pixels...)`; NaN, of which nothing is known, counts as the
                most unsure.
            number: of the input, so that random regions differ.

        Returns:
            bool, the shape of the map.

        Raises:
            OptionError: the value does not suit the rule.
            DataError: the map has no pixels.
        """
        known = np.where(np.isnan(unsure), np.inf, unsure)
        mask = with_margin(unsure_region(known, self.rule, self.value), self.halo)
        if self.random is None:
            return mask
        seed = int(np.random.SeedSequence([self.random, number]).generate_state(1)[0])
        return random_region(mask.shape, float(mask.mean()), seed)

    def carried(self, graph: SpatialGraph, tensor: str, mask: Mask) -> Region:
        """Carry a region to every tensor of a graph.

        Args:
            graph: of `reluflow.graph.read_spatial`.
            tensor: the tensor in which it lies.
            mask: bool, of the shape of its pixels.

        Returns:
            The region of every tensor.

        Raises:
            DataError: the tensor has no pixels, or the mask has another shape.
        """
        if self.carry == "scaled":
            return scaled_region(graph, tensor, mask, self.margin)
        return receptive_region(graph, tensor, with_margin(np.asarray(mask, bool), self.margin))
