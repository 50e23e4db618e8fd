"""Two passes by operators that skip pixels: pass 2 writes its region over the values of pass 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import ModelError
from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.graph import (
    Model,
    RegionalTensor,
    SpatialGraph,
    psb_inputs,
    with_sampler,
    without_input_defaults,
)
from reluflow.psb import MAX_SAMPLES
from reluflow.sessions import Session, open_session

Array = NDArray[Any]
Mask = NDArray[np.bool_]
_EVERYTHING = np.zeros(0, np.bool_)
"""A region without a pixel of the result: all of it is computed."""


class SkippingPasses:
    """Runs both passes with the native library on one set of buffers, a buffer for each tensor.

    Args:
        model: of `to_regional`.
        tensors: those that have a region.
        graph: of `read_spatial` of the converted model.
        threads: of ONNX Runtime.

    Attributes:
        state: tensor -> its values, those of the last pass that wrote them.
    """

    def __init__(
        self,
        model: Model,
        tensors: tuple[RegionalTensor, ...],
        graph: SpatialGraph,
        threads: int | None,
    ) -> None:
        self._tensors = tensors
        self._names = psb_inputs(model)
        self._runner = Runner(model, threads, True, rounded_below=ROUNDED_BELOW)
        self._sessions: dict[str, Session] = {}
        self.state = {
            each.tensor: np.zeros(graph.shapes[each.tensor], graph.dtypes[each.tensor])
            for each in tensors
        }

    def open(self) -> None:
        """Open a session, so that what the library does not have shows.

        Raises:
            ModelError: ONNX Runtime cannot load the model with this library.
        """
        self._session(MAX_SAMPLES)

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
        return self._run({**feeds, **regions}, samples, seed)

    def second(
        self, feeds: Mapping[str, Array], samples: int, seed: int, masks: Mapping[str, Mask]
    ) -> dict[str, Array]:
        """Run pass 2 in the region, over what the buffers hold.

        Args:
            feeds: input -> array.
            samples: of pass 2.
            seed: of the draws.
            masks: tensor -> `(n, pixels...)`.

        Returns:
            Output -> its values; those of `state` are written over by the next run.
        """
        regions = {each.region: masks[each.tensor] for each in self._tensors}
        return self._run({**feeds, **regions}, samples, seed)

    def _run(self, feeds: Mapping[str, Array], samples: int, seed: int) -> dict[str, Array]:
        numbers = (np.array(samples, np.int64), np.array(seed, np.int64))
        given = {**feeds, **dict(zip(self._names, numbers, strict=True))}
        return self._session(samples).run_into(given, self.state)

    def _session(self, samples: int) -> Session:
        """Return a session that draws as a run of so many samples does."""
        sampler = self._runner.sampler(samples)
        if sampler not in self._sessions:
            model = self._runner.model
            if sampler != self._runner.sampler(MAX_SAMPLES):
                model = with_sampler(model, sampler).model
            # ONNX Runtime binds no inputs that have a default
            bare = without_input_defaults(model).model
            threads = self._runner.threads
            self._sessions[sampler] = open_session(bare, threads=threads, library=True)
        return self._sessions[sampler]


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
        passes.open()
    except ModelError:
        return None
    return passes
