"""What pass 2 computes of each tensor, and what it reads outside: values of pass 1."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.choose import with_margin
from reluflow.attention.region import Region, receptive_region
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.pairs import float_name
from reluflow.attention.regional.scaled import rescaled
from reluflow.attention.slices import AxisRelation, carried
from reluflow.errors import OptionError
from reluflow.graph import Reads, SpatialGraph

Mask = NDArray[np.bool_]
_Relations = tuple[AxisRelation, ...]


class Rims:
    """Which pixels of each tensor pass 2 reads; made once for a graph.

    Args:
        graph: of `read_spatial`.
        skipping: tensors of which only the region is computed.
        whole: tensors that are read everywhere: outputs, and what others than `graph` reads.

    Attributes:
        everywhere: tensors of `skipping` that are read everywhere, whatever is computed.
    """

    def __init__(
        self, graph: SpatialGraph, skipping: Collection[str], whole: Collection[str]
    ) -> None:
        everywhere = set(skipping) & set(whole)
        readers: dict[str, list[tuple[str, _Relations]]] = {name: [] for name in skipping}
        kept: dict[Hashable, AxisRelation] = {}  # equal ones become one
        for step in graph.steps:
            if not isinstance(step, Reads):
                everywhere |= set(skipping) & set(step.sources)
            elif step.source in readers and step.target not in skipping:
                everywhere.add(step.source)
            elif step.source in readers:
                made = (AxisRelation(matrix) for matrix in step.maps)
                relations = tuple(kept.setdefault(each.key, each) for each in made)
                readers[step.source].append((step.target, relations))
        self.everywhere = frozenset(everywhere)
        self._readers = {k: v for k, v in readers.items() if k not in everywhere}
        self._sizes = graph.sizes

    def read(self, tensor: str, masks: Mapping[str, Mask], n: int) -> Mask:
        """Return the pixels of a tensor that are read, those of its region or not.

        Args:
            tensor: of `skipping`.
            masks: tensor that reads it -> `(n, pixels...)`, what is computed.
            n: number of inputs.
        """
        shape = n, *self._sizes[tensor]
        if tensor in self.everywhere:
            return np.ones(shape, bool)
        parts = [
            carried(relations, masks[target], back=True, first=1)
            for target, relations in self._readers[tensor]
        ]
        if len(parts) == 1:
            return parts[0]
        return np.logical_or.reduce(parts) if parts else np.zeros(shape, bool)

    def of(self, masks: Mapping[str, Mask], wanted: Collection[str]) -> dict[str, Mask | None]:
        """Return what has to come from pass 1.

        Args:
            masks: tensor -> `(n, pixels...)`, what is computed.
            wanted: tensors that are asked for, of `skipping`.

        Returns:
            Tensor -> pixels outside its region that are read; None: all of them. Those of which
            none is read are left out. Tensors with equal ones share them.
        """
        found: dict[str, Mask | None] = {}
        rims: dict[Hashable, Mask] = {}
        for name in wanted:
            if name in self.everywhere:
                found[name] = None
                continue
            readers = self._readers[name]
            key = id(masks[name]), *((id(masks[by]), relations) for by, relations in readers)
            if key not in rims:
                rims[key] = self.read(name, masks, len(masks[name])) & ~masks[name]
            if rims[key].any():
                found[name] = rims[key]
        return found


@dataclass(frozen=True)
class Carrier:
    """What carries a region to every tensor of a fine model.

    Attributes:
        graph: of `read_spatial` of it.
        inputs: of the model, of which nothing is computed.
        without: tensors of which another pass 1 gives no values.
        rims: what pass 2 reads of each tensor, where another model runs first; else None.
    """

    graph: SpatialGraph
    inputs: Collection[str]
    without: Collection[str] | Mapping[str, str]
    rims: Rims | None

    def carried(self, tensor: str, chosen: Mask, options: RegionOptions) -> dict[str, Mask]:
        """Return what is computed of every tensor, for each input.

        Args:
            tensor: in which the region lies; it may be one of the coarse model.
            chosen: `(n, pixels...)` of it.
            options: how it is carried.

        Returns:
            Tensor -> `(n, pixels...)`; those with equal regions share them.

        Raises:
            OptionError: exact regions are asked for in a tensor that the model does not have.
        """
        names = [n for n in self.graph.sizes if n not in self.inputs and n not in self.without]
        if options.carry == "scaled":
            masks = self._scaled(names, chosen, options.margin)
        else:
            regions = [self._exact(tensor, mask, options) for mask in chosen]
            masks = {name: np.stack([each.mask(name) for each in regions]) for name in names}
        # what pass 1 does not give is computed wherever pass 2 reads it: last tensors first
        for name in reversed(self.graph.sizes) if self.rims is not None else ():
            if self.rims is not None and name in self.without:
                masks[name] = self.rims.read(name, masks, len(chosen))
        return masks

    def _scaled(self, names: Collection[str], chosen: Mask, margin: int) -> dict[str, Mask]:
        """Return the same part of the picture in every tensor; those of one size share masks."""
        made = {}
        for sizes in {self.graph.sizes[name] for name in names}:
            each = [with_margin(rescaled(mask, sizes), margin) for mask in chosen]
            made[sizes] = each[0][None] if len(each) == 1 else np.stack(each)
        return {name: made[self.graph.sizes[name]] for name in names}

    def _exact(self, tensor: str, mask: Mask, options: RegionOptions) -> Region:
        if self.graph.sizes.get(tensor) == mask.shape:
            return options.carried(self.graph, tensor, mask)
        same = [name for name in self.graph.sizes if float_name(name) == float_name(tensor)]
        if not same:
            raise OptionError(
                f"carry is 'exact', but the fine model has no tensor {float_name(tensor)!r}, in "
                "which the coarse one is unsure; choose 'scaled'."
            )
        grown = with_margin(rescaled(mask, self.graph.sizes[same[-1]]), options.margin)
        return receptive_region(self.graph, same[-1], grown)
