"""Two checkpoints on the same data: distance and temperature, Jaccard, born and died."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from reluflow.analysis.results.describe import describe_model, describe_run
from reluflow.analysis.results.result import ComparisonReport, SiteComparison
from reluflow.analysis.run.accumulate import SiteAccumulator
from reluflow.analysis.run.options import AnalysisOptions
from reluflow.analysis.run.pipeline import Pipeline
from reluflow.data import DataSource
from reluflow.errors import ModelError
from reluflow.graph import Model
from reluflow.patterns import (
    changes,
    count_different,
    count_flips,
    effective_patterns,
    entropy,
    pair_distance,
    weighted_jaccard,
)
from reluflow.progress import Progress
from reluflow.temperature import temperature


def compare_models(
    first: Model,
    second: Model,
    source: DataSource,
    options: AnalysisOptions,
    spill_dir: Path,
    progress: Progress | None = None,
) -> ComparisonReport:
    """Run two models over the same inputs and compare their patterns site by site.

    Per site: D, the share of samples whose pattern differs (eq. 3.15), APT -log2(1 - D)
    (Definition 6), the weighted Jaccard index (3.7), net, born and died patterns (3.6), and
    how often each unit flips, counted over all samples; for this the models output their
    pre-activations instead of hashing inside the graph.

    Args:
        first: the earlier checkpoint.
        second: the later one, with the same switch sites.
        source: the inputs.
        options: settings, the same for both.
        spill_dir: folder for counting tables that outgrow their memory.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        One comparison per site, in graph order.

    Raises:
        ModelError: the two models do not have the same sites.
        ReluflowError: as for an analysis.

    Example:
        >>> import onnx.parser
        >>> import tempfile
        >>> from pathlib import Path
        >>> from reluflow.analysis import AnalysisOptions
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> model = load(proto)
        >>> data = open_data(np.eye(2, dtype=np.float32), model.inputs)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = compare_models(model, model, data, AnalysisOptions(), Path(folder))
        >>> [(site.name, site.jaccard, site.distance) for site in report.sites]
        [('y', 1.0, 0.0)]
    """
    options.need_exact("a comparison")
    options = replace(options, native=False)
    left = Pipeline(first, source, options, spill_dir / "first", progress=progress, sampled=0)
    options = replace(options, batch_size=left.batch_size)
    right = Pipeline(second, source, options, spill_dir / "second", sampled=0)
    check_sites(left, right)
    left.keeps_outputs = right.keeps_outputs = True
    differing, flips = _run_both(left, right)
    seconds = {stage: left.seconds[stage] + right.seconds[stage] for stage in left.seconds}
    sites = [
        _compare_site(*each) for each in zip(left.sites, right.sites, differing, flips, strict=True)
    ]
    depends_on = right.depends_on | left.depends_on
    sites = [replace(each, depends_on=depends_on.get(i, "")) for i, each in enumerate(sites)]
    seconds["total"] = time.perf_counter() - left.clock
    return ComparisonReport(
        first=describe_model(first),
        second=describe_model(second),
        data=replace(source.description, n_samples=left.done),
        n_inputs=left.done,
        sites=tuple(sites),
        mean_distance=sum(site.distance for site in sites) / len(sites),
        run=describe_run(left.started, seconds, left.batch_size, left.threads),
        notes=tuple(_notes(left, right)),
        hash=options.describe_hash(),
    )


def _notes(left: Pipeline, right: Pipeline) -> Iterable[str]:
    yield from left.notes
    yield from left.source.notes
    yield from (f"In the second model: {note}" for note in right.notes if note not in left.notes)
    for which, pipeline in (("first", left), ("second", right)):
        bad = [site for site in pipeline.sites if site.nonfinite]
        if bad:
            yield (
                f"{sum(site.nonfinite for site in bad)} pre-activations of the {which} model were "
                f"NaN or infinite, first at site {bad[0].tap.site.name}; a NaN counts as inactive."
            )


def check_sites(left: Pipeline, right: Pipeline) -> None:
    """Refuse two models that are not checkpoints of one network.

    Raises:
        ModelError: number, operators or widths of the sites differ.
    """
    if len(left.sites) != len(right.sites):
        raise ModelError(
            f"the models have {len(left.sites)} and {len(right.sites)} switch sites; "
            "compare two checkpoints of one network."
        )
    for a, b in zip(left.sites, right.sites, strict=True):
        one, other = a.tap.site, b.tap.site
        sizes = {one.units, other.units} - {None}
        if one.op != other.op or len(sizes) > 1:
            raise ModelError(
                f"site {one.name} ({one.op}, {one.units} units) stands against {other.name} "
                f"({other.op}, {other.units} units); compare two checkpoints of one network."
            )


def _run_both(left: Pipeline, right: Pipeline) -> tuple[list[int], list[np.ndarray]]:
    """Feed both models the same batches.

    Returns the number of differing samples and the flips of each unit, one per site.
    """
    differing = [0] * len(left.sites)
    flips = [np.zeros(0, np.int64) for _ in left.sites]
    with ThreadPoolExecutor(left.threads) as pool:
        for feeds in left.batches():
            pairs = zip(left.step(feeds, pool), right.step(feeds, pool), strict=True)
            for index, (before, after) in enumerate(pairs):
                if before is not None and after is not None and before.shape == after.shape:
                    differing[index] += count_different(before, after)
                elif before is not None or after is not None:
                    name = left.sites[index].tap.site.name
                    raise ModelError(
                        f"site {name} gives the two models a different number of patterns on "
                        "the same inputs; compare two checkpoints of one network."
                    )
            found = pool.map(lambda i: _flips(left, right, i), range(len(flips)))
            flips = [_sum(*pair) for pair in zip(flips, found, strict=True)]
            left.progress("comparing", left.done, left.source.n_samples)
    return differing, flips


def _flips(left: Pipeline, right: Pipeline, index: int) -> np.ndarray:
    """Return the flips of each unit of a site in the batch just run; none where it did not run."""
    before, after = left.sites[index], right.sites[index]
    if before.failed or after.failed or not before.units:
        return np.zeros(0, np.int64)
    return count_flips(
        left.outputs[before.tap.output],
        right.outputs[after.tap.output],
        unit_axis=before.tap.unit_axis,
        threshold=before.tap.site.threshold,
        other_threshold=after.tap.site.threshold,
    )


def _sum(flips: np.ndarray, more: np.ndarray) -> np.ndarray:
    return flips + more if len(flips) == len(more) else (flips if len(flips) else more)


def _compare_site(
    first: SiteAccumulator, second: SiteAccumulator, differing: int, flips: np.ndarray
) -> SiteComparison:
    before, after = first.counts.finish(), second.counts.finish()
    change = changes(before, after)
    share = differing / first.samples
    apt = temperature(share, first.samples)
    return SiteComparison(
        name=first.tap.site.name,
        other_name=second.tap.site.name,
        units=first.units,
        samples=first.samples,
        patterns=(before.total, after.total),
        entropy_bits=(entropy(before), entropy(after)),
        jaccard=weighted_jaccard(before, after),
        net_change=change.net,
        born=change.born,
        died=change.died,
        distance=share,
        temperature=apt.bits,
        saturated=apt.saturated,
        flip_fraction=int(flips.sum()) / (first.samples * first.units),
        flipped_units=int(np.count_nonzero(flips)),
        unit_flip_counts=tuple(flips.tolist()),
        pair_distance=(
            pair_distance(first.active, first.samples),
            pair_distance(second.active, second.samples),
        ),
        effective_bits=(
            effective_patterns(before, first.units).bits,
            effective_patterns(after, second.units).bits,
        ),
        layer=first.tap.site.layer or second.tap.site.layer,
    )
