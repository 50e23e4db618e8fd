"""Many checkpoints of one network on the same data: every pair compared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from reluflow.analysis.compare import check_sites
from reluflow.analysis.results.describe import describe_model, describe_run
from reluflow.analysis.results.result import ModelDescription, RunDescription
from reluflow.analysis.run.accumulate import SiteAccumulator
from reluflow.analysis.run.options import AnalysisOptions
from reluflow.analysis.run.pipeline import Pipeline
from reluflow.data import DataDescription, DataSource
from reluflow.errors import ModelError, OptionError
from reluflow.frames import SiteTable, plain_text
from reluflow.graph import Model
from reluflow.patterns import count_different, entropy, relative_entropy, weighted_jaccard
from reluflow.progress import Progress

_MOST_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class SiteSeries:
    """One site in all checkpoints, on the same data; a `SeriesReport` holds one per site.

    Attributes:
        name: the site's name in the first checkpoint.
        layer: the layer that feeds it, "" where the file does not tell.
        units: number of units d.
        samples: N.
        patterns: `(k,)` distinct patterns of each checkpoint.
        entropy_bits: `(k,)` entropy, in bits.
        relative_entropy: `(k,)` entropy over the most possible, in [0, 1].
        mean_active_fraction: `(k,)` share of active units, in [0, 1].
        dead_units: `(k,)` units never active.
        distances: `(k, k)` share D of samples whose pattern differs, symmetric, in [0, 1].
        activity_changes: `(k, k)` mean over units of how much the share of samples in which the
            unit is active differs, symmetric, in [0, 1]; at most the share of units that flip,
            and not saturated where every sample has a pattern of its own.
        jaccard_to_last: `(k,)` weighted Jaccard index to the last checkpoint, in [0, 1].
    """

    name: str
    layer: str
    units: int
    samples: int
    patterns: tuple[int, ...]
    entropy_bits: tuple[float, ...]
    relative_entropy: tuple[float, ...]
    mean_active_fraction: tuple[float, ...]
    dead_units: tuple[int, ...]
    distances: tuple[tuple[float, ...], ...]
    activity_changes: tuple[tuple[float, ...], ...]
    jaccard_to_last: tuple[float, ...]


@dataclass(frozen=True, slots=True, repr=False)
class SeriesReport(SiteTable[SiteSeries]):
    """Checkpoints of one network compared on the same data, as returned by `compare_series`.

    Attributes:
        models: the checkpoints, in the order given.
        data: the data all were run on.
        hash: how patterns were identified.
        n_inputs: number of inputs.
        sites: one per site, in graph order.
        mean_distances: `(k, k)` mean of D over the sites.
        run: how it was run.
        notes: sentences the reader should know.

    Example:
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.compare_checkpoints([proto] * 3, np.eye(2, dtype=np.float32))
        >>> [(site.name, site.patterns) for site in report.sites]
        [('y', (2, 2, 2))]
    """

    models: tuple[ModelDescription, ...]
    data: DataDescription
    hash: dict[str, Any]
    n_inputs: int
    sites: tuple[SiteSeries, ...]
    mean_distances: tuple[tuple[float, ...], ...]
    run: RunDescription
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, strings and numbers, ready for JSON."""
        return asdict(self)

    def _records(self) -> Sequence[dict[str, Any]]:
        return [
            {
                "name": each.name,
                "layer": each.layer,
                "checkpoint": k,
                "model": model.path,
                "units": each.units,
                "samples": each.samples,
                "patterns": each.patterns[k],
                "entropy_bits": each.entropy_bits[k],
                "relative_entropy": each.relative_entropy[k],
                "mean_active_fraction": each.mean_active_fraction[k],
                "dead_units": each.dead_units[k],
                "jaccard_to_last": each.jaccard_to_last[k],
                "distances": list(each.distances[k]),
                "activity_changes": list(each.activity_changes[k]),
            }
            for each in self.sites
            for k, model in enumerate(self.models)
        ]

    def _heading(self) -> str:
        k = len(self.models)
        last = self.mean_distances[0][-1]
        return (
            f"{k} checkpoints on {self.n_inputs:,} inputs, mean D from the first to the last "
            f"{last:.1%}"
        )

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        steps = range(1, len(self.models))
        shown = list(steps)[-_MOST_COLUMNS:]
        titles = ["site", "units", *(f"D {k}>{k + 1}" for k in shown)]
        rows = [
            [
                plain_text(f"{each.name} ({each.layer})" if each.layer else each.name),
                f"{each.units:,}",
                *(f"{each.distances[k - 1][k]:.1%}" for k in shown),
                f"{each.distances[0][-1]:.1%}",
                f"{each.activity_changes[0][-1]:.2%}",
            ]
            for each in self.sites
        ]
        return [*titles, "D first>last", "activity change"], rows


