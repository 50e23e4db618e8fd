"""Pictures of cells and of entropy over depth, several panels each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evolution.cells import Cells
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from reluflow.cells import Plane
from reluflow.report.pictures.canvas import GRID, INK, calm, save, titled
from reluflow.report.pictures.cells import pattern_colors
from reluflow.report.pictures.scales import power
from reluflow.report.tables.measures import BLUE, GREEN, ORANGE, PINK, RED

Floats = NDArray[np.float64]
COLOURS = (BLUE, RED, GREEN, ORANGE, PINK)
WIDTH = 9.0
_SMALL = 9
_LINE = 1.6


def save_cells(
    named: Mapping[str, Mapping[str, Cells]], plane: Plane, path: Path, side: float = 2.6
) -> Path:
    """Draw cells in rows and columns, with their number.

    Args:
        named: row, then column, to the cells; a name of "" is not written.
        plane: that they lie on.
        path: of the picture.
        side: of a panel, in inches.
    """
    columns = max(len(row) for row in named.values())
    height = side * len(named) * 1.13 + 0.5
    figure = titled("", max(side * columns * 1.08 + 0.5, 4.0), height)
    grid = figure.subplots(len(named), columns, squeeze=False, sharex=True, sharey=True)
    for axes_row, (name, row) in zip(grid, named.items(), strict=True):
        for axes, (title, cells) in zip(axes_row, row.items(), strict=True):
            colours = pattern_colors(cells.keys[:, None])[cells.labels]
            axes.imshow(colours, extent=plane.window, interpolation="nearest", aspect="auto")
            calm(axes)
            axes.set_title(_titled(title, cells.count), fontsize=_SMALL, loc="left", color=INK)
            if plane.points is not None:
                axes.plot(*plane.points.T, "o", mfc="white", mec=INK, markersize=4)
        axes_row[0].set_ylabel(f"{name}\nv" if name else "v", fontsize=_SMALL, color=INK)
    for axes in grid[-1]:
        axes.set_xlabel("u", fontsize=_SMALL, color=INK)
    return save(figure, path)


def _titled(title: str, count: int) -> str:
    return f"{title}{', ' if title else ''}{count:,} cells"


def save_lines(
    named: Mapping[str, tuple[Floats, Floats, Floats | None]],
    path: Path,
    x: str,
    y: str,
    *,
    log: str = "",
) -> Path:
    """Draw curves, those with a band as mean and standard deviation.

    Args:
        named: curve to x `(n,)`, y `(n,)` and half the width of its band, or None.
        path: of the picture.
        x: label of the axis, with its unit.
        y: likewise.
        log: axes that are logarithmic: "", "y" or "xy".
    """
    figure = titled("", 6.4, 3.8)
    axes = figure.subplots()
    for colour, (name, (at, values, band)) in zip(COLOURS, named.items(), strict=False):
        axes.plot(at, values, color=colour, linewidth=_LINE, label=name, marker="o", markersize=3)
        if band is not None:
            axes.fill_between(at, values - band, values + band, color=colour, alpha=0.2, lw=0)
    if "x" in log:
        axes.set_xscale("log")
        _powers(axes.xaxis)
    if "y" in log:
        axes.set_yscale("log")
        _powers(axes.yaxis)
    else:
        axes.set_ylim(0, None)
    _dressed(axes, x, y)
    axes.legend(frameon=False, fontsize=_SMALL)
    return save(figure, path)


def save_boxes(named: Mapping[str, Floats], path: Path, x: str, y: str) -> Path:
    """Draw box plots: median, quartiles and whiskers of 1.5 quartile ranges.

    Args:
        named: kind to values `(seeds, places)`.
        path: of the picture.
        x: label of the axis.
        y: likewise.
    """
    figure = titled("", WIDTH, 3.4)
    panels = figure.subplots(1, len(named), squeeze=False, sharey=True)[0]
    for axes, colour, (name, values) in zip(panels, COLOURS, named.items(), strict=False):
        parts = axes.boxplot(values, patch_artist=True, widths=0.6)
        for box in parts["boxes"]:
            box.set(facecolor=colour, alpha=0.35, edgecolor=INK)
        for line in parts["medians"]:
            line.set(color=INK, linewidth=_LINE)
        axes.set_title(name, fontsize=_SMALL, loc="left", color=INK)
        _dressed(axes, x, y if axes is panels[0] else "")
        axes.set_yscale("log")
        _powers(axes.yaxis)
    return save(figure, path)


def save_depths(
    panels: Mapping[str, Mapping[str, Mapping[str, tuple[Floats, Floats]]]],
    path: Path,
    y: str,
) -> Path:
    """Draw a measure over depth: a row for each time, a column for each network.

    Args:
        panels: time, then network, then curve, to mean and standard deviation `(sites,)`.
        path: of the picture.
        y: label of the axes.
    """
    columns = len(next(iter(panels.values())))
    figure = titled("", WIDTH, 1.55 * len(panels) + 0.6)
    grid = figure.subplots(len(panels), columns, squeeze=False, sharex=True, sharey=True)
    for at, (axes_row, (time, row)) in enumerate(zip(grid, panels.items(), strict=True)):
        for axes, (net, curves) in zip(axes_row, row.items(), strict=True):
            for colour, (name, (mean, band)) in zip(COLOURS, curves.items(), strict=False):
                site = np.arange(1, len(mean) + 1)
                axes.plot(site, mean, color=colour, lw=_LINE, marker="o", ms=2.5, label=name)
                axes.fill_between(site, mean - band, mean + band, color=colour, alpha=0.2, lw=0)
            last = at == len(panels) - 1
            _dressed(axes, "switch site, from the input" if last else "", "")
            if at == 0:
                axes.set_title(net, fontsize=_SMALL, loc="left", color=INK)
        axes_row[0].set_ylabel(f"{time}\n{y}", fontsize=8, color=INK)
    grid[0][0].legend(frameon=False, fontsize=8, loc="lower right")
    return save(figure, path)


def save_positions(images: Sequence[Floats], plane: Plane, path: Path) -> Path:
    """Draw three images, and where they lie on the plane.

    Args:
        images: `(height, width)` each.
        plane: through them.
        path: of the picture.
    """
    figure = titled("", WIDTH, 2.7)
    panels = figure.subplots(1, len(images) + 1)
    assert plane.points is not None
    for axes, image, point in zip(panels, images, plane.points, strict=False):
        axes.imshow(image, cmap="gray", interpolation="nearest")
        axes.set_title(f"at ({point[0]:g}, {point[1]:g})", fontsize=_SMALL, loc="left", color=INK)
        calm(axes)
        axes.set_xticks([])
        axes.set_yticks([])
    last = panels[-1]
    last.plot(*plane.points.T, "o", mfc="white", mec=INK)
    last.set_xlim(*plane.window[:2])
    last.set_ylim(*plane.window[2:])
    _dressed(last, "u", "v")
    return save(figure, path)


def save_points(points: Floats, named: Mapping[str, Cells], plane: Plane, path: Path) -> Path:
    """Draw data points, and beside them cells with the same points.

    Args:
        points: `(n, 2)`.
        named: title to cells.
        plane: of both.
        path: of the picture.
    """
    figure = titled("", WIDTH, 3.3)
    panels: Any = figure.subplots(1, len(named) + 1, sharex=True, sharey=True)
    panels[0].plot(*points.T, ".", color=INK, markersize=2)
    panels[0].set_title("data", fontsize=_SMALL, loc="left", color=INK)
    for axes, (title, cells) in zip(panels[1:], named.items(), strict=True):
        colours = pattern_colors(cells.keys[:, None])[cells.labels]
        axes.imshow(colours, extent=plane.window, interpolation="nearest", aspect="auto")
        axes.set_title(_titled(title, cells.count), fontsize=_SMALL, loc="left", color=INK)
        axes.plot(*points.mean(axis=0), "o", mfc="white", mec=INK, markersize=5)
    for axes in panels:
        _dressed(axes, "u", "v" if axes is panels[0] else "")
        axes.grid(visible=axes is panels[0])
        axes.set_xlim(*plane.window[:2])
        axes.set_ylim(*plane.window[2:])
    return save(figure, path)


def _powers(axis: Any) -> None:
    """Label the powers of ten of a logarithmic axis."""
    axis.set_major_formatter(lambda value, _: power(value))
    axis.set_minor_locator(NullLocator())


def _dressed(axes: Any, x: str, y: str) -> None:
    calm(axes)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_xlabel(x, fontsize=_SMALL, color=INK)
    axes.set_ylabel(y, fontsize=_SMALL, color=INK)
