"""Pages of measures over time: a recording of a training run, or a series of checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reluflow._version import __version__
from reluflow.analysis import SeriesReport
from reluflow.errors import DataError
from reluflow.monitoring import MEAN, read_recording
from reluflow.patterns import find_quantity
from reluflow.report.files.atomic import write_text
from reluflow.report.pages.flips import sample_facts, strike_facts
from reluflow.report.pages.rendering import environment, read_part
from reluflow.report.pictures.palette import CIVIDIS, cividis, ink
from reluflow.report.tables.facts import Facts, data_facts, file_name, hash_facts, run_facts, when
from reluflow.report.tables.format import count, decimal, percent, plain, plural, shorten, site_name

Floats = NDArray[np.float64]
RECORDING_PAGE = "recording.html"
_MOST_COLUMNS = 60
_SHA_DIGITS = 12
"""Digits of a hash that tell files apart for a reader."""
_MOST_OF_ALL = 0.5
"""A share that never passes half is drawn up to its largest value: small changes show."""
_LEAST_DECIMAL = 0.01
"""Numbers below are written with two significant digits, as two decimals would show 0.00."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """One measure: `(sites, times)` values, NaN where it was not measured."""

    key: str
    sites: tuple[str, ...]
    times: tuple[float, ...]
    values: Floats

    @property
    def is_share(self) -> bool:
        known = find_quantity(self.key)
        return known is not None and known.unit == "share"

    @property
    def title(self) -> str:
        known = find_quantity(self.key)
        return (known.title if known else "") or plain(self.key)


def write_recording_page(
    recording: str | os.PathLike[str], path: str | os.PathLike[str] | None = None
) -> Path:
    """Write a recording of `PatternMonitor` or `PatternRecorder` as one self-contained page.

    Args:
        recording: the recording's directory.
        path: the page; `recording.html` in the directory by default.

    Returns:
        The page's path.

    Raises:
        OutputError: there is no recording, it is damaged, or the page cannot be written.
        DataError: only steps and sites were recorded.

    Example:
        >>> import tempfile
        >>> from reluflow.patterns import PatternRecorder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with PatternRecorder(folder) as recorder:
        ...         for step in range(3):
        ...             recorder.record(step, 'relu_1', {'patterns': 12 - step})
        ...     write_recording_page(folder).name
        'recording.html'
    """
    folder = Path(recording)
    table = read_recording(folder)
    measures = _measures_of(table)
    if not measures:
        raise DataError(f"the recording {folder} holds no measure; record at least one number.")
    steps = sorted(set(table["step"].to_pylist()))
    sites = [s for s in dict.fromkeys(table["site"].to_pylist()) if s != MEAN]
    target = Path(path) if path is not None else folder / RECORDING_PAGE
    name = plain(folder.resolve().name)
    context = _context(measures, "training steps", f"step {steps[0]}", f"step {steps[-1]}")
    context |= {
        "title": name,
        "kicker": "Recording",
        "lede": f"{plural(len(measures), 'measure')} of {plural(len(sites), 'site')} "
        f"at {plural(len(steps), 'step')}",
        "tiles": [
            ("Steps", count(len(steps)), f"from {steps[0]} to {steps[-1]}"),
            ("Sites", count(len(sites)), "beside the whole model"),
            ("Measures", count(len(measures)), "recorded"),
            ("Rows", count(table.num_rows), "of step and site"),
        ],
        "matrix": [],
        "names": [],
        "notes": [],
        "beside": "",
        "fact_groups": [
            ("Recording", [("Folder", plain(str(folder)))]),
            *([("Steps that struck", strikes)] if (strikes := strike_facts(table)) else []),
            *([("Samples that flip most", most)] if (most := sample_facts(folder)) else []),
            *([("Never changed", context["constants"])] if context["constants"] else []),
        ],
    }
    _write(context, target)
    return target


def write_series_page(report: SeriesReport, path: str | os.PathLike[str]) -> None:
    """Write a comparison of many checkpoints as one self-contained page.

    Args:
        report: what `compare_checkpoints` returned.
        path: the file; replaced when it exists.

    Raises:
        OutputError: the file cannot be written.
    """
    names = [site_name(file_name(model)) for model in report.models]
    k = len(names)
    context = _context(
        _measures_of_series(report), "checkpoints", f"checkpoint 1 ({names[0]})",
        f"checkpoint {k} ({names[-1]})",
    )  # fmt: skip
    farthest = report.mean_distances[0][-1]
    steps = [report.mean_distances[i][i + 1] for i in range(k - 1)]
    largest = int(np.argmax(steps))
    checkpoints: Facts = [
        (f"{i}", f"{plain(model.path)} ({model.sha256[:_SHA_DIGITS]})")
        for i, model in enumerate(report.models, start=1)
    ]
    context |= {
        "title": f"{plural(k, 'checkpoint')} on {plural(report.n_inputs, 'input')}",
        "kicker": "Checkpoints",
        "lede": f"{names[0]} to {names[-1]}, {when(report.run.started)}",
        "tiles": [
            ("Checkpoints", count(k), "of one network"),
            ("Sites", count(len(report.sites)), "in graph order"),
            ("First to last", percent(farthest), "mean distance D"),
            (
                "Largest step",
                percent(steps[largest]),
                f"from checkpoint {largest + 1} to {largest + 2}",
            ),
        ],
        "matrix": [[_cell(value) for value in row] for row in report.mean_distances],
        "names": [shorten(name, 40) for name in names],
        "notes": [plain(note) for note in report.notes],
        "beside": "report.json",
        "fact_groups": [
            ("Checkpoints", checkpoints),
            ("Data", data_facts(report.data, report.n_inputs) + hash_facts(report.hash)),
            ("Run", run_facts(report.run)),
            *([("Never changed", context["constants"])] if context["constants"] else []),
        ],
    }
    _write(context, Path(path))


def _write(context: dict[str, Any], path: Path) -> None:
    text = (
        environment()
        .get_template("over_time.html.j2")
        .render(context, version=__version__, style=read_part("style.css"), ramp=CIVIDIS)
    )
    lines = (line.strip() for line in text.split("\n"))
    write_text(path, "\n".join(line for line in lines if line) + "\n")


def _context(measures: Sequence[_Measure], axis: str, first: str, last: str) -> dict[str, Any]:
    longest = max(len(measure.times) for measure in measures)
    thinned = f"; {_MOST_COLUMNS} of {longest} are shown" if longest > _MOST_COLUMNS else ""
    return {
        "axis": axis,
        "first": first,
        "last": last,
        "thinned": thinned,
        "panels": [_panel(measure) for measure in measures if not _is_constant(measure)],
        "constants": [
            (measure.title, _text_of(measure)(float(np.nanmax(measure.values))))
            for measure in measures
            if _is_constant(measure)
        ],
    }


def _measures_of(table: pa.Table) -> list[_Measure]:
    """Return every numeric column of a recording that holds a number."""
    found = []
    sites, steps = table["site"].to_pylist(), table["step"].to_pylist()
    for key in table.column_names:
        if key in ("step", "site"):
            continue
        column = table[key].to_pylist()
        kept = [
            (site, step, float(value))
            for site, step, value in zip(sites, steps, column, strict=True)
            if value is not None and np.isfinite(value)
        ]
        inner = [row for row in kept if row[0] != MEAN] or kept
        if inner:
            found.append(_grid(key, inner))
    return found


def _grid(key: str, rows: Sequence[tuple[str, float, float]]) -> _Measure:
    sites = {name: i for i, name in enumerate(dict.fromkeys(row[0] for row in rows))}
    times = {step: i for i, step in enumerate(sorted({row[1] for row in rows}))}
    values = np.full((len(sites), len(times)), np.nan)
    for site, step, value in rows:
        values[sites[site], times[step]] = value
    return _Measure(key, tuple(sites), tuple(times), values)


def _measures_of_series(report: SeriesReport) -> list[_Measure]:
    sites = tuple(f"{s.name} ({s.layer})" if s.layer else s.name for s in report.sites)
    k = len(report.models)
    times = tuple(float(i + 1) for i in range(k))
    distances = np.array([site.distances for site in report.sites])
    moved = np.array([site.activity_changes for site in report.sites])
    before, at = np.arange(k - 1), np.arange(1, k)
    columns: Mapping[str, Any] = {
        "distance_previous": distances[:, before, at],
        "activity_change": moved[:, before, at],
        "distance_last": distances[:, :, -1],
        "jaccard_to_last": [site.jaccard_to_last for site in report.sites],
        "relative_entropy": [site.relative_entropy for site in report.sites],
        "patterns": [site.patterns for site in report.sites],
        "mean_active_fraction": [site.mean_active_fraction for site in report.sites],
        "dead_fraction": [[n / s.units for n in s.dead_units] for s in report.sites],
    }
    result = []
    for key, values in columns.items():
        array = np.asarray(values, np.float64)
        result.append(_Measure(key, sites, times[k - array.shape[1] :], array))
    return result


def _panel(measure: _Measure) -> dict[str, Any]:
    values = measure.values
    low, high = _limits(measure)
    span = (high - low) or 1.0
    shown = np.unique(np.linspace(0, values.shape[1] - 1, _MOST_COLUMNS).round().astype(int))
    counted = np.isfinite(values).sum(axis=0)
    mean = np.nansum(values, axis=0) / np.maximum(counted, 1)
    text = _text_of(measure)
    rows = [
        {
            "name": site_name(site),
            "ends": _ends(row, text),
            "colors": [cividis(float((value - low) / span)) for value in row[shown]],
        }
        for site, row in zip(measure.sites, values, strict=True)
    ]
    return {
        "title": measure.title,
        "low": text(low),
        "high": text(high),
        "ends": _ends(mean, text),
        "hint": f"lowest {text(float(np.nanmin(values)))}, "
        f"highest {text(float(np.nanmax(values)))}",
        "path": _path(measure.times, mean, low, span),
        "rows": rows,
    }


def _is_constant(measure: _Measure) -> bool:
    """Tell whether a measure never changed at any site, so that one line of text is enough."""
    return float(np.nanmin(measure.values)) == float(np.nanmax(measure.values))


def _limits(measure: _Measure) -> tuple[float, float]:
    low, high = float(np.nanmin(measure.values)), float(np.nanmax(measure.values))
    if measure.is_share:
        return 0.0, 1.0 if high > _MOST_OF_ALL else high
    return min(0.0, low), high


def _text_of(measure: _Measure) -> Any:
    if measure.is_share:
        return lambda value: percent(value)
    if measure.key == "patterns":
        return lambda value: count(round(value))
    return lambda value: (
        decimal(value) if abs(value) >= _LEAST_DECIMAL or value == 0 else f"{value:.2g}"
    )


def _ends(row: Floats, text: Any) -> str:
    known = row[np.isfinite(row)]
    if not known.size:
        return "not measured"
    return text(float(known[0])) if known.size == 1 else (
        f"{text(float(known[0]))} → {text(float(known[-1]))}"
    )  # fmt: skip


def _path(times: Sequence[float], mean: Floats, low: float, span: float) -> str:
    """Return the curve of the mean in a box of 100 x 100; "" where there is one point only."""
    if len(times) < 2:
        return ""
    at = np.asarray(times, np.float64)
    x = (at - at[0]) / (at[-1] - at[0]) * 100
    y = 98 - (mean - low) / span * 96
    points = [f"{a:.2f} {b:.2f}" for a, b in zip(x, y, strict=True)]
    return "M" + "L".join(points)


def _cell(value: float) -> dict[str, str]:
    return {"color": cividis(value), "ink": ink(value), "text": percent(value)}
