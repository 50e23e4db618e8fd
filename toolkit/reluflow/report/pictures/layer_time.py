"""Heatmaps of sites over training time, from recordings of measures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError
from reluflow.monitoring import MEAN
from reluflow.patterns import find_quantity
from reluflow.report.pictures.canvas import INK, NOTHING, calm, drawable, save, titled
from reluflow.report.pictures.scales import edges, log_edges, log_time_axis, time_axis
from reluflow.report.tables.format import plain, shorten
from reluflow.report.tables.measures import RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
_ROW_INCHES, _PANEL_INCHES = 0.2, (1.3, 4.2)
_NAMED_SITES, _NAME_WIDTH = 26, 26
_OUTLIERS, _MUCH = 0.005, 2.0


@dataclass(frozen=True, slots=True)
class _Column:
    """How one measure is shown.

    Attributes:
        title: above its colour bar.
        unit: "share" (0 to 1), "peak" (each site relative to its own maximum), "signed"
            (around 0) or "number" (from 0 up).
    """

    title: str
    unit: str


def _column(name: str) -> _Column:
    """Return how a recording's column is shown; unknown measures are shown as numbers."""
    known = find_quantity(name)
    if known is None or not (known.heading or known.title):
        return _Column(plain(name), "number")
    if known.unit == "count":
        return _Column(f"{known.heading}, of the site's maximum", "peak")
    if known.unit in ("share", "signed"):
        return _Column(known.heading, known.unit)
    if known.unit == "bits":
        return _Column(f"{known.heading}, bits", "number")
    return _Column(known.heading or known.title, "number")


def save_layer_time(
    recording: pa.Table | Mapping[str, pa.Table],
    path: str | os.PathLike[str],
    measures: Sequence[str] = ("temperature_bits",),
    *,
    title: str = "",
    time_label: str = "training step",
    log_time: bool = False,
) -> Path:
    """Draw measures as heatmaps: training time to the right, sites from the input upwards.

    There is one column of panels per measure and one row per recording; a measure has one scale for
    all recordings. Outliers (0.5 % of the values, where they would hide the others) are red, cells
    that were not measured grey. `patterns` is drawn relative to each site's maximum; the row "mean"
    of the whole model is left out.

    Args:
        recording: what `reluflow.patterns.read` returned; or several, by the name to show next to
            each.
        path: a .png or .svg file in a folder that exists.
        measures: columns of the recordings.
        title: the heading.
        time_label: what the steps count.
        log_time: whether the axis of time is logarithmic from step 1 on.

    Returns:
        The path.

    Raises:
        OptionError: no measure, or one that no recording has.
        DataError: no recording, or one without a row.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from reluflow.patterns import PatternRecorder, read
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with PatternRecorder(folder) as recorder:
        ...         for step in range(3):
        ...             recorder.record(step, 'relu_1', {'patterns': 12 - step})
        ...     save_layer_time(read(folder), f'{folder}/time.png', ['patterns']).name
        'time.png'

    Reference: thesis Fig. 3.1, 3.2 (pattern measures), 3.9 and 3.10 (temperature).
    """
    named = recording if isinstance(recording, Mapping) else {"": recording}
    _check(named, measures)
    return save(_draw(named, list(measures), title, time_label, log_time), path)


def _check(named: Mapping[str, pa.Table], measures: Sequence[str]) -> None:
    if not named or any(table.num_rows == 0 for table in named.values()):
        raise DataError(
            "recording holds no row; record at least one step with a PatternRecorder and "
            "close it before reading."
        )
    known = {name for table in named.values() for name in table.column_names}
    known -= {"step", "site"}
    missing = [name for name in measures if name not in known]
    if missing or not measures:
        raise OptionError(
            f"measures is {list(measures)}, but the recording has {', '.join(sorted(known))}; "
            "name at least one of these."
        )


def _draw(
    named: Mapping[str, pa.Table],
    measures: list[str],
    title: str,
    time_label: str,
    log_time: bool,
) -> Figure:
    grids = {m: [_grid(table, m) for table in named.values()] for m in measures}
    heights = [
        float(np.clip(_ROW_INCHES * len(sites), *_PANEL_INCHES))
        for sites, _, _ in grids[measures[0]]
    ]
    width = 7.6 if len(measures) == 1 else 2.2 + 2.9 * len(measures)
    figure = titled(title, width, sum(heights) + 0.25 * len(heights) + 1.4 + 0.3 * bool(title))
    panels = figure.subplots(len(named), len(measures), squeeze=False, height_ratios=heights)
    for column, measure in zip(panels.T, measures, strict=True):
        shown = _column(measure)
        style = _style(shown.unit, [values for _, _, values in grids[measure]])
        image: Any = None
        for axes, (_, steps, values) in zip(column, grids[measure], strict=True):
            borders = log_edges(steps) if log_time else edges(steps)
            image = _panel(axes, borders, values, style)
            label = time_label if axes is column[-1] else ""
            (log_time_axis if log_time else time_axis)(axes, label)
        _colorbar(figure, image, list(column), shown)
    for row, (name, table) in zip(panels, named.items(), strict=True):
        _name_sites(row[0], _grid(table, measures[0])[0])
        for axes in row[1:]:
            axes.set_yticks([])
        if name:
            row[0].set_ylabel(drawable(shorten(plain(name), 30)), fontsize=9, color=INK)
    figure.align_ylabels(panels[:, 0])
    return figure


