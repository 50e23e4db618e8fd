"""A model with fewer units."""

from __future__ import annotations

import os
from typing import Any

from reluflow._api.outputs import keep_inputs
from reluflow.analysis import AnalysisOptions
from reluflow.data import open_data
from reluflow.graph import load
from reluflow.progress import Progress
from reluflow.slimming import SlimReport, slim_model


def slim(
    model: Any,
    data: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    check: Any = None,
    options: AnalysisOptions | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> SlimReport:
    """Take out the units that data do not need, and write a smaller model that computes the same.

    Units that are off for all data go together with the columns that read them; units that are
    positive multiples of another one are merged with it; a Relu that is on for all data goes, and
    the layers around it become one where that saves. Both models are run on the data, and nothing
    is written where they differ by more than rounding. On other data they may differ: `check` says
    by how much.

    Args:
        model: a float model, as for `analyze`.
        data: inputs that the units are judged by, as for `analyze`; read twice.
        out: file to write; None writes nothing.
        check: other inputs, on which both models are compared.
        options: batch size and threads.
        limit: use the first so many inputs of `data` only.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        The new model, the units of each site, what is saved, and how far both models differ.

    Raises:
        OutputError: `out` is one of the inputs, or cannot be written.
        ReluflowError: bad model or data, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"]
        >>> report = reluflow.slim("models/fashion_convnet8.onnx", images[:64], check=images[64:])
        >>> report.on_data.largest_difference < 1e-4, report.on_data.other_answers
        (True, 0)
        >>> report.changed, report.sentences()[0].startswith("On the data (64 inputs)")
        (True, True)

    Reference: thesis 3.1.2; docs/slimming.md.
    """
    loaded = load(model)
    keep_inputs(out, loaded, data, check)
    source = open_data(data, loaded.inputs, limit=limit)
    other = None if check is None else open_data(check, loaded.inputs)
    report = slim_model(loaded, source, other, options, progress)
    if out is not None:
        report.model.save(out)
    return report
