"""Inputs per run: the model's own number, the requested one, and combinations that are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reluflow.data.sources.spec import Dim, InputSpec
from reluflow.errors import DataError, OptionError

DEFAULT_BATCH = 64
"""Inputs per run where nothing else sets a number, and the most that are chosen."""
_RUN_BYTES = 2**28
"""Of one run, 256 MB: small beside a machine's memory, large beside a run's own cost."""
_UNKNOWN_DIM = 64
"""Stands for a size that only a run can tell; a guess."""


def fixed_batch_size(inputs: Sequence[InputSpec]) -> int | None:
    """Return the batch size that a model is made for; None where it accepts any.

    Args:
        inputs: of the model.

    Example:
        >>> fixed_batch_size([InputSpec("x", np.dtype("f4"), (4, 3))])
        4
    """
    return next((spec.batch_size for spec in inputs if spec.batch_size), None)


def agreed_batch_size(inputs: Sequence[InputSpec], wanted: int | None) -> int | None:
    """Return the model's own batch size, or the requested one; None where there is neither.

    Args:
        inputs: of the model.
        wanted: the requested batch size, at least 1; None: any will do.

    Raises:
        OptionError: the model is made for another batch size than the requested one.

    Example:
        >>> agreed_batch_size([InputSpec("x", np.dtype("f4"), ("n", 3))], 32)
        32
    """
    if wanted is not None:
        for spec in inputs:
            if spec.batch_size is not None and spec.batch_size != wanted:
                raise OptionError(
                    f"batch_size is {wanted}, but input '{spec.name}' wants {spec}, batches of "
                    f"{spec.batch_size}; use batch size {spec.batch_size}, leave it out, or export "
                    "the model with a free batch size."
                )
    return fixed_batch_size(inputs) or wanted


def bytes_per_sample(shape: Sequence[Dim] | None) -> int:
    """Return the size in bytes of one sample of a float32 tensor; unknown sizes count as 64.

    Args:
        shape: with its batch axis, which does not count; None: three unknown axes.

    Example:
        >>> bytes_per_sample(("n", 3, 10))
        120
    """
    if shape is None:
        return 4 * _UNKNOWN_DIM**3
    return 4 * math.prod(d if isinstance(d, int) else _UNKNOWN_DIM for d in shape[1:])


def batch_that_fits(inputs: Sequence[InputSpec], sample_bytes: int) -> int:
    """Return the model's own batch size, or one whose tensors stay under 256 MB, at most 64.

    Args:
        inputs: of the model.
        sample_bytes: of all tensors that one sample keeps in memory.

    Example:
        >>> batch_that_fits([InputSpec("x", np.dtype("f4"), ("n", 3))], 2**26)
        4
    """
    by_memory = max(1, min(DEFAULT_BATCH, _RUN_BYTES // max(sample_bytes, 1)))
    return fixed_batch_size(inputs) or by_memory


def check_batch_size(batch_size: object, inputs: Sequence[InputSpec]) -> int:
    """Return a batch size that the model accepts.

    Raises:
        OptionError: not a whole number above zero, or not the model's fixed batch size.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
        raise OptionError(f"batch_size is {batch_size!r}; give a whole number of at least 1.")
    if batch_size < 1:
        raise OptionError(f"batch_size is {batch_size}; give a whole number of at least 1.")
    agreed_batch_size(inputs, int(batch_size))
    return int(batch_size)


def check_multiple(n_samples: int, inputs: Sequence[InputSpec]) -> None:
    """Refuse a number of samples that leaves a short batch where the model needs full ones.

    Raises:
        DataError: the fixed batch size does not divide the number of samples.
    """
    for spec in inputs:
        size = spec.batch_size
        if size is None or n_samples % size == 0:
            continue
        most = n_samples // size * size
        advice = f"limit the data to {most} samples" if most else f"give at least {size} samples"
        raise DataError(
            f"input '{spec.name}' wants {spec}, a fixed batch of {size}, and {n_samples} samples "
            f"are no multiple of it; {advice} or export the model with a free batch size."
        )
