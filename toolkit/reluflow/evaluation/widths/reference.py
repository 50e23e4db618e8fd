"""The outputs of the float model on data, run once and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.errors import DataError
from reluflow.evaluation.answers.metrics import Values
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.graph import Model
from reluflow.sessions import open_session

Batch = Mapping[str, NDArray[np.generic]]


class FloatOutputs:
    """The outputs of a float model on all inputs, for comparison with several others.

    The model runs as the batches are asked for the first time; after that they come from memory,
    which holds all outputs.

    Args:
        model: in floating point.
        source: the inputs.
        size: inputs per run.
        threads: of ONNX Runtime.
    """

    def __init__(
        self, model: Model, source: DataSource, size: int | None = None, threads: int | None = None
    ) -> None:
        self._model = model
        self._source = source
        self._size = source.fitting_batch_size(size)
        self._threads = threads
        self._kept: list[dict[str, Values]] = []
        self._complete = False

    def __iter__(self) -> Iterator[tuple[Batch, dict[str, Values]]]:
        """Give each batch with the outputs of the float model that are arrays.

        Raises:
            DataError: there is none.
        """
        if self._complete:
            yield from zip(self._source.batches(self._size), self._kept, strict=True)
            return
        session = open_session(self._model, threads=self._threads)
        kept = []
        for batch in self._source.batches(self._size):
            exact = run_arrays(session, batch)
            if not exact:
                raise DataError(
                    "the model has no output that is an array, so widths of activations cannot be "
                    "compared; give x_bits as a number."
                )
            kept.append(exact)
            yield batch, exact
        self._kept, self._complete = kept, True
