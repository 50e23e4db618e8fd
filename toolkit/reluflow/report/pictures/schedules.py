"""Learning rate, temperature and accuracy of several schedules over training, together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluflow.errors import DataError
from reluflow.report.pictures.canvas import GRID, INK, calm, drawable, save, titled
from reluflow.report.pictures.scales import rate_axis, time_axis
from reluflow.report.tables.format import plain, shorten
from reluflow.report.tables.measures import BLUE, GREEN, ORANGE, PINK, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Series = tuple[ArrayLike, ArrayLike]
_CATEGORIES = (BLUE, RED, GREEN, ORANGE, PINK, "#56b4e9", INK, "#8c8878")
_DECADES = 5.0
_LEGEND_COLUMNS = 5
_HIGH_PANEL = 1.5
"""Inches from which on a panel has room for one tick more."""
_HEADROOM = 1.08
_NO_RANGE = 1e-9
"""The axis of values that are all 0 still needs a range."""
_MARGIN = 0.01
"""Of accuracies and errors beyond the lowest and highest shown."""
_SHOWN_BELOW = 0.02
"""Below the best accuracy, so that runs that hardly differ are not magnified to noise."""


@dataclass(frozen=True, slots=True)
class _Quantity:
    title: str
    unit: str
    height: float = 1.35


_QUANTITIES = {
    "learning_rate": _Quantity("learning rate", "rate", 1.6),
    "temperature_bits": _Quantity("temperature, bits", "number"),
    "temperature_bits_first": _Quantity("temperature, bits\nfirst site", "number"),
    "temperature_bits_last": _Quantity("temperature, bits\nlast site", "number"),
    "distance": _Quantity("distance D", "share"),
    "loss": _Quantity("loss", "number"),
    "accuracy": _Quantity("test accuracy", "near_one", 1.9),
    "validation_accuracy": _Quantity("validation accuracy", "near_one", 1.9),
    "error": _Quantity("test error", "near_zero", 1.9),
}


def save_schedules(
    runs: Mapping[str, Mapping[str, Series]],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    time_label: str = "epoch",
    ordered: bool = False,
) -> Path:
    """Draw several schedules together: one panel per quantity, one colour per schedule.

    Args:
        runs: name of the schedule -> name of the quantity -> `(x, y)`, with x `(n,)` and y
            `(n,)` or, for repeated runs, `(seeds, n)`: then the line is the mean and the band
            spans the lowest and highest. Quantities known by name, and drawn in this order:
            learning_rate (logarithmic), temperature_bits, temperature_bits_first,
            temperature_bits_last, distance, loss, accuracy, validation_accuracy, error
            (fractions). Others follow.
        path: a .png or .svg file in a folder that exists.
        title: the heading.
        time_label: what x counts.
        ordered: the schedules are one family with a growing parameter; colours from dark to
            light instead of one hue each.

    Returns:
        The path.

    Raises:
        DataError: no schedule, or a series without a finite value or of unequal lengths.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> loss = ([0, 1, 2], [1.0, 0.5, 0.4])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_schedules({'ours': {'loss': loss}}, f'{folder}/schedules.png').name
        'schedules.png'

    Reference: thesis Fig. 3.8 and 3.22.
    """
    checked = {name: _checked(name, run) for name, run in runs.items()}
    quantities = _present(checked)
    if not quantities:
        raise DataError("runs holds no series; give at least one schedule with one quantity.")
    return save(_draw(checked, quantities, title, time_label, ordered), path)


def _checked(name: str, run: Mapping[str, Series]) -> dict[str, tuple[Floats, Floats]]:
    """Return the series as arrays, y `(seeds, n)`."""
    found = {}
    for quantity, (xs, ys) in run.items():
        x, y = np.asarray(xs, np.float64), np.atleast_2d(np.asarray(ys, np.float64))
        if x.ndim != 1 or y.ndim != 2 or y.shape[1] != len(x) or not np.isfinite(y).any():
            raise DataError(
                f"runs[{name!r}][{quantity!r}] has x of shape {x.shape} and y of shape "
                f"{np.shape(ys)}; give x (n,) and y (n,) or (seeds, n) with a finite value."
            )
        found[quantity] = (x, y)
    return found


def _present(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the quantities of the runs: the known in their order, then the others."""
    named = list(dict.fromkeys(quantity for run in runs.values() for quantity in run))
    return [q for q in _QUANTITIES if q in named] + [q for q in named if q not in _QUANTITIES]


