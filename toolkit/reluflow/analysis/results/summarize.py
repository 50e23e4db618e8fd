"""From a finished pipeline to its report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis.results.describe import describe_model, describe_run
from reluflow.analysis.results.graded import SiteBits, graded_measures
from reluflow.analysis.results.readback import hexadecimal, read_back
from reluflow.analysis.results.result import (
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
    entropy,
    filled_share,
    most_frequent,
    relative_entropy,
    unit_activity,
)

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
        tables: site name -> exact counts, in graph order; read them before the working folder
            of the pipeline is removed.
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
    return {key: format(getattr(measured, key), form) for key, form in forms.items()}


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
    tables = {site.tap.site.name: site.counts.finish() for site in seen}
    reports = [_site_report(site, tables[site.tap.site.name], pipeline) for site in seen]
    depends_on = {
        pipeline.sites[index].tap.site.name: kind for index, kind in pipeline.depends_on.items()
    }
    reports = [replace(each, depends_on=depends_on.get(each.site.name, "")) for each in reports]
    samples = [_sampled(pipeline, pipeline.sites.index(site), labels) for site in seen]
    reports = [
        replace(each, graded=graded_measures(site, tables[each.site.name], sample))
        for each, site, sample in zip(reports, seen, samples, strict=True)
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


def _site_report(site: SiteAccumulator, table: CountTable, pipeline: Pipeline) -> SiteReport:
    options = pipeline.options
    activity = unit_activity(site.active, site.samples)
    occupancy = table.total / options.table_size
    return SiteReport(
        site=replace(site.tap.site, units=site.units),
        units=site.units,
        positions=site.positions,
        samples=site.samples,
        patterns=table.total,
        entropy_bits=entropy(table),
        relative_entropy=relative_entropy(table, site.units),
        most_frequent_fraction=most_frequent(table),
        dead_units=activity.dead,
        always_on_units=activity.always_on,
        mean_active_fraction=float(activity.fraction.mean()),
        unit_active_counts=tuple(site.active.tolist()),
        nonfinite=site.nonfinite,
        table_load=occupancy if options.hash == THESIS else filled_share(table.total),
        spilled_bytes=site.counts.spilled_bytes,
        top=tuple(_top(site, table, options.top)),
    )


def _top(site: SiteAccumulator, table: CountTable, k: int) -> Iterable[PatternSummary]:
    keys, counts, first = table.top(k)
    for (high, low), count, sample in zip(
        keys.tolist(), counts.tolist(), first.tolist(), strict=True
    ):
        place = site.locate(sample)
        yield PatternSummary(
            fingerprint=hexadecimal(high, low),
            count=count,
            fraction=count / table.samples,
            first_sample=None if place is None else place[0],
            first_position=None if place is None else place[1],
        )


def _global_report(pipeline: Pipeline) -> GlobalReport:
    if pipeline.global_reason:
        return GlobalReport(False, pipeline.global_reason)
    table = pipeline.global_counts.finish()
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
