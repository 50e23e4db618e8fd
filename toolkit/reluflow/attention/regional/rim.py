"""What pass 2 reads of each tensor outside its region: the values that pass 1 has to give."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.slices import AxisRelation, carried
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