def _draw(
    runs: Mapping[str, Mapping[str, tuple[Floats, Floats]]],
    quantities: Sequence[str],
    title: str,
    time_label: str,
    ordered: bool,
) -> Figure:
    shown = [_QUANTITIES.get(q, _Quantity(plain(q), "number")) for q in quantities]
    heights = [quantity.height for quantity in shown]
    figure = titled(title, 7.6, sum(heights) + 1.1 + 0.3 * bool(title))
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    colours = _colours(len(runs), ordered)
    for axes, key, quantity in zip(panels, quantities, shown, strict=True):
        for (name, run), colour in zip(runs.items(), colours, strict=True):
            if key in run:
                _line(axes, *run[key], name, colour)
        _scale(axes, quantity, [run[key][1] for run in runs.values() if key in run])
        lines = quantity.title.splitlines()  # a line break has no glyph
        axes.set_ylabel("\n".join(map(drawable, lines)), fontsize=9, color=INK)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.margins(x=0.01)
        calm(axes)
    time_axis(panels[-1], time_label)
    figure.align_ylabels(panels)
    _legend(panels[0], list(runs), colours)
    return figure


def _line(axes: Axes, x: Floats, y: Floats, name: str, colour: str) -> None:
    """Draw the mean over seeds and the band between the lowest and the highest."""
    kept = np.isfinite(y).any(axis=0)
    x, y = x[kept], y[:, kept]
    if len(y) > 1:
        low, high = np.nanmin(y, axis=0), np.nanmax(y, axis=0)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    marker = "o" if len(x) == 1 else None
    axes.plot(x, np.nanmean(y, axis=0), color=colour, linewidth=1.5, marker=marker, label=name)


def _scale(axes: Axes, quantity: _Quantity, series: list[Floats]) -> None:
    """Give the y axis the range and the numbers that suit the quantity."""
    from matplotlib.ticker import MaxNLocator

    values = np.concatenate([y.ravel() for y in series])
    values = values[np.isfinite(values)]
    if quantity.unit == "rate" and (values > 0).any():
        top = float(values.max())
        low = max(float(values[values > 0].min()), top / 10**_DECADES)
        rate_axis(axes, low / 1.4, top * 1.4)
        return
    axes.yaxis.set_major_locator(MaxNLocator(5 if quantity.height > _HIGH_PANEL else 4))
    if quantity.unit in ("share", "number"):
        axes.set_ylim(
            min(0.0, float(values.min())), max(float(values.max()) * _HEADROOM, _NO_RANGE)
        )
    elif quantity.unit == "near_one":
        axes.set_ylim(_floor(values), min(1.0, float(values.max()) + _MARGIN))
    else:
        axes.set_ylim(max(0.0, float(values.min()) - _MARGIN), 1 - _floor(1 - values))
    if quantity.unit != "number":
        axes.yaxis.set_major_formatter(lambda value, _: f"{round(100 * value, 2):g}%")


def _floor(accuracies: Floats) -> float:
    """Return a lower limit that shows where the runs differ: their first epochs may fall out."""
    best = float(accuracies.max())
    usual = float(np.quantile(accuracies, 0.1))
    return max(0.0, min(usual, best - _SHOWN_BELOW) - _MARGIN)


def _colours(n: int, ordered: bool) -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if ordered or n > len(_CATEGORIES):
        places = np.linspace(0.0, 0.86, max(n, 2))[:n]
        return [to_hex(colormaps["cividis"](place)) for place in places]
    return list(_CATEGORIES[:n])


def _legend(axes: Axes, names: list[str], colours: list[str]) -> None:
    """Name the schedules above the first panel."""
    from matplotlib.lines import Line2D

    axes.legend(
        [Line2D([], [], color=colour, linewidth=2.2) for colour in colours],
        [drawable(shorten(plain(name), 30)) for name in names],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=min(_LEGEND_COLUMNS, len(names)),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )
