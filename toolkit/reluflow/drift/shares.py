"""The share of an input's patterns that are not in a table."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis import AnalysisOptions
from reluflow.data import DataSource
from reluflow.drift.reader import KeyReader, Part
from reluflow.errors import DataError
from reluflow.graph import Model
from reluflow.progress import Progress


def unseen_share(keys: NDArray[np.uint64], table: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the share of each input's patterns that are not in a table.

    Args:
        keys: `(n_inputs, positions)`.
        table: `(n,)` known keys, ascending; at least one.

    Returns:
        `(n_inputs,)` in [0, 1].

    Example:
        >>> keys = np.array([[1, 2, 2, 9], [3, 3, 3, 3]], np.uint64)
        >>> unseen_share(keys, np.array([2, 9], np.uint64)).tolist()
        [0.25, 1.0]
    """
    # Each distinct key once, in order: the search then walks through the table from front to back.
    distinct, places = np.unique(keys, return_inverse=True)
    at = np.searchsorted(table, distinct)
    at[at == len(table)] = 0
    unseen = table[at] != distinct
    share: NDArray[np.float64] = unseen[places].reshape(keys.shape).mean(axis=1)
    return share


def read_shares(
    model: Model,
    source: DataSource,
    tables: Mapping[str, NDArray[np.uint64]],
    options: AnalysisOptions,
    part: Part | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the share of unseen patterns of every input at every site.

    Args:
        model: the model.
        source: its inputs.
        tables: site -> its table.
        options: as the tables were made with.
        part: of the inputs; all by default.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        `(n_inputs, n_sites)`, and sentences on what else is to be known.

    Raises:
        DataError: there are no inputs, or a site does not run for some of them.
    """
    rows: list[NDArray[np.float64]] = []
    with tempfile.TemporaryDirectory(prefix="reluflow-") as spill:
        reader = KeyReader(model, source, options, Path(spill), part=part)
        for found in reader.read(progress):
            missing = [name for name in tables if name not in found]
            if missing:
                raise DataError(
                    f"site {missing[0]} shows no patterns input by input for some of these inputs, "
                    "as it did for those of the reference; give inputs of the same kind."
                )
            shares = [unseen_share(found[name], table) for name, table in tables.items()]
            rows.append(np.stack(shares, axis=1))
        bad = [site for site in reader.pipeline.sites if site.nonfinite]
        notes = tuple(
            f"Site {site.tap.site.name} has {site.nonfinite:,} values that are NaN or infinite; "
            "NaN counts as inactive."
            for site in bad
        )
    return np.concatenate(rows), notes
