"""What a session makes once for inputs of one shape: both passes, and what joins them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.maps.find import open_map
from reluflow.attention.regional.coarse import CoarsePass, coarse_shapes
from reluflow.attention.regional.half import Enlarged
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.rim import Carrier, Rims
from reluflow.attention.regional.skip import SkippingPasses, open_skipping
from reluflow.attention.regional.where import WherePasses
from reluflow.errors import ModelError
from reluflow.graph import (
    Model,
    PsbNode,
    Reads,
    SpatialGraph,
    find_psb,
    read_spatial,
    to_regional,
)
from reluflow.sessions import use_library

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Passes = WherePasses | SkippingPasses
Shapes = Mapping[str, tuple[int, ...]]


class Unsure(Protocol):
    """What tells how unsure each pixel is, such as `reluflow.attention.open_map` returns."""

    tensor: str

    def read(self, values: Array, inputs: Mapping[str, Array] | None = None) -> NDArray[np.float64]:
        """Return `(n, pixels...)` from the values of `tensor`."""


@dataclass
class Prepared:
    """Both passes for inputs of one shape.

    Attributes:
        graph: of `read_spatial` of the fine model.
        inputs: of the fine model.
        passes: that run it.
        coarse: the other model that runs first, None: the fine one does.
        reasons: tensor -> why all of its pixels are computed.
        unsure: tells how unsure each pixel is.
        nodes: PSB operators of the fine model.
        first_nodes: those of the model that runs first.
        skipping: tensors of which a region is taken.
        whole: those of them that are read everywhere.
        rims: what pass 2 reads of each tensor, where another model runs first.
    """

    graph: SpatialGraph
    inputs: frozenset[str]
    passes: Passes
    coarse: CoarsePass | None
    reasons: dict[str, str]
    unsure: Unsure | None
    nodes: tuple[PsbNode, ...]
    first_nodes: tuple[PsbNode, ...]
    skipping: frozenset[str]
    whole: frozenset[str]
    rims: Rims | None = None

    @property
    def without(self) -> Mapping[str, str]:
        """Tensors of which pass 1 gives no values -> why."""
        return {} if self.coarse is None else self.coarse.without

    @property
    def first_graph(self) -> SpatialGraph:
        """The pixels of the model that runs first."""
        return self.graph if self.coarse is None else self.coarse.graph

    def first(self, feeds: Mapping[str, Array], samples: int, seed: int) -> dict[str, Array]:
        """Run pass 1; return its outputs, and the tensor that tells how unsure it is."""
        runs = self.passes.first if self.coarse is None else self.coarse.run
        return runs(feeds, samples, seed)

    def answers(self, values: Mapping[str, Array], outputs: Collection[str]) -> Mapping[str, Array]:
        """Return the outputs of pass 1 as those of pass 2 are, in memory of their own."""
        if self.coarse is not None:
            return self.coarse.answers(values, outputs)
        return {name: values[name].copy() for name in outputs}

    def carried(self, tensor: str, chosen: Mask, options: RegionOptions) -> dict[str, Mask]:
        """Return what is computed of every tensor of the fine model, for each input."""
        return Carrier(self.graph, self.inputs, self.without, self.rims).carried(
            tensor, chosen, options
        )

    def give(
        self, values: Mapping[str, Array], masks: Mapping[str, Mask], first: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Give pass 2 the values of a coarse model where it reads them.

        Returns:
            Outputs whose values go into new memory, with those of pass 1 in it.
        """
        if self.coarse is None or self.rims is None:
            return {}
        assert isinstance(first, Enlarged)
        made = {name: first.new(name) for name in self.coarse.shared(first.keys() & self.skipping)}
        wanted = self.rims.of(masks, self.coarse.given - made.keys())
        self.coarse.give(values, self.passes.state, wanted)
        return made

    def notes(self) -> tuple[str, ...]:
        """Return sentences on how the passes run."""
        if self.passes.saves_time:
            return ()
        return (
            "Pass 2 computes everything and takes the region, as the native library is not there "
            "or has no regions for some PSB operator: no time is saved.",
        )


