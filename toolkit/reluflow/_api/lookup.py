"""The bits of chosen inputs, and which inputs show a pattern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from reluflow._api.patterns import analyze
from reluflow.analysis import (
    AnalysisOptions,
    Occurrences,
    PatternSummary,
    find_occurrences,
    read_bits,
)
from reluflow.data import Preprocessing, open_data
from reluflow.errors import DataError
from reluflow.graph import load_apart


def activation_bits(
    model: Any,
    data: Any,
    samples: Sequence[int],
    sites: Sequence[str] | None = None,
    *,
    options: AnalysisOptions | None = None,
    preprocessing: Preprocessing | None = None,
) -> dict[str, np.ndarray]:
    """Return the activation patterns of chosen inputs, bit by bit.

    Args:
        model: as for `analyze`.
        data: as for `analyze`; what can be read a second time.
        samples: indices of inputs, from 0.
        sites: names of sites; all by default.
        options: settings.
        preprocessing: of images and idx files.

    Returns:
        Site name -> `(n_inputs, positions, units)` bool; one position in a dense layer, a pixel
        or token each elsewhere, row-major.

    Raises:
        ReluflowError: bad model, data, indices or names, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"]
        >>> bits = reluflow.activation_bits("models/fashion_resnet8.onnx", images, [3, 7])
        >>> len(bits), next(iter(bits.values())).dtype.name
        (7, 'bool')

    Reference: thesis, Definition 1 and equation 3.2.
    """
    loaded = load_apart(model)
    source = open_data(data, loaded.inputs, preprocessing=preprocessing)
    return read_bits(loaded, source, samples, sites, options or AnalysisOptions())


def find_pattern(
    model: Any,
    data: Any,
    site: str,
    pattern: PatternSummary | str | None = None,
    *,
    options: AnalysisOptions | None = None,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
) -> Occurrences:
    """Return which inputs show a pattern at a site.

    Args:
        model: as for `analyze`.
        data: as for `analyze`; read twice where `pattern` is None.
        site: name of the site.
        pattern: an entry of `report[site].top`, or its fingerprint; None: the most frequent.
        options: settings, as in the analysis that the pattern is from.
        preprocessing: of images and idx files.
        limit: look at the first so many inputs only.

    Returns:
        Indices of inputs, positions in them, and the pattern's bits.

    Raises:
        ReluflowError: bad model, data, site or pattern, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:100]
        >>> report = reluflow.analyze("models/fashion_resnet8.onnx", images)
        >>> last = report.sites[-1]
        >>> found = reluflow.find_pattern(
        ...     "models/fashion_resnet8.onnx", images, last.site.name, last.top[0])
        >>> len(found) == last.top[0].count
        True
    """
    settings = options or AnalysisOptions()
    loaded = load_apart(model)
    if pattern is None:
        if isinstance(data, Iterator):
            raise DataError(
                "data are an iterator that can be read once, and finding the most frequent pattern "
                "reads them twice; give an array, a file or a list, or name the pattern."
            )
        few = replace(settings, top=1)
        report = analyze(loaded, data, options=few, preprocessing=preprocessing, limit=limit)
        pattern = report[site].top[0]
    wanted = pattern.fingerprint if isinstance(pattern, PatternSummary) else pattern
    source = open_data(data, loaded.inputs, preprocessing=preprocessing, limit=limit)
    return find_occurrences(loaded, source, site, wanted, settings)
