"""A reference of known inputs, and how far new ones lie from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from reluflow._api.outputs import keep_inputs
from reluflow.analysis import AnalysisOptions
from reluflow.data import Preprocessing, open_data
from reluflow.drift import (
    MOST_PATTERNS,
    DriftReference,
    DriftReport,
    check_against,
    fit_reference,
    load_reference,
)
from reluflow.drift.check import FALSE_ALARMS, GROUP
from reluflow.graph import load
from reluflow.progress import Progress


def fit_drift(
    model: Any,
    data: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    held_out: Any = None,
    most_patterns: int = MOST_PATTERNS,
    options: AnalysisOptions | None = None,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> DriftReference:
    """Keep which patterns a model shows on known inputs, and how many others held-out inputs show.

    The site whose share of unseen patterns among held-out inputs is nearest to 10 % is chosen for
    the score.

    Args:
        model: as for `analyze`.
        data: known inputs, as for `analyze`.
        out: file to write; None writes nothing.
        held_out: other inputs of the same kind, which the thresholds come from, best ones that the
            model was not trained on; every fifth of `data` by default.
        most_patterns: a site keeps at most, the most frequent ones; 8 bytes each.
        options: batch size, threads, seed of the hash, smooth sites, memory.
        preprocessing: of images and idx files.
        limit: use the first so many inputs of `data` only.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        The reference, as `out` holds it.

    Raises:
        OutputError: `out` is one of the inputs, or cannot be written.
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:200]
        >>> found = reluflow.fit_drift("models/fashion_resnet8.onnx", images)
        >>> found.n_inputs, len(found.shares), len(found.sites)
        (160, 40, 7)

    Reference: thesis 3.1.2 and 3.1.4; docs/drift.md.
    """
    loaded = load(model)
    keep_inputs(out, loaded, data, held_out)
    source = open_data(data, loaded.inputs, preprocessing=preprocessing, limit=limit)
    others = None
    if held_out is not None:
        others = open_data(held_out, loaded.inputs, preprocessing=preprocessing)
    found = fit_reference(
        loaded, source, others, most_patterns=most_patterns, options=options, progress=progress
    )
    if out is not None:
        found.save(out)
    return found


def check_drift(
    model: Any,
    reference: DriftReference | str | os.PathLike[str],
    data: Any,
    *,
    sites: Sequence[str] | None = None,
    false_alarms: float = FALSE_ALARMS,
    group: int = GROUP,
    options: AnalysisOptions | None = None,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> DriftReport:
    """Tell whether new inputs show patterns that known ones did not: drift.

    Args:
        model: the one that the reference was made for, as for `analyze`.
        reference: of `fit_drift`, or its file.
        data: new inputs, as for `analyze`.
        sites: names of sites; the score is the mean of their shares. By default what the reference
            chose.
        false_alarms: rate that thresholds are set for: of single inputs, of groups, and of checks.
        group: inputs in a row that are judged together.
        options: batch size and threads.
        preprocessing: of images and idx files.
        limit: use the first so many inputs only.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        Scores of inputs, groups and all together, with thresholds; shares of every site.

    Raises:
        ReluflowError: another model, bad data or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"]
        >>> model = "models/fashion_resnet8.onnx"
        >>> reference = reluflow.fit_drift(model, images[:600])
        >>> noisy = np.random.default_rng(0).normal(images[600:], 0.1).astype(np.float32)
        >>> [reluflow.check_drift(model, reference, new, limit=100).drift
        ...  for new in (images[600:], noisy)]
        [False, True]

    Reference: thesis 3.1.2 and 3.1.4; docs/drift.md.
    """
    loaded = load(model)
    found = load_reference(reference)
    found.check_model(loaded)
    source = open_data(data, loaded.inputs, preprocessing=preprocessing, limit=limit)
    return check_against(
        loaded,
        found,
        source,
        sites=sites,
        false_alarms=false_alarms,
        group=group,
        options=options,
        progress=progress,
    )
