"""Attention whose first pass takes bytes, and if asked for the scene at half the side.

The tensors of both passes are paired by the name of the float tensor that they stand for. Pass 2
writes its region into buffers of its own. Outside it reads only a rim, which gets the values of
pass 1: bytes shifted to the exponent of int16, each pixel repeated where the side was halved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from scenes.data import halved

from reluflow.attention import RegionOptions, entropy_bits, with_margin
from reluflow.attention.regional.scaled import rescaled
from reluflow.attention.regional.skip import SkippingPasses
from reluflow.evaluation.run import Runner
from reluflow.graph import (
    Model,
    SpatialGraph,
    expose,
    read_spatial,
    to_regional,
    with_input_defaults,
)

OUTPUT = "logits"
"""Float in both files."""
Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pair:
    """A tensor of pass 1 and that of pass 2 which stand for the same float tensor.

    Attributes:
        coarse: uint8 `(1, h, w, c)`, value (q - zero) 2^-e.
        fine: int16, value v 2^-f.
        zero: of the bytes.
        shift: f - e; whole bits to the left, to the right where below 0.
    """

    coarse: str
    fine: str
    zero: int
    shift: int

    def widened(self, values: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Return bytes as int16 in the format of pass 2."""
        centred = values.astype(np.int16) - np.int16(self.zero)
        if self.shift >= 0:
            return centred << self.shift
        return (centred + (1 << (-self.shift - 1))) >> -self.shift


@dataclass(frozen=True)
class Ready:
    """What is made once for scenes of one shape.

    Attributes:
        graph: pixels of pass 2.
        passes: pass 2 with its buffers.
        computed: tensors of which pass 2 computes a region.
        everywhere: those with one channel, of which it computes all: that costs next to nothing.
    """

    graph: SpatialGraph
    passes: SkippingPasses
    computed: tuple[str, ...]
    everywhere: dict[str, Mask]


class CoarseFirst:
    """Runs bytes on everything, then int16 where they are unsure.

    Args:
        coarse: chains of bytes.
        fine: chains of int16 of the same network.
        samples: of both.
        half: whether pass 1 takes the scene at half the side.
        threads: of ONNX Runtime.
    """

    def __init__(
        self, coarse: Model, fine: Model, samples: int, *, half: bool, threads: int
    ) -> None:
        self.fine = with_input_defaults(fine).model
        self._samples, self._half, self._threads = samples, half, threads
        self.pairs = pairs_of(coarse, self.fine)
        shown = expose(with_input_defaults(coarse).model, [pair.coarse for pair in self.pairs])
        self._first = Runner(shown.model, threads, True).at(samples, 0)
        self._ready: dict[tuple[int, ...], Ready] = {}

    def run(
        self, image: NDArray[np.float32], options: RegionOptions
    ) -> tuple[Array, Array, dict[str, Mask]]:
        """Answer one scene `(1, h, w)`.

        Returns:
            The scores of pass 1 at the size of pass 2 and those of both, `(11, rows, columns)`, and
            what was computed of each tensor, bool `(1, rows, columns)`. The scores are written over
            by the next run.
        """
        ready = self._prepare(image[None].shape)
        first = self.first(image)
        unsure = entropy_bits(first[OUTPUT], axis=1)[0]
        sizes = ready.graph.sizes[OUTPUT]
        region = options.choose(unsure)
        of_size = {
            size: with_margin(rescaled(region, size), options.margin)
            for size in {ready.graph.sizes[name] for name in ready.computed}
        }
        masks = {name: of_size[ready.graph.sizes[name]][None] for name in ready.computed}
        masks |= ready.everywhere
        rims: dict[tuple[int, ...], tuple[Array, Array]] = {}
        for pair in self.pairs:
            mask = masks[pair.fine][0]
            if mask.shape not in rims:
                rims[mask.shape] = _rim(mask, options.margin, first[pair.coarse].shape[1:3])
            _fill(ready.passes.state[pair.fine], first[pair.coarse], pair, *rims[mask.shape])
        before = enlarged(first[OUTPUT][0], sizes)
        ready.passes.state[OUTPUT][0] = before
        found = ready.passes.second({"image": image[None]}, self._samples, 0, masks)
        return before, found[OUTPUT][0], masks

    def first(self, image: NDArray[np.float32]) -> Mapping[str, Array]:
        """Run pass 1 alone on one scene; returns tensor -> values."""
        session, numbers = self._first
        picture = halved(image) if self._half else image
        values = session.run({"image": picture[None], **numbers})
        return dict(zip(session.outputs, values, strict=True))

    def _prepare(self, shape: tuple[int, ...]) -> Ready:
        if shape not in self._ready:
            graph = read_spatial(self.fine, {"image": shape})
            made = to_regional(self.fine, graph)
            passes = SkippingPasses(made.model, made.done, graph, self._threads)
            names = [each.tensor for each in made.done]
            narrow = [name for name in names if graph.shapes[name][-1] == 1]
            self._ready[shape] = Ready(
                graph,
                passes,
                tuple(name for name in names if name not in narrow),
                {name: np.ones((1, *graph.sizes[name]), bool) for name in narrow},
            )
        return self._ready[shape]


def pairs_of(coarse: Model, fine: Model) -> tuple[Pair, ...]:
    """Return the tensors of two files that stand for the same float tensor, but for the input."""
    bytes_of, wide_of = _formats(coarse, "/bytes"), _formats(fine, "/int16")
    return tuple(
        Pair(f"{stem}/bytes", f"{stem}/int16", zero, wide_of[stem][0] - exponent)
        for stem, (exponent, zero) in bytes_of.items()
        if stem in wide_of and stem != "image"
    )


def _formats(model: Model, ending: str) -> dict[str, tuple[int, int]]:
    """Return exponent and zero of what each node with a format makes, by the float's name."""
    found = {}
    for node in onnx.load_from_string(model.serialize()).graph.node:
        given = {each.name: each.i for each in node.attribute}
        if "y_exponent" in given and node.output[0].endswith(ending):
            stem = node.output[0].removesuffix(ending)
            found[stem] = (given["y_exponent"], given.get("y_zero", 0))
    return found


def enlarged(values: Array, sizes: tuple[int, ...]) -> Array:
    """Return the last two axes at another size: the nearest of the old pixels."""
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(sizes, values.shape[-2:], strict=True)
    )
    return values[..., rows[:, None], columns]


def _rim(mask: Mask, margin: int, sizes: tuple[int, int]) -> tuple[Array, Array]:
    """Return the flat places that pass 2 may read outside its region, and those in pass 1."""
    place = np.flatnonzero(with_margin(mask, margin + 1) & ~mask)
    rows, columns = np.divmod(place, mask.shape[1])
    above = rows * sizes[0] // mask.shape[0]
    return place, above * sizes[1] + columns * sizes[1] // mask.shape[1]


def _fill(state: Array, first: Array, pair: Pair, place: Array, source: Array) -> None:
    values = first.reshape(-1, first.shape[-1])[source]
    state.reshape(-1, state.shape[-1])[place] = pair.widened(values)
