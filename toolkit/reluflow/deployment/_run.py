"""Running a model over a source of data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reluflow.data import DataSource
from reluflow.runtime import Session

DEFAULT_BATCH = 64


def batch_size(source: DataSource, wanted: int | None) -> int:
    """Return the model's own batch size, the one asked for, or 64."""
    fixed = [spec.batch_size for spec in source.inputs if spec.batch_size]
    return fixed[0] if fixed else wanted or DEFAULT_BATCH


def first_output(
    session: Session, source: DataSource, size: int, extra: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return the first output for all inputs, joined along the batch axis.

    Args:
        session: an open session.
        source: the inputs.
        size: inputs a run.
        extra: more inputs, the same for all runs.
    """
    parts = [session.run({**batch, **extra})[0] for batch in source.batches(size)]
    return np.concatenate(parts)
