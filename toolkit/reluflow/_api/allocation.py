"""The division of a budget of samples, as a function."""

from __future__ import annotations

import os
from typing import Any

from reluflow._api.outputs import keep_inputs
from reluflow.data import open_data
from reluflow.evaluation import Allocation, allocate
from reluflow.graph import load, with_input_defaults
from reluflow.progress import Progress


def allocate_samples(
    model: Any,
    data: Any,
    budget: float = 4,
    out: str | os.PathLike[str] | None = None,
    *,
    sampler: str | None = None,
    seeds: int = 1,
    limit: int | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Allocation:
    """Give each operator of a converted model its own number of samples, within a mean.

    Args:
        model: a converted model.
        data: representative inputs, as for `analyze`; no labels are needed.
        budget: mean number of samples over all multiplications, 1 to 64.
        out: file to write; None writes nothing.
        sampler: how all operators draw; None: as stored, but an operator that gets fewer than 4
            systematic samples rounds to nearest.
        seeds: runs of each operator and number of samples that draws.
        limit: use the first so many inputs only.
        batch_size: inputs per run.
        threads: of ONNX Runtime.
        progress: called as progress("measuring", runs done, runs).

    Returns:
        The model, in which `samples` scales the numbers of all operators, and what was measured.

    Raises:
        OutputError: `out` is the model's own file or the data, or cannot be written.
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import reluflow
        >>> made = reluflow.convert("models/fashion_resnet8.onnx")
        >>> images = "models/fashion_mnist_test_2000.npz"
        >>> found = reluflow.allocate_samples(made.result.model, images, 4, limit=8)
        >>> found.samples, found.mean <= 4
        (4, True)

    Reference: docs/psb.md, the sample budget; thesis 4.2.6.
    """
    loaded = load(model)
    keep_inputs(out, loaded, data)
    inputs = with_input_defaults(loaded).model.inputs
    found = allocate(
        loaded,
        open_data(data, inputs, limit=limit),
        budget,
        sampler=sampler,
        seeds=seeds,
        size=batch_size,
        threads=threads,
        progress=progress,
    )
    if out is not None:
        found.model.save(out)
    return found
