"""What a model expects as input, and what it was given: the two records of the data room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Dim = int | str | None


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a model.

    Attributes:
        name: the tensor's name in the graph.
        dtype: the element type as a numpy dtype.
        shape: one entry per dimension: a size, the name of a symbolic size, or None
            where the model says nothing; None as a whole when even the rank is unknown.
            The first dimension is the batch.

    Example:
        >>> spec = InputSpec("image", np.dtype("float32"), ("N", 3, 224, 224))
        >>> str(spec), spec.batch_size
        ('float32 [N, 3, 224, 224]', None)
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[Dim, ...] | None

    @property
    def batch_size(self) -> int | None:
        """The fixed batch size, or None where the model takes any."""
        first = self.shape[0] if self.shape else None
        return first if isinstance(first, int) else None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.dtype} of unknown rank"
        return f"{self.dtype} [{', '.join('?' if d is None else str(d) for d in self.shape)}]"


@dataclass(frozen=True, slots=True)
class DataDescription:
    """Where the inputs came from, as kept in every result; a `DataSource` holds it.

    Attributes:
        kind: "npy", "npz", "idx", "images", "set" (a standard data set), "array" (in memory),
            "dataset", "iterator" or "random".
        source: a path or a few words by which a person can find the data again.
        n_samples: number of samples, None while unknown (an iterator).
        inputs: input name -> "float32 [1, 28, 28]" of one sample.
        preprocessing: what was done to the raw data, in order; empty when nothing was.
        fingerprint: SHA-256 over names, sizes and modification times of files, over the bytes
            of arrays in memory, over type, length and first sample of a dataset, or over the seed
            and shape of random data: by it a resumed run knows that the data are the same. That of
            an iterator says nothing about its values.
    """

    kind: str
    source: str
    n_samples: int | None
    inputs: dict[str, str]
    preprocessing: dict[str, Any]
    fingerprint: str
