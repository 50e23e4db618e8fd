"""Two passes in ONNX's own operators: a Where behind every tensor with pixels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.graph import MixedTensor, Model, SpatialGraph, expose, mix_passes

Array = NDArray[Any]
Mask = NDArray[np.bool_]


class WherePasses:
    """Runs both passes of one model, and keeps the values of the first.

    Time is not saved: pass 2 computes everything and takes the region.

    Args:
        model: a converted model.
        graph: of `read_spatial` of it.
        tensors: of which a region is taken; the others are computed everywhere.
        outputs: tensors whose values are wanted beside the outputs.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.

    Attributes:
        state: tensor -> the values that pass 2 takes outside the region.
    """

    saves_time = False

    def __init__(
        self,
        model: Model,
        graph: SpatialGraph,
        tensors: Collection[str],
        outputs: Collection[str],
        threads: int | None,
        native: bool | None,
    ) -> None:
        mixed = mix_passes(model, graph, tensors)
        self._graph = graph
        self._tensors: tuple[MixedTensor, ...] = mixed.done
        exposed = expose(model, [*tensors, *outputs]).model
        self._first = Runner(exposed, threads, native, rounded_below=ROUNDED_BELOW)
        self._second = Runner(mixed.model, threads, native, rounded_below=ROUNDED_BELOW)
        self.state: dict[str, Array] = {
            name: np.zeros(graph.shapes[name], graph.dtypes[name]) for name in tensors
        }

    def first(self, feeds: Mapping[str, Array], samples: int, seed: int) -> dict[str, Array]:
        """Run pass 1.

        Args:
            feeds: input -> array.
            samples: of pass 1.
            seed: of the draws.

        Returns:
            The outputs and all values that are kept, by name.
        """
        found = _run(self._first, feeds, samples, seed)
        self.state = {each.tensor: found[each.tensor] for each in self._tensors}
        return found

    def second(
        self,
        feeds: Mapping[str, Array],
        samples: int,
        seed: int,
        masks: Mapping[str, Mask],
        into: Mapping[str, Array] = MappingProxyType({}),
    ) -> dict[str, Array]:
        """Run pass 2 in the region.

        Args:
            feeds: input -> array.
            samples: of pass 2.
            seed: of the draws.
            masks: tensor -> `(n, pixels...)`.
            into: tensor -> pass 1's values to be taken instead of those of `state`.

        Returns:
            The outputs by name.
        """
        given = dict(feeds)
        for each in self._tensors:
            given[each.region] = spread(masks[each.tensor], self._graph, each.tensor)
            given[each.base] = into.get(each.tensor, self.state[each.tensor])
        return _run(self._second, given, samples, seed)


def spread(mask: Mask, graph: SpatialGraph, tensor: str) -> Mask:
    """Return a mask with the axes of its tensor, of size 1 for channels.

    Args:
        mask: `(n, pixels...)`.
        graph: tells the axes.
        tensor: its name.
    """
    shape = [1] * len(graph.shapes[tensor])
    shape[0] = len(mask)
    for at, size in zip(graph.axes[tensor], mask.shape[1:], strict=True):
        shape[at] = size
    return mask.reshape(shape)


def _run(runner: Runner, feeds: Mapping[str, Array], samples: int, seed: int) -> dict[str, Array]:
    session, extra = runner.at(samples, seed)
    return dict(zip(session.outputs, session.run({**feeds, **extra}), strict=True))