class Maker:
    """Makes what a session needs for inputs of a shape.

    Args:
        fine: the model of pass 2.
        coarse: that of pass 1; None: the same.
        half: run the coarse one on a picture of half the side.
        unsure: tells how unsure each pixel is; None: what `open_map` finds.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.

    Attributes:
        unsure: what tells how unsure each pixel is, as given; it may be set.

    Raises:
        ModelError: a model has no PSB operator.
    """

    def __init__(
        self,
        fine: Model,
        coarse: Model | None,
        half: bool,
        unsure: Unsure | None,
        threads: int | None,
        native: bool | None,
    ) -> None:
        self._fine, self._coarse, self._half = fine, coarse, half
        self.unsure, self._threads = unsure, threads
        self._native = use_library(native)
        self._nodes = _operators(fine)
        self._first_nodes = self._nodes if coarse is None else _operators(coarse)
        self._known: tuple[Shapes, SpatialGraph] | None = None
        self._known_first: tuple[Shapes, SpatialGraph] | None = None

    def graph(self, shapes: Shapes) -> SpatialGraph:
        """Return the pixels of the fine model; those of the last shapes are kept.

        Args:
            shapes: input -> shape.
        """
        if self._known is None or self._known[0] != shapes:
            self._known = dict(shapes), read_spatial(self._fine, shapes)
        return self._known[1]

    def first(self, shapes: Shapes) -> tuple[Shapes, SpatialGraph]:
        """Return the inputs and the pixels of the model that runs first.

        Args:
            shapes: inputs of the fine one -> shape.
        """
        if self._coarse is None:
            return shapes, self.graph(shapes)
        before = coarse_shapes(self._coarse, self.graph(shapes), shapes, self._half)
        if self._known_first is None or self._known_first[0] != before:
            self._known_first = before, read_spatial(self._coarse, before)
        return self._known_first

    def like(self, fine: Model) -> Maker:
        """Return a maker for the fine model with other outputs, which has the same pixels.

        Args:
            fine: the model, with other outputs.
        """
        made = Maker(fine, self._coarse, self._half, self.unsure, self._threads, self._native)
        made._known, made._known_first = self._known, self._known_first
        return made

    def prepared(self, shapes: Shapes, with_map: bool) -> Prepared:
        """Return both passes.

        Args:
            shapes: input -> shape.
            with_map: find what tells how unsure each pixel is.
        """
        graph = self.graph(shapes)
        unsure = self._map(shapes) if with_map else None
        own = [unsure.tensor] if unsure is not None and self._coarse is None else []
        made = to_regional(self._fine, graph, own)
        skip = {each.tensor for each in made.done}
        drawn = {node.output for node in self._nodes if node.output in graph.sizes}
        passes: Passes | None = None
        # what draws must keep pass 1's values outside: either all PSB operators skip or none
        if self._native and drawn <= skip:
            passes = open_skipping(made.model, made.done, graph, self._threads)
        if passes is None:
            passes = WherePasses(self._fine, graph, skip | drawn, own, self._threads, self._native)
        mixed = frozenset(skip | drawn)
        refused = {each.node: each.reason for each in made.refused}
        reasons = {
            step.target: refused.get(step.node, "it computes all pixels")
            for step in graph.steps
            if isinstance(step, Reads) and step.target not in mixed
        }
        # an operator that is not calibrated takes its scale from all of what it reads
        scaled = {node.x for node in self._nodes if node.x_exponent is None}
        whole = mixed & {*self._fine.outputs, *scaled} if passes.saves_time else mixed
        found = Prepared(
            graph,
            frozenset(shapes),
            passes,
            None,
            reasons,
            unsure,
            self._nodes,
            self._first_nodes,
            mixed,
            whole,
        )
        return found if self._coarse is None else self._with_coarse(found, shapes)

    def _with_coarse(self, found: Prepared, shapes: Shapes) -> Prepared:
        assert self._coarse is not None
        coarse = CoarsePass(
            self._coarse,
            self._fine,
            found.graph,
            shapes,
            self._half,
            found.skipping,
            [] if found.unsure is None else [found.unsure.tensor],
            self._threads,
            self._native,
            self.first(shapes)[1],
        )
        rims = Rims(found.graph, found.skipping, found.whole)
        all_of = {k: why for k, why in coarse.without.items() if k in rims.everywhere}
        reasons = {**found.reasons, **all_of}
        return replace(found, coarse=coarse, rims=rims, reasons=reasons)

    def _map(self, shapes: Shapes) -> Unsure:
        if self.unsure is not None:
            return self.unsure
        before, graph = self.first(shapes)
        model = self._fine if self._coarse is None else self._coarse
        return open_map(model, before, graph=graph, threads=self._threads, native=self._native)


def _operators(model: Model) -> tuple[PsbNode, ...]:
    found = find_psb(model)
    if not found:
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} has no PSB operator, so that no number of "
            "samples makes it coarse or fine; convert it with reluflow psb convert."
        )
    return found
