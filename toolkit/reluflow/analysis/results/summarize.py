"""From a finished pipeline to its report."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis.results.describe import describe_model, describe_run
from reluflow.analysis.results.graded import SiteBits, graded_measures
from reluflow.analysis.results.readback import hexadecimal, read_back
from reluflow.analysis.results.result import (
    Estimated,
    GlobalReport,
    GradedMeasures,
    PatternReport,
    PatternSummary,
    SiteReport,
)
from reluflow.analysis.run.accumulate import SiteAccumulator
from reluflow.analysis.run.options import THESIS
from reluflow.analysis.run.pipeline import Pipeline
from reluflow.data import DataDescription
from reluflow.errors import DataError, ModelError
from reluflow.graph import SwitchSite
from reluflow.patterns import (
    CountTable,
    PatternCounts,
    PatternEstimate,
    SketchCounts,
    entropy,
    filled_share,
    most_frequent,
    relative_entropy,
    unit_activity,
)
from reluflow.patterns.tables.sketch import EXACT_PATTERNS

_METRICS = {
    "units": "",
    "samples": "",
    "patterns": "",
    "entropy_bits": ".4f",
    "relative_entropy": ".4f",
    "most_frequent_fraction": ".6f",
    "dead_units": "",
    "always_on_units": "",
    "mean_active_fraction": ".4f",
    "nonfinite": "",
}
_GRADED_METRICS = {"unit_entropy_bits": ".4f", "pair_distance": ".4f", "effective_bits": ".4f"}
"""What viewers of the graph show for a site: the key of the measure, and how it is written."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """A finished analysis, as returned by `summarize`.

    Attributes:
        report: what it showed.
        tables: site name -> exact counts, in graph order, without sites that were estimated;
            read them before the working folder of the pipeline is removed.
    """

    report: PatternReport
    tables: dict[str, CountTable]


def site_metrics(report: PatternReport) -> dict[str, dict[str, str]]:
    """Return site name -> metric -> text, for viewers that show the graph.

    Args:
        report: of an analysis.

    Example:
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> {name: found['patterns'] for name, found in site_metrics(report).items()}
        {'y': '2'}
    """
    return {
        each.site.name: _texts(each, _METRICS) | _texts(each.graded, _GRADED_METRICS)
        for each in report.sites
    }


def _texts(
    measured: SiteReport | GradedMeasures | None, forms: Mapping[str, str]
) -> dict[str, str]:
    if measured is None:
        return {}
    found = {key: getattr(measured, key) for key in forms}
    return {key: format(value, forms[key]) for key, value in found.items() if value == value}


def summarize(pipeline: Pipeline, labels: NDArray[np.int64] | None = None) -> Analysis:
    """Measure all counts and read the most frequent patterns back from the data.

    Args:
        pipeline: after `run`.
        labels: `(n,)` classes of the inputs in order, at least as many as were analysed.

    Returns:
        The report and the count tables.

    Raises:
        ModelError: no site ever ran on these data.
        DataError: fewer labels than inputs.

    Example:
        >>> import onnx.parser
        >>> import tempfile
        >>> from pathlib import Path
        >>> from reluflow.analysis import AnalysisOptions, Pipeline
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> model = load(proto)
        >>> data = open_data(np.eye(2, dtype=np.float32), model.inputs)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pipeline = Pipeline(model, data, AnalysisOptions(), Path(folder))
        ...     pipeline.run()
        ...     done = summarize(pipeline)
        >>> [(site.patterns, site.entropy_bits) for site in done.report.sites]
        [(2, 1.0)]
    """
    _check_labels(labels, pipeline.done)
    start = time.perf_counter()
    seen = [site for site in pipeline.sites if site.samples and not site.failed]
    if not seen:
        raise ModelError("no switch of the model ran on these data; give inputs that reach one.")
    found = [_counted(site.counts) for site in seen]
    reports = [_site_report(*each, pipeline) for each in zip(seen, found, strict=True)]
    depends_on = {
        pipeline.sites[index].tap.site.name: kind for index, kind in pipeline.depends_on.items()
    }
    reports = [replace(each, depends_on=depends_on.get(each.site.name, "")) for each in reports]
    samples = [_sampled(pipeline, pipeline.sites.index(site), labels) for site in seen]
    reports = [
        replace(each, graded=graded_measures(site, counted, sample))
        for each, site, counted, sample in zip(reports, seen, found, samples, strict=True)
    ]
    measuring = time.perf_counter() - start
    reports = read_back(reports, seen, pipeline)
    seconds = _seconds(pipeline, measuring, time.perf_counter() - start - measuring)
    report = PatternReport(
        model=describe_model(pipeline.model),
        data=_description(pipeline),
        hash=pipeline.options.describe_hash(),
        n_inputs=pipeline.done,
        sites=tuple(reports),
        skipped=tuple(pipeline.skipped) + tuple(_given_up(pipeline.sites)),
        global_pattern=_global_report(pipeline),
        run=describe_run(pipeline.started, seconds, pipeline.batch_size, pipeline.threads),
        notes=tuple(_notes(pipeline, reports)),
    )
    named = zip(reports, found, strict=True)
    tables = {each.site.name: table for each, table in named if isinstance(table, CountTable)}
    return Analysis(report, tables)


def _check_labels(labels: NDArray[np.int64] | None, inputs: int) -> None:
    if labels is not None and (labels.ndim != 1 or len(labels) < inputs):
        raise DataError(
            f"labels are {list(labels.shape)}, but {inputs} inputs were analysed; give one an "
            "input, in the order of the data."
        )


def _sampled(pipeline: Pipeline, site: int, labels: NDArray[np.int64] | None) -> SiteBits | None:
    found = pipeline.sample.bits(site)
    if found is None:
        return None
    chosen = None if labels is None else labels[pipeline.sample.inputs]
    return SiteBits(*found, chosen)


def _counted(counts: PatternCounts) -> CountTable | PatternEstimate:
    """Return the exact counts, or what is estimated where there are none."""
    estimate = counts.estimate() if isinstance(counts, SketchCounts) else None
    return counts.finish() if estimate is None else estimate


def _estimated(found: PatternEstimate) -> Estimated:
    return Estimated(
        patterns_low=found.low,
        patterns_high=found.high,
        patterns_confidence=found.confidence,
        count_error=found.count_error,
        count_confidence=found.count_confidence,
        least_share=found.least_share,
    )


def _most_frequent(found: PatternEstimate, samples: int) -> float:
    """Return the largest share, NaN where no pattern is known to have it."""
    return int(found.counts[0]) / samples if len(found.counts) else math.nan


def _site_report(
    site: SiteAccumulator, found: CountTable | PatternEstimate, pipeline: Pipeline
) -> SiteReport:
    options = pipeline.options
    activity = unit_activity(site.active, site.samples)
    if isinstance(found, PatternEstimate):
        measured: dict[str, Any] = {
            "patterns": found.patterns,
            "entropy_bits": math.nan,
            "relative_entropy": math.nan,
            "most_frequent_fraction": _most_frequent(found, site.samples),
            "table_load": math.nan,
            "estimated": _estimated(found),
        }
        k = options.top
        top = (found.keys[:k], found.counts[:k], found.first[:k])
    else:
        occupancy = found.total / options.table_size
        measured = {
            "patterns": found.total,
            "entropy_bits": entropy(found),
            "relative_entropy": relative_entropy(found, site.units),
            "most_frequent_fraction": most_frequent(found),
            "table_load": occupancy if options.hash == THESIS else filled_share(found.total),
        }
        top = found.top(options.top)
    return SiteReport(
        site=replace(site.tap.site, units=site.units),
        units=site.units,
        positions=site.positions,
        samples=site.samples,
        dead_units=activity.dead,
        always_on_units=activity.always_on,
        mean_active_fraction=float(activity.fraction.mean()),
        unit_active_counts=tuple(site.active.tolist()),
        nonfinite=site.nonfinite,
        spilled_bytes=site.counts.spilled_bytes,
        top=tuple(_top(site, *top)),
        **measured,
    )


def _top(
    site: SiteAccumulator,
    keys: NDArray[np.uint64],
    counts: NDArray[np.int64],
    first: NDArray[np.int64],
) -> Iterable[PatternSummary]:
    for (high, low), count, sample in zip(
        keys.tolist(), counts.tolist(), first.tolist(), strict=True
    ):
        place = site.locate(sample)
        yield PatternSummary(
            fingerprint=hexadecimal(high, low),
            count=count,
            fraction=count / site.samples,
            first_sample=None if place is None else place[0],
            first_position=None if place is None else place[1],
        )


def _global_report(pipeline: Pipeline) -> GlobalReport:
    if pipeline.global_reason:
        return GlobalReport(False, pipeline.global_reason)
    table = _counted(pipeline.global_counts)
    if isinstance(table, PatternEstimate):
        samples = pipeline.global_counts.samples
        return GlobalReport(
            available=True,
            samples=samples,
            patterns=table.patterns,
            entropy_bits=math.nan,
            most_frequent_fraction=_most_frequent(table, samples),
            estimated=_estimated(table),
        )
    return GlobalReport(
        available=True,
        samples=table.samples,
        patterns=table.total,
        entropy_bits=entropy(table),
        most_frequent_fraction=most_frequent(table),
    )


def _given_up(sites: Sequence[SiteAccumulator]) -> Iterable[SwitchSite]:
    for site in sites:
        if site.failed:
            yield replace(site.tap.site, untappable=site.failed)
        elif not site.samples:
            yield replace(site.tap.site, untappable="it never ran on these data")


def _notes(pipeline: Pipeline, reports: Sequence[SiteReport]) -> Iterable[str]:
    yield from pipeline.notes
    yield from pipeline.source.notes
    if pipeline.global_reason:
        yield f"The global pattern is not available: {pipeline.global_reason}."
    bad = [report for report in reports if report.nonfinite]
    if bad:
        total = sum(report.nonfinite for report in bad)
        yield (
            f"{total} pre-activations were NaN or infinite, first at site {bad[0].site.name}; "
            "a NaN counts as inactive."
        )
    spilled = sum(report.spilled_bytes for report in reports)
    if spilled:
        yield (
            f"The counts outgrew their memory and put {spilled / 1e6:.1f} MB on disk; "
            "they stay exact."
        )
    estimated = [report for report in reports if report.estimated]
    if pipeline.options.approximate and not estimated:
        yield f"No site has more than {EXACT_PATTERNS:,} patterns, so that all counts are exact."
    if estimated:
        yield (
            f"At {len(estimated)} of {len(reports)} sites more than {EXACT_PATTERNS:,} patterns "
            "occurred: their numbers of patterns, marked ~, are estimated, as are shares of the "
            "most frequent ones, never too low. Entropies and effective numbers of patterns are "
            "missing there, and patterns.parquet leaves these sites out."
        )
    if pipeline.options.hash == THESIS:
        yield "Counted with the thesis' fixed table: patterns that share a slot count as one."


def _description(pipeline: Pipeline) -> DataDescription:
    return replace(pipeline.source.description, n_samples=pipeline.done)


def _seconds(pipeline: Pipeline, measuring: float, reading: float) -> dict[str, float]:
    def share(stage: str) -> float:
        return sum(site.seconds[stage] for site in pipeline.sites) / pipeline.threads

    stages = pipeline.seconds | {
        "hashing": share("hashing"),
        "counting": share("counting"),
        "measuring": measuring,
        "reading patterns back": reading,
    }
    return stages | {"total": time.perf_counter() - pipeline.clock}
