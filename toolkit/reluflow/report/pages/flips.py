"""What the page of a recording says of steps that struck and of samples that flip."""

from __future__ import annotations

import os

import pyarrow as pa

from reluflow.monitoring import MEAN, SampleFlips
from reluflow.report.tables.facts import Facts
from reluflow.report.tables.format import percent, plural

_MOST_STRIKES = 20
_MOST_SAMPLES = 10


def strike_facts(table: pa.Table) -> Facts:
    """Return the steps of a recording that struck, with the share of the units that they flipped.

    Args:
        table: of `read_recording`.

    Returns:
        The strongest, in the order of the steps; empty where none struck.
    """
    if not {"strike", "flip_fraction"} <= {*table.column_names}:
        return []
    columns = (table[name].to_pylist() for name in ("step", "site", "strike", "flip_fraction"))
    found = [
        (step, share)
        for step, site, strike, share in zip(*columns, strict=True)
        if site == MEAN and strike and share is not None
    ]
    strongest = sorted(found, key=lambda row: -row[1])[:_MOST_STRIKES]
    rows: Facts = [(f"Step {step}", f"{percent(share)} of the units") for step, share in found
                   if (step, share) in strongest]  # fmt: skip
    left = len(found) - len(rows)
    return [*rows, ("More", f"{plural(left, 'weaker strike')}")] if left else rows


def sample_facts(recording: str | os.PathLike[str]) -> Facts:
    """Return the samples whose units flip most, and what a sample flips on average.

    Args:
        recording: its directory.

    Returns:
        The samples by their number in the data, ranked; empty where no flips were saved.

    Raises:
        OutputError: the saved flips are damaged.
    """
    flips = SampleFlips.read(recording)
    if not flips.steps or not len(flips.sums):
        return []
    mean = flips.mean
    ranked: Facts = [
        (f"Sample {number}", f"{percent(float(mean[number]))} of the units in a step")
        for number in flips.ranked(_MOST_SAMPLES).tolist()
    ]
    all_of_them = f"{percent(float(mean.mean()))}, over {plural(flips.steps, 'step')}"
    return [*ranked, (f"Mean of {plural(len(mean), 'sample')}", all_of_them)]