def _grid(table: pa.Table, measure: str) -> tuple[list[str], Floats, Floats]:
    """Return sites, steps at which any of them has the measure, and `(sites, steps)` values."""
    sites = _sites(table)
    if measure not in table.column_names:
        return sites, np.zeros(1), np.full((len(sites), 1), np.nan)
    names = table["site"].to_pylist()
    table = table.filter(pa.array([name in sites for name in names]))
    column = table[measure].to_numpy(zero_copy_only=False).astype(np.float64)
    at = np.asarray(table["step"].to_pylist(), np.float64)
    steps, place = np.unique(at[np.isfinite(column)], return_inverse=True)
    if not len(steps):
        return sites, np.zeros(1), np.full((len(sites), 1), np.nan)
    values = np.full((len(sites), len(steps)), np.nan)
    row = {site: i for i, site in enumerate(sites)}
    rows = np.array([row[site] for site in table["site"].to_pylist()])
    values[rows[np.isfinite(column)], place] = column[np.isfinite(column)]
    if _column(measure).unit == "peak":
        peak = np.nanmax(np.nan_to_num(values, nan=0.0), axis=1, keepdims=True)
        values = values / np.where(peak > 0, peak, 1.0)
    return sites, steps, values


def _sites(table: pa.Table) -> list[str]:
    """Return the names of the sites, without the row of the whole model."""
    sites = list(dict.fromkeys(table["site"].to_pylist()))
    return [site for site in sites if site != MEAN] or sites


def _style(unit: str, grids: list[Floats]) -> dict[str, Any]:
    """Return the colours and their limits."""
    from matplotlib import colormaps

    values = np.concatenate([grid.ravel() for grid in grids])
    values = values[np.isfinite(values)]
    name, low, high = "cividis", 0.0, 1.0
    if unit == "signed":
        name, high = "PRGn", _robust_maximum(np.abs(values))
        low = -high
    elif unit == "number":
        low, high = min(0.0, float(values.min(initial=0.0))), _robust_maximum(values)
    colours = colormaps[name].with_extremes(under=RED, over=RED, bad=NOTHING)
    return {"cmap": colours, "vmin": low, "vmax": high}


def _robust_maximum(values: Floats) -> float:
    """Return the maximum, without the largest values where they would hide the others."""
    if not len(values):
        return 1.0
    top = float(values.max())
    most = float(np.quantile(values, 1 - _OUTLIERS))
    return (top if top <= _MUCH * most else most) or 1.0


def _panel(axes: Axes, borders: Floats, values: Floats, style: dict[str, Any]) -> Any:
    axes.set_facecolor(NOTHING)
    rows = np.arange(len(values) + 1) - 0.5
    image = axes.pcolormesh(borders, rows, np.ma.masked_invalid(values), rasterized=True, **style)
    calm(axes)
    return image


def _name_sites(axes: Axes, sites: list[str]) -> None:
    """Write every site's name, or only the first and last where there are too many."""
    every = len(sites) <= _NAMED_SITES
    shown = list(range(len(sites))) if every else [0, len(sites) // 2, len(sites) - 1]
    names = [drawable(shorten(plain(sites[i]), _NAME_WIDTH)) for i in shown]
    axes.set_yticks(shown, names, fontsize=7)


def _colorbar(figure: Figure, image: Any, axes: list[Axes], shown: _Column) -> None:
    from matplotlib.ticker import MaxNLocator

    drawn: list[Floats] = [np.ma.asarray(a.collections[0].get_array()).compressed() for a in axes]
    values = np.concatenate(drawn)
    beyond, below = (values > image.norm.vmax).any(), (values < image.norm.vmin).any()
    extend = ("neither", "max", "min", "both")[int(beyond) + 2 * int(below)]
    bar = figure.colorbar(
        image, ax=axes, location="top", fraction=0.05, aspect=40, pad=0.02, extend=extend
    )
    if shown.unit in ("share", "peak"):
        bar.set_ticks([0, 0.5, 1])
    else:
        bar.ax.xaxis.set_major_locator(MaxNLocator(4))
    if shown.unit in ("share", "peak", "signed"):
        bar.ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=7, colors=INK)
    bar.set_label(shown.title, fontsize=9, color=INK)