def compare_series(
    models: Sequence[Model],
    source: DataSource,
    options: AnalysisOptions,
    spill_dir: Path,
    progress: Progress | None = None,
) -> SeriesReport:
    """Run checkpoints over the same inputs, in step, and compare every pair.

    Args:
        models: two checkpoints or more, in order, with the same switch sites.
        source: the inputs.
        options: settings, the same for all.
        spill_dir: folder for counting tables that outgrow their memory.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        One series per site, in graph order.

    Raises:
        OptionError: fewer than two models.
        ModelError: the models do not have the same sites.
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
        ...     report = compare_series([model, model], data, AnalysisOptions(), Path(folder))
        >>> report.mean_distances
        ((0.0, 0.0), (0.0, 0.0))

    Reference: thesis, equations 3.7, 3.9 and 3.15; Fig. 3.7 (Jaccard to the final state).
    """
    if len(models) < 2:
        raise OptionError(f"models are {len(models)}; give two checkpoints at least.")
    options.need_exact("a comparison")
    memory = max(1, options.memory_limit_bytes // len(models))
    options = replace(options, memory_limit_bytes=memory)
    lines = [Pipeline(models[0], source, options, spill_dir / "0", progress=progress, sampled=0)]
    options = replace(options, batch_size=lines[0].batch_size)
    lines += [
        Pipeline(model, source, options, spill_dir / str(number), sampled=0)
        for number, model in enumerate(models[1:], start=1)
    ]
    for other in lines[1:]:
        check_sites(lines[0], other)
    differing = _run_in_step(lines)
    columns = list(zip(*(line.sites for line in lines), strict=True))
    sites = tuple(
        _site_series(column, differing[i]) for i, column in enumerate(columns) if column[0].samples
    )
    if not sites:
        raise ModelError("no switch of the models ran on these data; give inputs that reach one.")
    seconds = {stage: sum(line.seconds[stage] for line in lines) for stage in lines[0].seconds}
    seconds["total"] = time.perf_counter() - lines[0].clock
    mean = np.mean([site.distances for site in sites], axis=0)
    return SeriesReport(
        models=tuple(map(describe_model, models)),
        data=replace(source.description, n_samples=lines[0].done),
        hash=options.describe_hash(),
        n_inputs=lines[0].done,
        sites=sites,
        mean_distances=_nested(mean),
        run=describe_run(lines[0].started, seconds, lines[0].batch_size, lines[0].threads),
        notes=tuple(_notes(lines)),
    )


def _run_in_step(lines: Sequence[Pipeline]) -> np.ndarray:
    """Feed all models the same batches; return `(sites, k, k)` counts of differing samples."""
    k = len(lines)
    differing = np.zeros((len(lines[0].sites), k, k), np.int64)
    with ThreadPoolExecutor(lines[0].threads) as pool:
        for feeds in lines[0].batches():
            keys = [line.step(feeds, pool) for line in lines]
            for index in range(len(differing)):
                for a, b in combinations(range(k), 2):
                    one, other = keys[a][index], keys[b][index]
                    if one is None and other is None:
                        continue
                    if one is None or other is None or one.shape != other.shape:
                        name = lines[0].sites[index].tap.site.name
                        raise ModelError(
                            f"site {name} gives checkpoints {a + 1} and {b + 1} a different "
                            "number of patterns on the same inputs; compare checkpoints of one "
                            "network."
                        )
                    differing[index, a, b] += count_different(one, other)
            lines[0].progress("comparing", lines[0].done, lines[0].source.n_samples)
    return differing + differing.transpose(0, 2, 1)


def _site_series(column: Sequence[SiteAccumulator], differing: np.ndarray) -> SiteSeries:
    first = column[0]
    tables = [site.counts.finish() for site in column]
    active = np.array([site.active / site.samples for site in column])
    moved = np.abs(active[:, None] - active[None]).mean(axis=-1)
    return SiteSeries(
        name=first.tap.site.name,
        layer=first.tap.site.layer,
        units=first.units,
        samples=first.samples,
        patterns=tuple(table.total for table in tables),
        entropy_bits=tuple(map(entropy, tables)),
        relative_entropy=tuple(relative_entropy(table, first.units) for table in tables),
        mean_active_fraction=tuple(active.mean(axis=1).tolist()),
        dead_units=tuple(int((site.active == 0).sum()) for site in column),
        distances=_nested(differing / first.samples),
        activity_changes=_nested(moved),
        jaccard_to_last=tuple(weighted_jaccard(table, tables[-1]) for table in tables),
    )


def _nested(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in np.asarray(values, np.float64).tolist())


def _notes(lines: Sequence[Pipeline]) -> Iterator[str]:
    yield from lines[0].notes
    yield from lines[0].source.notes
    for number, line in enumerate(lines[1:], start=2):
        for note in line.notes:
            if note not in lines[0].notes:
                yield f"In checkpoint {number}: {note}"
