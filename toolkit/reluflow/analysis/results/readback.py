"""The bits of the most frequent patterns, read from the inputs that first showed them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from reluflow.analysis.results.result import PatternSummary, SiteReport
from reluflow.analysis.run.accumulate import SiteAccumulator
from reluflow.analysis.run.options import THESIS
from reluflow.analysis.run.pipeline import Pipeline
from reluflow.data import fixed_batch_size
from reluflow.errors import ReluflowError
from reluflow.patterns import fingerprint

Outputs = Mapping[str, np.ndarray]


def read_back(
    reports: Sequence[SiteReport], sites: Sequence[SiteAccumulator], pipeline: Pipeline
) -> list[SiteReport]:
    """Return the reports with the bits of their top patterns.

    A fingerprint cannot be turned back into its pattern, so the inputs that first showed the top
    patterns are run through the model once more.

    Args:
        reports: one per site, without bits.
        sites: the accumulators of the same sites.
        pipeline: after its run.

    Returns:
        The reports; a pattern keeps bits "" where the data cannot be read again, where the
        graph mixes inputs, or where the second run did not show the same pattern.
    """
    if not pipeline.source.rereadable or pipeline.options.hash == THESIS:
        return list(reports)
    wanted: dict[int, list[tuple[int, int]]] = {}
    for index, report in enumerate(reports):
        for rank, top in enumerate(report.top):
            if top.first_sample is not None:
                wanted.setdefault(top.first_sample, []).append((index, rank))
    bits: dict[tuple[int, int], str] = {}
    for row, n_rows, sample, outputs in _run_again(sorted(wanted), sites, pipeline):
        for index, rank in wanted[sample]:
            x = outputs[sites[index].tap.output]
            bits[index, rank] = _bits(x, row, n_rows, sites[index], reports[index].top[rank])
    return [
        replace(report, top=tuple(_fill(report.top, index, bits)))
        for index, report in enumerate(reports)
    ]


def _fill(
    top: Sequence[PatternSummary], index: int, bits: dict[tuple[int, int], str]
) -> Iterator[PatternSummary]:
    for rank, pattern in enumerate(top):
        yield replace(pattern, bits=bits.get((index, rank), ""))


def _run_again(
    inputs: Sequence[int], sites: Sequence[SiteAccumulator], pipeline: Pipeline
) -> Iterator[tuple[int, int, int, Outputs]]:
    """Yield (row in its batch, rows of the batch, input index, outputs by name)."""
    fixed = fixed_batch_size(pipeline.model.inputs) is not None
    same_size = all(site.positions is not None for site in sites)
    size = pipeline.batch_size if fixed or same_size else 1
    for start in range(0, len(inputs), size):
        chunk = list(inputs[start : start + size])
        rows = chunk + chunk[-1:] * (size - len(chunk)) if fixed else chunk
        try:
            outputs = pipeline.run_plain(pipeline.source.take(rows))
        except ReluflowError:
            continue
        for row, sample in enumerate(chunk):
            yield row, len(rows), sample, outputs
        pipeline.progress("reading patterns", start + len(chunk), len(inputs))


def _bits(x: np.ndarray, row: int, n_rows: int, site: SiteAccumulator, top: PatternSummary) -> str:
    """Return the pattern as "0" and "1", or "" where it is not the one that was counted."""
    samples = np.moveaxis(x, site.tap.unit_axis, -1).reshape(n_rows, -1, site.units)
    if top.first_position is None or top.first_position >= samples.shape[1]:
        return ""  # the second run has fewer positions than the first
    sample = samples[row, top.first_position]
    threshold = site.tap.site.threshold
    prints = fingerprint(sample[None], unit_axis=-1, threshold=threshold, words=site.words)
    if hexadecimal(*prints.keys[0].tolist()) != top.fingerprint:
        return ""
    return "".join("01"[int(active)] for active in sample > threshold)


def hexadecimal(high: int, low: int) -> str:
    """Return a 128-bit fingerprint as 32 hexadecimal digits."""
    return f"{high:016x}{low:016x}"
