"""The record of two passes over one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.result import NodeShare
from reluflow.evaluation.result import finite
from reluflow.frames import Tabular, flat, written

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
FIRST, BOTH, DENSE, FLOAT = "pass 1", "both passes", "dense pass 2", "float32"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one way of computing answers; part of an `Attended`.

    Attributes:
        name: "pass 1", "both passes", "dense pass 2" or "float32".
        classes: the most probable classes and their probabilities; none where the model is no
            classifier.
        mean_apart: mean |difference| of the outputs from the dense pass 2.
        most_apart: the largest.

    Example:
        >>> Answer("pass 1", ((3, 0.75),), 0.1, 0.4).classes[0]
        (3, 0.75)
    """

    name: str
    classes: tuple[tuple[int, float], ...]
    mean_apart: float
    most_apart: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step costs by the theory and on this machine; part of an `Attended`.

    Attributes:
        name: of the step.
        shift_adds: counted by the theory; None where there are none, or shapes do not tell.
        ms: measured milliseconds; None where it was not run alone.

    Example:
        >>> Cost("map and region", None, 0.5).ms
        0.5
    """

    name: str
    shift_adds: float | None
    ms: float | None


@dataclass(frozen=True, eq=False, slots=True)
class LayerErrors:
    """How far a layer is from the reference before and after pass 2; part of an `Attended`.

    Attributes:
        layer: name of its node.
        tensor: what it makes.
        share: fraction in [0, 1] of its pixels that pass 2 computed.
        region: `(pixels...)` bool, those pixels.
        first: `(2, pixels...)` absolute and relative error of pass 1: the mean over channels of
            |x - r|, and that over the mean of |r|, NaN where r is 0.
        mixed: `(2, pixels...)`, the same after pass 2.
    """

    layer: str
    tensor: str
    share: float
    region: Mask
    first: Floats
    mixed: Floats

    def means(self) -> dict[str, float]:
        """Return the means over all pixels, and over those of the region.

        Example:
            >>> one = np.array([[[2.0, 4.0]], [[0.5, np.nan]]])
            >>> found = LayerErrors("conv", "y", 0.5, np.array([[True, False]]), one, one / 2)
            >>> found.means()["absolute"], found.means()["absolute_in_region_after"]
            (3.0, 1.0)
        """
        found = {}
        for when, errors in (("", self.first), ("_after", self.mixed)):
            for at, name in enumerate(("absolute", "relative")):
                found[f"{name}{when}"] = _mean(errors[at])
                found[f"{name}_in_region{when}"] = _mean(errors[at][self.region])
        return found


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a panorama was cut; part of an `Attended`.

    Attributes:
        crop: pixels of a crop of pass 2 along each axis.
        n_tiles: number of tiles.
        n_run: those that pass 2 ran, as they have something of the region.
        overhead: pixels of all crops over those of the picture, at least 1.
        estimated_bytes: of the tensors of a crop.

    Example:
        >>> Tiling((512, 512), 4, 1, 1.5, 2**20).n_run
        1
    """

    crop: tuple[int, ...]
    n_tiles: int
    n_run: int
    overhead: float
    estimated_bytes: int


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Attended(Tabular):
    """Two passes over one picture, as returned by `attend_picture`.

    Attributes:
        model: path of the model, "" from memory.
        picture: `(height, width, 3)` uint8, the input as it can be shown.
        samples: of pass 1 and of pass 2.
        options: how the region was chosen and carried.
        source: a sentence on where the uncertainties come from.
        tensor: whose pixels the region was chosen from.
        unsure: `(pixels...)` of it, bits.
        region: `(pixels...)` bool.
        answers: of each way of computing.
        nodes: what pass 2 computed of each.
        costs: of both passes and of what lies between, and of the dense pass 2, the last.
        layers: errors of some layers, in graph order.
        reference: what the errors are taken against: "float32" or "dense pass 2".
        notes: sentences that the reader should know.
        tiling: how the picture was cut; None: it was run whole.

    Example:
        >>> from reluflow.attention import attend_picture
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> image = {"image": np.load("models/fashion_mnist_test_2000.npz")["image"][:1]}
        >>> found = attend_picture(psb, image)
        >>> found.total().shift_adds < found.dense().shift_adds, found.to_dict()["pixels"]
        (True, [7, 7])
    """

    model: str
    picture: NDArray[np.uint8]
    samples: tuple[int, int]
    options: RegionOptions
    source: str
    tensor: str
    unsure: Floats
    region: Mask
    answers: tuple[Answer, ...]
    nodes: tuple[NodeShare, ...]
    costs: tuple[Cost, ...]
    layers: tuple[LayerErrors, ...]
    reference: str
    notes: tuple[str, ...]
    tiling: Tiling | None = None

    def _heading(self) -> str:
        first, second = self.samples
        return (
            f"{self.model or 'model in memory'} at {first}/{second} samples: region of "
            f"{self.coverage:.1%} of the pixels of {self.tensor}"
        )

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            [each.name, written(each.shift_adds, "count"), written(each.ms, "ms")]
            for each in self.costs
        ]
        return ["step", "theoretical shift-adds", "measured ms"], rows

    def _records(self) -> Sequence[dict[str, Any]]:
        return [flat(each) | {"made": each.made} for each in self.nodes]

    def _sentences(self) -> Sequence[str]:
        answers = [_said(each) for each in self.answers]
        return [*answers, self.source, *self.notes, "A frame has a row for each node of pass 2."]

    @property
    def coverage(self) -> float:
        """Fraction in [0, 1] of the map's pixels in the region."""
        return float(self.region.mean())

    def total(self) -> Cost:
        """Return the cost of both passes together."""
        return next(cost for cost in self.costs if cost.name == BOTH)

    def dense(self) -> Cost:
        """Return the cost of a dense pass 2."""
        return next(cost for cost in self.costs if cost.name == DENSE)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON, without pictures and maps."""
        found: dict[str, Any] = {
            "model": self.model,
            "samples": list(self.samples),
            "region": asdict(self.options),
            "source": self.source,
            "tensor": self.tensor,
            "pixels": list(self.region.shape),
            "coverage": self.coverage,
            "answers": [asdict(each) for each in self.answers],
            "nodes": [{**asdict(each), "made": each.made} for each in self.nodes],
            "costs": [_cost(each) for each in self.costs],
            "reference": self.reference,
            "layers": [_layer(each) for each in self.layers],
            "notes": list(self.notes),
            "tiles": None if self.tiling is None else asdict(self.tiling),
        }
        plain: dict[str, Any] = finite(found)
        return plain


def _said(answer: Answer) -> str:
    """Return what one way of computing answers, in a sentence."""
    likely = ", ".join(f"{number} ({share:.1%})" for number, share in answer.classes)
    what = f"classes {likely}; " if likely else ""
    return f"{answer.name}: {what}mean difference from dense pass 2 {answer.mean_apart:.3g}."


def _cost(cost: Cost) -> Mapping[str, Any]:
    return {
        "name": cost.name,
        "theoretical_shift_adds": cost.shift_adds,
        "measured_ms": cost.ms,
    }


def _layer(layer: LayerErrors) -> Mapping[str, Any]:
    return {"layer": layer.layer, "tensor": layer.tensor, "share": layer.share, **layer.means()}


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
