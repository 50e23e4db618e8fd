"""Make a reference: count the patterns of known inputs, then score inputs that were held out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis import AnalysisOptions
from reluflow.data import DataSource
from reluflow.drift.reader import KeyReader, Part
from reluflow.drift.reference import DriftReference, SiteReference, choose_sites, identify
from reluflow.drift.shares import read_shares
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import Model
from reluflow.patterns import CountTable
from reluflow.progress import Progress

MOST_PATTERNS = 1_000_000
"""Patterns that a table holds at most, of 8 bytes each."""
_EVERY = 5
"""Every so many inputs are held out where no others are given."""
_LEAST_INPUTS = 2 * _EVERY

Table = tuple[NDArray[np.uint64], int, int]
"""Keys kept, number of patterns, how often the most frequent of the others was seen."""


def fit_reference(
    model: Model,
    source: DataSource,
    held_out: DataSource | None = None,
    *,
    most_patterns: int = MOST_PATTERNS,
    options: AnalysisOptions | None = None,
    progress: Progress | None = None,
) -> DriftReference:
    """Return the patterns that a model shows on known inputs, and the scores of held-out ones.

    Args:
        model: the model.
        source: known inputs.
        held_out: others of the same kind, which the thresholds come from; every fifth input of
            `source` by default, which is then read twice.
        most_patterns: a table holds at most; the most frequent ones.
        options: batch size, threads, seed of the hash, smooth sites, memory.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Raises:
        OptionError: `most_patterns` is below 1.
        DataError: there are too few inputs, or they can be read once only.
        ModelError: no site shows patterns that belong to one input each.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:200]
        >>> model = load("models/fashion_resnet8.onnx")
        >>> found = fit_reference(model, open_data(images, model.inputs))
        >>> found.n_inputs, len(found.shares), [site.chosen for site in found.sites].count(True)
        (160, 40, 1)
        >>> found.columns(["/relu/Relu"]), found.check_model(model), len(found.sentences()[0]) > 9
        ([0], None, True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found.save(Path(folder, "reference.npz"))
    """
    settings = options or AnalysisOptions()
    settings.need_exact("a reference")
    if isinstance(most_patterns, bool) or most_patterns < 1:
        raise OptionError(f"most_patterns is {most_patterns}; give a whole number from 1 on.")
    known = None if held_out is not None else Part(_EVERY, others=True)
    if known is not None:
        _check_divisible(source)
    with tempfile.TemporaryDirectory(prefix="reluflow-") as spill:
        reader = KeyReader(model, source, settings, Path(spill), counting=True, part=known)
        for _ in reader.read(progress):
            pass
        left_out = reader.left_out()
        tables = {
            site.tap.site.name: _most_frequent(site.counts.finish(), most_patterns)
            for site in reader.pipeline.sites
            if site.tap.site.name not in left_out
        }
    if not tables:
        name, why = next(iter(left_out.items()))
        raise ModelError(
            f"no site has patterns that belong to one input each (site {name}: {why}); set "
            "batch_size to 1."
        )
    others = source if held_out is None else held_out
    part = None if held_out is not None else Part(_EVERY, others=False)
    keys = {name: table for name, (table, _, _) in tables.items()}
    shares, _ = read_shares(model, others, keys, settings, part, progress)
    sites = [
        SiteReference(name, patterns, len(table), rarest, float(column.mean()), False)
        for (name, (table, patterns, rarest)), column in zip(tables.items(), shares.T, strict=True)
    ]
    notes = [
        *reader.pipeline.notes,
        *(f"Site {site} is left out: {why}." for site, why in left_out.items()),
    ]
    told = source.description
    return DriftReference(
        model="<memory>" if model.path is None else model.path.name,
        model_sha256=identify(model),
        data=told.source,
        preprocessing=told.preprocessing,
        n_inputs=reader.done,
        held_out=f"every {_EVERY}th of the same" if held_out is None else others.description.source,
        seed=settings.seed,
        smooth=settings.smooth,
        sites=choose_sites(sites),
        tables=tuple(keys.values()),
        shares=shares,
        notes=tuple(dict.fromkeys(notes)),
    )


def _check_divisible(source: DataSource) -> None:
    if not source.rereadable:
        raise DataError(
            "the data can be read once only, and every fifth input is held out in a second "
            "reading; give an array, a file or a list, or others as held_out."
        )
    if source.n_samples is not None and source.n_samples < _LEAST_INPUTS:
        raise DataError(
            f"the data hold {source.n_samples} inputs, of which a fifth would be held out; give "
            f"{_LEAST_INPUTS} at least, or others as held_out."
        )


def _most_frequent(table: CountTable, most: int) -> Table:
    """Return the first 64 bits of the most frequent keys, ascending."""
    if table.total <= most:
        kept = np.concatenate([keys[:, 0] for keys, _, _ in table.iter_chunks()])
        return np.unique(kept), table.total, 0
    keys, counts, _ = table.top(most + 1)
    return np.unique(keys[:-1, 0]), table.total, int(counts[-1])
