"""Two passes by operators that skip pixels: pass 2 writes its region over the values of pass 1."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.bound import BoundModel
from reluflow.errors import ModelError
from reluflow.graph import Model, RegionalTensor, SpatialGraph

Array = NDArray[Any]
Mask = NDArray[np.bool_]
_EVERYTHING = np.zeros(0, np.bool_)
"""A region without a pixel of the result: all of it is computed."""


class SkippingPasses:
    """Runs passes with the native library on one set of buffers, a buffer for each tensor.

    Args:
        model: of `to_regional`.
        tensors: those that have a region.
        graph: of `read_spatial` of the converted model.
        threads: of ONNX Runtime.

    Attributes:
        state: tensor -> its values, those of the last pass that wrote them.
    """

    saves_time = True

    def __init__(
        self,
        model: Model,
        tensors: tuple[RegionalTensor, ...],
        graph: SpatialGraph,
        threads: int | None,
    ) -> None:
        self._tensors = tensors
        self.state = {
            each.tensor: np.zeros(graph.shapes[each.tensor], graph.dtypes[each.tensor])
            for each in tensors
        }
        self.bound = BoundModel(model, self.state, threads)

    def first(self, feeds: Mapping[str, Array], samples: int, seed: int) -> dict[str, Array]:
        """Run pass 1, which fills all buffers.

        Args:
            feeds: input -> array.
            samples: of pass 1.
            seed: of the draws.

        Returns:
            Output -> its values; those of `state` are written over by the next run.
        """
        regions = {each.region: _EVERYTHING for each in self._tensors}
        return self.bound.run({**feeds, **regions}, samples, seed)

    def second(
        self,
        feeds: Mapping[str, Array],
        samples: int,
        seed: int,
        masks: Mapping[str, Mask],
        into: Mapping[str, Array] = MappingProxyType({}),
    ) -> dict[str, Array]:
        """Run pass 2 in the region, over what the buffers hold.

        Args:
            feeds: input -> array.
            samples: of pass 2.
            seed: of the draws.
            masks: tensor -> `(n, pixels...)`.
            into: tensor -> memory with pass 1's values to be used instead of that of `state`.

        Returns:
            Output -> its values; those of `state` are written over by the next run.
        """
        regions = {each.region: masks[each.tensor] for each in self._tensors}
        return self.bound.run({**feeds, **regions}, samples, seed, into)


def open_skipping(
    model: Model,
    tensors: tuple[RegionalTensor, ...],
    graph: SpatialGraph,
    threads: int | None,
) -> SkippingPasses | None:
    """Return passes that skip pixels; None where the library is older and has no regions.

    Args:
        model: of `to_regional`.
        tensors: those that have a region.
        graph: of `read_spatial` of the converted model.
        threads: of ONNX Runtime.
    """
    passes = SkippingPasses(model, tensors, graph, threads)
    try:
        passes.bound.open()
    except ModelError:
        return None
    return passes
