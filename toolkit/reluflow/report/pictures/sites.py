"""Measures per layer as PNG files, for papers and messages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from reluflow.analysis.results.result import ComparisonReport, PatternReport
from reluflow.report.pictures.canvas import GRID, INK, calm, drawable, save, titled
from reluflow.report.pictures.palette import ink
from reluflow.report.tables.facts import file_name
from reluflow.report.tables.format import about, percent, plain, plural, shorten
from reluflow.report.tables.graded import shown_comparisons, shown_measures
from reluflow.report.tables.measures import (
    Measure,
    activity,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")
PICTURES = ("measures.png", "heatmap.png", "unit_activity.png", "compare.png")
_ROW_INCHES = 0.24
_MAX_INCHES = 90.0
_QUANTILES = 100
_MOST_IN_A_ROW = 8
_HEADROOM = 1.02
_HEADING_INCHES = 1.5
_LEAST_ROWS = 4
"""Rows that a figure is high enough for at least: fewer squeeze its title and axes."""
_MEASURES_THAT_FIT = 6
"""Columns of the heatmap that the usual width holds; each further one widens it."""


def write_pictures(
    report: PatternReport | ComparisonReport, directory: str | os.PathLike[str]
) -> tuple[Path, ...]:
    """Write the report's pictures.

    An analysis gives `measures.png` (bars), `heatmap.png` (sites x measures) and
    `unit_activity.png` (sites x units, sorted by activity); a comparison `compare.png`.
    The same report gives the same bytes.

    Args:
        report: what `analyze` or `compare` returned.
        directory: an existing folder.

    Returns:
        The files written; none where the report has no site.

    Raises:
        OutputError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_pictures(report, folder)]
        ['measures.png', 'heatmap.png', 'unit_activity.png']
    """
    if not report.sites:
        return ()
    folder = Path(directory)
    if isinstance(report, ComparisonReport):
        names = [s.name for s in report.sites]
        title = f"{file_name(report.first)} → {file_name(report.second)}"
        return (
            save(
                _bars(title, names, report.sites, shown_comparisons(report)), folder / "compare.png"
            ),
        )
    title = f"{file_name(report.model)}, {plural(report.n_inputs, 'input')}"
    names = [s.site.name for s in report.sites]
    return (
        save(_bars(title, names, report.sites, shown_measures(report)), folder / "measures.png"),
        save(_heatmap(title, names, report), folder / "heatmap.png"),
        save(_unit_activity(title, names, report), folder / "unit_activity.png"),
    )


def _bars(
    title: str, names: list[str], sites: Sequence[T], measures: Sequence[Measure[T]]
) -> Figure:
    """Draw one panel of bars per measure, sites from top to bottom, in one or two rows."""
    from matplotlib.ticker import MaxNLocator

    rows = 1 if len(measures) <= _MOST_IN_A_ROW else 2
    columns = -(-len(measures) // rows)
    figure = _tall(title, 2.2 + 2.0 * columns, rows * (len(names) + 3) - 3)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(measures) :]:
        axes.set_axis_off()
    for index, (axes, measure) in enumerate(zip(panels, measures, strict=False)):
        values = np.nan_to_num([measure.value(site) for site in sites], posinf=0, neginf=0)
        bars = axes.barh(range(len(names)), values, height=0.72, color=measure.color)
        for bar, site in zip(bars, sites, strict=True):
            if measure.is_bound(site):
                bar.set(alpha=0.5, hatch="///", edgecolor="white")
            if measure.is_estimated(site):
                bar.set(hatch="...", edgecolor="white")
        axes.set_title(measure.title, fontsize=9, loc="left", color=INK)
        if measure.unit == "share":
            axes.set_xlim(0, max(1.0, float(values.max()) * _HEADROOM))
        if measure.unit == "share" and values.max() <= 1:
            axes.set_xticks([0, 0.5, 1])
        else:
            axes.xaxis.set_major_locator(MaxNLocator(4))
        if measure.unit in ("share", "signed"):
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        calm(axes)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.yaxis.set_visible(index % columns == 0)
    for axes in panels[::columns]:
        _name_rows(axes, names)
    return figure


def _heatmap(title: str, names: list[str], report: PatternReport) -> Figure:
    """Draw sites x measures, the value written in each cell."""
    measures = shown_measures(report)
    values = np.array([[m.value(s) for m in measures] for s in report.sites])
    figure = _tall(title, 9.5 + 1.4 * max(0, len(measures) - _MEASURES_THAT_FIT), len(names))
    axes = figure.subplots()
    image = axes.imshow(values, aspect="auto", cmap="cividis", vmin=0, vmax=1)
    for row, column in np.ndindex(*values.shape):
        value = float(values[row, column])
        doubt = measures[column].is_estimated(report.sites[row])
        text = about(percent(value), doubt)
        label = axes.text(column, row, text, ha="center", va="center", fontsize=7)
        label.set_color(ink(value))
        label.set_in_layout(False)
    axes.set_xticks(
        range(len(measures)),
        [m.title.replace(" ", "\n", 1) for m in measures],
        fontsize=8,
    )
    axes.xaxis.tick_top()
    _name_rows(axes, names)
    calm(axes)
    _colorbar(figure, image, "share")
    return figure


def _unit_activity(title: str, names: list[str], report: PatternReport) -> Figure:
    """Draw the sorted activity shares of each site's units, one row per site."""
    rows = np.zeros((len(names), _QUANTILES))
    for row, site in zip(rows, report.sites, strict=True):
        shares = np.sort(activity(site))
        if shares.size:
            row[:] = shares[(np.arange(_QUANTILES) * shares.size) // _QUANTILES]
    figure = _tall(title, 9.5, len(names))
    axes = figure.subplots()
    extent = (0.0, 100.0, len(names) - 0.5, -0.5)
    image = axes.imshow(
        rows, aspect="auto", cmap="cividis", vmin=0, vmax=1, extent=extent, interpolation="nearest"
    )
    axes.set_xlabel("units, from the least to the most active (%)", fontsize=9, color=INK)
    _name_rows(axes, names)
    calm(axes)
    _colorbar(figure, image, "samples in which the unit is active")
    return figure


def _tall(title: str, width: float, n_rows: int) -> Figure:
    """Return a figure with a title, high enough for its rows."""
    return titled(
        title, width, min(_MAX_INCHES, _HEADING_INCHES + _ROW_INCHES * max(n_rows, _LEAST_ROWS))
    )


def _name_rows(axes: Axes, names: list[str]) -> None:
    """Write the sites' names at the rows; only every k-th where they would overlap."""
    step = max(1, round(len(names) * _ROW_INCHES / _MAX_INCHES))
    shown = range(0, len(names), step)
    labels = [drawable(shorten(plain(names[i]), 32)) for i in shown]
    axes.set_yticks(list(shown), labels, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _colorbar(figure: Figure, image: Any, label: str) -> None:
    bar = figure.colorbar(image, fraction=0.04, pad=0.02)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, colors=INK)
    bar.set_label(label, fontsize=8, color=INK)
