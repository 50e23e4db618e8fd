"""Score new inputs against a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis import AnalysisOptions
from reluflow.data import DataSource
from reluflow.drift.alarm import check_rate, group_threshold, input_threshold, interval
from reluflow.drift.reference import DriftReference
from reluflow.drift.result import DriftReport, GroupDrift, SiteDrift
from reluflow.drift.shares import read_shares
from reluflow.errors import OptionError
from reluflow.graph import Model
from reluflow.progress import Progress

FALSE_ALARMS = 0.01
GROUP = 32


def check_against(
    model: Model,
    reference: DriftReference,
    source: DataSource,
    *,
    sites: Sequence[str] | None = None,
    false_alarms: float = FALSE_ALARMS,
    group: int = GROUP,
    options: AnalysisOptions | None = None,
    progress: Progress | None = None,
) -> DriftReport:
    """Return which share of the patterns of new inputs a reference does not have.

    Args:
        model: the one that the reference was made for.
        reference: of known inputs.
        source: new inputs.
        sites: whose shares the score is the mean of; those that the reference chose by default.
        false_alarms: rate that thresholds are set for.
        group: inputs in a row that are judged together.
        options: batch size and threads; what tells patterns apart is the reference's.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Raises:
        ModelError: the reference was made for another model.
        OptionError: an unknown site, a rate that the held-out inputs cannot tell, or no group.
        DataError: there are no inputs.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.drift import fit_reference
        >>> from reluflow.graph import load
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"]
        >>> model = load("models/fashion_resnet8.onnx")
        >>> known, new = (open_data(x, model.inputs) for x in (images[:600], images[600:700]))
        >>> report = check_against(model, fit_reference(model, known), new)
        >>> report.n_inputs, report.drift, len(report.groups)
        (100, False, 4)
        >>> report.sentences()[0].startswith("No drift")
        True
    """
    check_rate(false_alarms)
    if isinstance(group, bool) or group < 1:
        raise OptionError(f"group is {group}; give a whole number from 1 on.")
    reference.check_model(model)
    columns = reference.columns(sites)
    held = reference.shares[:, columns].mean(axis=1)
    threshold, rate = input_threshold(held, false_alarms)
    names = [site.site for site in reference.sites]
    settings = replace(options or AnalysisOptions(), seed=reference.seed, smooth=reference.smooth)
    tables = dict(zip(names, reference.tables, strict=True))
    shares, notes = read_shares(model, source, tables, settings, progress=progress)
    scores = shares[:, columns].mean(axis=1)
    n = len(scores)
    low, high = interval(scores)
    limit = group_threshold(held, n, false_alarms)
    told = source.description.preprocessing
    other = (
        f"The inputs were prepared by {told or 'nothing'}, those of the reference by "
        f"{reference.preprocessing or 'nothing'}; see to it that both give the same numbers."
    )
    return DriftReport(
        model=reference.model,
        n_inputs=n,
        false_alarms=false_alarms,
        sites=tuple(
            _site(reference, index, index in columns, column)
            for index, column in enumerate(shares.T)
        ),
        score=float(scores.mean()),
        low=low,
        high=high,
        held_out=float(held.mean()),
        n_held_out=len(held),
        threshold=limit,
        drift=bool(scores.mean() > limit),
        scores=scores,
        input_threshold=threshold,
        input_rate=rate,
        group=group,
        groups=_groups(scores, held, group, false_alarms),
        notes=(*notes, *([other] if told != reference.preprocessing else [])),
    )


def _site(
    reference: DriftReference, index: int, chosen: bool, shares: NDArray[np.float64]
) -> SiteDrift:
    known = reference.sites[index]
    low, high = interval(shares)
    share = float(shares.mean())
    return SiteDrift(known.site, chosen, known.kept, known.held_out, share, low, high)


def _groups(
    scores: NDArray[np.float64], held: NDArray[np.float64], size: int, rate: float
) -> tuple[GroupDrift, ...]:
    parts = [(first, scores[first : first + size]) for first in range(0, len(scores), size)]
    limits = {n: group_threshold(held, n, rate) for n in {len(part) for _, part in parts}}
    means = [(first, len(part), float(part.mean())) for first, part in parts]
    return tuple(
        GroupDrift(first, n, mean, limits[n], mean > limits[n]) for first, n, mean in means
    )
