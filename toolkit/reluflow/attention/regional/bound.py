"""A converted model whose results go into buffers that stay from run to run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.graph import Model, psb_inputs, with_sampler, without_input_defaults
from reluflow.psb import MAX_SAMPLES
from reluflow.sessions import Session, open_session

Array = NDArray[Any]


class BoundModel:
    """Runs a converted model with the native library; buffers hold some of its outputs.

    Args:
        model: with PSB operators.
        buffers: output -> memory of its type and shape.
        threads: of ONNX Runtime.
    """

    def __init__(self, model: Model, buffers: dict[str, Array], threads: int | None) -> None:
        self.buffers = buffers
        self._names = psb_inputs(model)
        self._runner = Runner(model, threads, True, rounded_below=ROUNDED_BELOW)
        self._sessions: dict[str, Session] = {}

    def open(self) -> None:
        """Open a session, so that what the library does not have shows.

        Raises:
            ModelError: ONNX Runtime cannot load the model with this library.
        """
        self._session(MAX_SAMPLES)

    def run(
        self,
        feeds: Mapping[str, Array],
        samples: int,
        seed: int,
        into: Mapping[str, Array] = MappingProxyType({}),
    ) -> dict[str, Array]:
        """Run once; what a kernel does not write in a buffer stays.

        Args:
            feeds: input -> array.
            samples: of the run; below 4 weights are rounded to nearest.
            seed: of the draws.
            into: output -> memory for this run instead of its buffer.

        Returns:
            Output -> its values, the buffers among them.
        """
        numbers = (np.array(samples, np.int64), np.array(seed, np.int64))
        given = {**feeds, **dict(zip(self._names, numbers, strict=True))}
        return self._session(samples).run_into(given, {**self.buffers, **into})

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
