"""What pass 2 reads of each tensor outside its region: the values that pass 1 has to give."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.slices import AxisRelation, carried
from reluflow.graph import Reads, SpatialGraph

Mask = NDArray[np.bool_]
_Relations = tuple[AxisRelation, ...]


class Rims:
    """Which pixels of each tensor have to come from pass 1; made once for a graph.

    Args:
        graph: of `read_spatial`.
        skipping: tensors of which only the region is computed.
        whole: tensors that are read everywhere: outputs, and what others than `graph` reads.
        wanted: tensors that are asked for; None: all of `skipping`.
    """

    def __init__(
        self,
        graph: SpatialGraph,
        skipping: Collection[str],
        whole: Collection[str],
        wanted: Collection[str] | None = None,
    ) -> None:
        asked = set(skipping if wanted is None else wanted) & set(skipping)
        self._everywhere = asked & set(whole)
        readers: dict[str, list[tuple[str, _Relations]]] = {}
        kept: dict[Hashable, AxisRelation] = {}  # equal ones become one
        for step in graph.steps:
            if not isinstance(step, Reads):
                self._everywhere |= asked & set(step.sources)
            elif step.target not in skipping:
                self._everywhere |= asked & {step.source}
            elif step.source in asked - self._everywhere:
                made = (AxisRelation(matrix) for matrix in step.maps)
                relations = tuple(kept.setdefault(each.key, each) for each in made)
                readers.setdefault(step.source, []).append((step.target, relations))
        self._readers = {k: v for k, v in readers.items() if k not in self._everywhere}

    def of(self, masks: Mapping[str, Mask]) -> dict[str, Mask | None]:
        """Return what has to come from pass 1.

        Args:
            masks: tensor -> `(n, pixels...)`, what is computed.

        Returns:
            Tensor -> pixels outside its region that are read; None: all of them. Those of which
            none is read are left out. Tensors with equal ones share them.
        """
        found: dict[str, Mask | None] = dict.fromkeys(self._everywhere)
        read: dict[tuple[int, _Relations], Mask] = {}
        rims: dict[tuple[int, ...], Mask] = {}
        for source, readers in self._readers.items():
            parts = []
            for target, relations in readers:
                key = id(masks[target]), relations
                if key not in read:
                    read[key] = carried(relations, masks[target], back=True, first=1)
                parts.append(read[key])
            of = id(masks[source]), *map(id, parts)
            if of not in rims:
                rims[of] = np.logical_or.reduce(parts) & ~masks[source]
            if rims[of].any():
                found[source] = rims[of]
        return found
