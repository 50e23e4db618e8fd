"""Two passes in ONNX's own operators: a Where behind every tensor with pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.graph import MixedTensor, Model, SpatialGraph, expose, mix_passes

Array = NDArray[Any]
Mask = NDArray[np.bool_]


class WherePasses:
    """Runs both passes of one model, and keeps all values of the first.

    Time is not saved: pass 2 computes everything and takes the region.

    Args:
        model: a converted model.
        graph: of `read_spatial` of it.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.

    Attributes:
        reasons: tensor -> why all of its pixels are computed; none are, by the meaning of it.
    """

    def __init__(
        self, model: Model, graph: SpatialGraph, threads: int | None, native: bool | None
    ) -> None:
        mixed = mix_passes(model, graph)
        self._graph = graph
        self._outputs = model.outputs
        self._tensors: tuple[MixedTensor, ...] = mixed.done
        names = [each.tensor for each in self._tensors]
        exposed = expose(model, names).model
        self._first = Runner(exposed, threads, native, rounded_below=ROUNDED_BELOW)
        self._second = Runner(mixed.model, threads, native, rounded_below=ROUNDED_BELOW)
        self.reasons: dict[str, str] = {}

    def first(self, feeds: Mapping[str, Array], samples: int, seed: int) -> dict[str, Array]:
        """Run pass 1.

        Args:
            feeds: input -> array.
            samples: of pass 1.
            seed: of the draws.

        Returns:
            The outputs, and all tensors with pixels, by name.
        """
        return _run(self._first, feeds, samples, seed)

    def second(
        self,
        feeds: Mapping[str, Array],
        samples: int,
        seed: int,
        masks: Mapping[str, Mask],
        bases: Mapping[str, Array],
    ) -> dict[str, Array]:
        """Run pass 2 in the region.

        Args:
            feeds: input -> array.
            samples: of pass 2.
            seed: of the draws.
            masks: tensor -> `(n, pixels...)`.
            bases: tensor -> the values of pass 1.

        Returns:
            The outputs by name.
        """
        given = dict(feeds)
        for each in self._tensors:
            given[each.region] = spread(masks[each.tensor], self._graph, each.tensor)
            given[each.base] = bases[each.tensor]
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
