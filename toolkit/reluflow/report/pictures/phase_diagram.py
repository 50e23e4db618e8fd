"""The phase diagram: what a step at any rate would change, over the whole training run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.report.pictures.canvas import GRID, INK, MUTED, NOTHING, calm, drawable, save, titled
from reluflow.report.pictures.scales import edges, rate_axis, time_axis
from reluflow.report.tables.format import plain, shorten
from reluflow.report.tables.measures import BLUE, RED
from reluflow.temperature import PhaseDiagram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
SIGMA = "\N{GREEK SMALL LETTER SIGMA}"
_HEIGHTS, _ERROR_HEIGHT = (3.2, 1.25, 0.95), 1.6
_MAX_TITLE = 36
_COLUMN, _ALL_COLUMNS = 3.7, 9.0
"""Inches of one column of several, and of all together: more would not fit on a page."""


def save_phase_diagram(
    diagram: PhaseDiagram | Mapping[str, PhaseDiagram],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    time_label: str = "training step",
    with_error: bool = False,
) -> Path:
    """Draw D over rate and time, the used rate as a white line, mu and sigma below.

    Several diagrams become columns that share their rates. The band around mu is one sigma
    wide on either side: within it D rises from 16 % to 84 %.

    Args:
        diagram: one diagram, or several by the name to write above each.
        path: a .png or .svg file in a folder that exists.
        title: the heading.
        time_label: what the steps count.
        with_error: whether a last row shows the squared error of the fit.

    Returns:
        The path.

    Raises:
        DataError: no diagram, or one without a measured distance.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from reluflow.temperature import LogNormal, PhaseDiagram
        >>> rates, steps = np.geomspace(1e-4, 1e2, 20), np.array([0, 100])
        >>> found = np.stack([LogNormal(mu, 1.0).distance(rates) for mu in (-2.0, -1.0)])
        >>> diagram = PhaseDiagram(
        ...     steps, rates, ('relu_1',), found[:, :, None], np.array([0.1, 0.2]),
        ...     np.array([-2.0, -1.0]), np.ones(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_phase_diagram(diagram, f'{folder}/phases.png').name
        'phases.png'

    Reference: thesis 3.2.3, Fig. 3.12 and 3.15 to 3.21.
    """
    named = diagram if isinstance(diagram, Mapping) else {"": diagram}
    if not named:
        raise DataError("diagram holds no phase diagram; give at least one.")
    for name, one in named.items():
        if not np.isfinite(np.asarray(one.distances, np.float64)).any():
            raise DataError(
                f"diagram {name!r} holds no measured distance; "
                "sweep the rates at least once before you draw it."
            )
    return save(_draw(named, title, time_label, with_error), path)


def _draw(
    named: Mapping[str, PhaseDiagram], title: str, time_label: str, with_error: bool
) -> Figure:
    columns = len(named)
    width = 7.6 if columns == 1 else 1.3 + min(_COLUMN * columns, _ALL_COLUMNS)
    heights = [*_HEIGHTS, *([_ERROR_HEIGHT] if with_error else [])]
    figure = titled(title, width, sum(heights) + 0.9 + 0.3 * bool(title))
    grid = figure.subplots(
        len(heights), columns, sharex="col", sharey="row", squeeze=False, height_ratios=heights
    )
    rates = [np.asarray(one.rates, np.float64) for one in named.values()]
    low, high = min(r.min() for r in rates), max(r.max() for r in rates)
    image: Any = None
    for at, (column, (name, one)) in enumerate(zip(grid.T, named.items(), strict=True)):
        image = _distances(column[0], one)
        rate_axis(column[0], low, high)
        if name:
            heading = drawable(shorten(plain(name), _MAX_TITLE))
            column[0].set_title(heading, fontsize=9, loc="left", color=INK)
        _location(column[1], one, legend=at == 0)
        _width(column[2], one)
        time_axis(column[-1], time_label)
        for axes in column:
            calm(axes)
    _scale_rows(grid, list(named.values()))
    labels = ("learning rate η", "exp(μ)", SIGMA)
    for axes, label in zip(grid[: len(labels), 0], labels, strict=True):
        axes.set_ylabel(label, fontsize=9, color=INK)
    figure.align_ylabels(grid[:, 0])
    bar = _colorbar(figure, image, list(grid[0]), "patterns that change, D")
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1])
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    if with_error:
        _errors(figure, list(grid[-1]), list(named.values()), (low, high))
    return figure


def _distances(axes: Axes, one: PhaseDiagram) -> Any:
    """Draw the colour map and the used rate."""
    from matplotlib.patheffects import Normal, Stroke

    image = _map(axes, one, _floats(one.distances), 1.0)
    steps, used = _floats(one.steps), _floats(one.used_rates)
    outline = [Stroke(linewidth=3.4, foreground=INK, alpha=0.55), Normal()]
    axes.plot(steps, used, color="white", linewidth=1.7, path_effects=outline)
    return image


def _map(axes: Axes, one: PhaseDiagram, values: Floats, top: float) -> Any:
    """Draw `(times, rates)` values from 0 to `top`."""
    axes.set_facecolor(NOTHING)
    return axes.pcolormesh(
        edges(_floats(one.steps)),
        np.exp(edges(np.log(_floats(one.rates)))),
        np.ma.masked_invalid(values.T),
        cmap="cividis",
        vmin=0,
        vmax=top,
        rasterized=True,
    )


def _errors(
    figure: Figure, row: list[Axes], diagrams: list[PhaseDiagram], limits: tuple[float, float]
) -> None:
    """Draw the squared errors of the fits on one scale."""
    errors = [diagram.squared_error() for diagram in diagrams]
    known = np.concatenate([e[np.isfinite(e)] for e in errors])
    top = float(known.max(initial=0.0)) or 1.0
    image: Any = None
    for axes, one, values in zip(row, diagrams, errors, strict=True):
        image = _map(axes, one, values, top)
        rate_axis(axes, *limits)
        calm(axes)
    row[0].set_ylabel("learning rate η", fontsize=9, color=INK)
    bar = _colorbar(figure, image, row, "squared error of D")
    bar.set_ticks([0, top / 2, top], labels=["0", f"{top / 2:.1g}", f"{top:.1g}"])


def _location(axes: Axes, one: PhaseDiagram, legend: bool) -> None:
    """Draw exp(mu) with one sigma on either side, and the used rate again."""
    steps, mu, sigma = _floats(one.steps), _floats(one.mu), _floats(one.sigma)
    axes.fill_between(
        steps, np.exp(mu - sigma), np.exp(mu + sigma), color=BLUE, alpha=0.2, linewidth=0
    )
    axes.plot(
        steps, np.exp(mu), color=BLUE, linewidth=1.5, label=f"exp(μ), between exp(μ ± {SIGMA})"
    )
    dashed = axes.plot(steps, _floats(one.used_rates), color=MUTED, linewidth=1)[0]
    dashed.set(linestyle=(0, (3, 2)), label="rate used, white above")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    if legend:
        named = axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.01, 0.97),
            ncols=2,
            frameon=False,
            fontsize=8,
            labelcolor=INK,
        )
        named.set_in_layout(False)  # it may reach over the next columns
        axes.set_title(" ", fontsize=8)  # room for it


def _width(axes: Axes, one: PhaseDiagram) -> None:
    axes.plot(_floats(one.steps), _floats(one.sigma), color=RED, linewidth=1.5)
    axes.grid(axis="y", color=GRID, linewidth=0.8)


def _scale_rows(grid: Any, diagrams: list[PhaseDiagram]) -> None:
    """Give the rows of mu and sigma ranges that fit every diagram."""
    from matplotlib.ticker import MaxNLocator

    mu = np.concatenate([_floats(d.mu) for d in diagrams])
    sigma = np.concatenate([_floats(d.sigma) for d in diagrams])
    used = np.log(np.concatenate([_floats(d.used_rates) for d in diagrams]))
    shown = np.concatenate([mu - sigma, mu + sigma, used])
    shown = shown[np.isfinite(shown)]
    low, high = (shown.min(), shown.max()) if len(shown) else (-1.0, 1.0)
    rate_axis(grid[1, 0], float(np.exp(low - 0.3)), float(np.exp(high + 0.3)))
    top = float(np.nanmax(sigma)) if np.isfinite(sigma).any() else 1.0
    grid[2, 0].set_ylim(0, 1.15 * top)
    grid[2, 0].yaxis.set_major_locator(MaxNLocator(3))


def _colorbar(figure: Figure, image: Any, axes: list[Axes], label: str) -> Any:
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, colors=INK)
    bar.set_label(label, fontsize=8, color=INK)
    return bar


def _floats(values: Any) -> Floats:
    return np.asarray(values, np.float64)
