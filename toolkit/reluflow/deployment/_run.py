"""Running a model over a source of data."""

from __future__ import annotations

import numpy as np

from reluflow.data import DataSource
from reluflow.graph import Model, bake_samples, find_psb, psb_inputs
from reluflow.runtime import Session, has_library, open_session

DEFAULT_BATCH = 64


def batch_size(source: DataSource, wanted: int | None) -> int:
    """Return the model's own batch size, the one asked for, or 64."""
    fixed = [spec.batch_size for spec in source.inputs if spec.batch_size]
    return fixed[0] if fixed else wanted or DEFAULT_BATCH


class Runner:
    """Runs a converted model for any number of samples and seed.

    Attributes:
        native: whether the native library draws; else draws are baked into the weights.
    """

    def __init__(self, model: Model, threads: int | None, native: bool | None) -> None:
        self.model = model
        self._nodes = find_psb(model)
        self.threads = threads
        self.native = has_library() if native is None else native
        self._session = (
            open_session(model, threads=self.threads, library=True) if self.native else None
        )

    def is_certain(self, samples: int) -> bool:
        """Tell whether all seeds give the same: nothing is drawn, or every n p is whole."""
        return all(
            samples == 0
            or node.sampler == "nearest"
            or (
                node.sampler == "systematic"
                and samples >= 1 << node.p_bits
                and (node.rounding == "half" or node.smallest <= 14 - samples.bit_length())
            )
            for node in self._nodes
        )

    def at(self, samples: int, seed: int) -> tuple[Session, dict[str, np.ndarray]]:
        """Return a session and the inputs that choose precision and seed."""
        if self._session is not None:
            names = psb_inputs(self.model)
            return self._session, {
                names[0]: np.array(samples, np.int64),
                names[1]: np.array(seed, np.int64),
            }
        baked = bake_samples(self.model, samples, seed)
        return open_session(baked, threads=self.threads, library=False), {}
