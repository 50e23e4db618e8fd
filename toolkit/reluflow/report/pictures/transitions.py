"""The transition models with the distances measured at one state, and their residuals."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluflow.errors import DataError
from reluflow.report.pictures.canvas import GRID, INK, calm, save, titled
from reluflow.report.pictures.scales import power
from reluflow.report.tables.measures import BLUE, GREEN, RED
from reluflow.temperature import Transition

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
_COLOURS = {"log-normal": BLUE, "erf": RED, "arctan": GREEN}
_DASHES: dict[str, Any] = {"erf": (0, (5, 2)), "arctan": (0, (2, 1.5))}
_POINTS = 400


def save_transitions(
    rates: ArrayLike,
    distances: ArrayLike,
    models: Sequence[Transition],
    path: str | os.PathLike[str],
    *,
    title: str = "",
) -> Path:
    """Draw the measured points, each model's curve and, below, model minus measurement.

    The root mean square error of a model is shown next to its name.

    Args:
        rates: `(n,)` learning rates, positive.
        distances: `(n,)` D, fractions in [0, 1]; NaN where not measured.
        models: fitted models, for example `fit_transition(...).model` of each kind.
        path: a .png or .svg file in a folder that exists.
        title: the heading.

    Returns:
        The path.

    Raises:
        DataError: no measured point, or shapes that differ.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from reluflow.temperature import fit_transition
        >>> rates = np.geomspace(1e-3, 1, 9)
        >>> distances = rates / (rates + 0.03)
        >>> model = fit_transition(rates, distances).model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_transitions(rates, distances, [model], f'{folder}/fit.png').name
        'fit.png'

    Reference: thesis Fig. 3.14; eq. 3.17, 3.40, 3.41.
    """
    x, y = np.asarray(rates, np.float64), np.asarray(distances, np.float64)
    if x.shape != y.shape or x.ndim != 1 or not (np.isfinite(y) & (x > 0)).any():
        raise DataError(
            f"rates has shape {x.shape} and distances has shape {y.shape}; give two lists of one "
            "length with at least one positive rate and a distance measured there."
        )
    kept = np.isfinite(y) & (x > 0)
    return save(_draw(x[kept], y[kept], models, title), path)


def _draw(x: Floats, y: Floats, models: Sequence[Transition], title: str) -> Figure:
    figure = titled(title, 7.6, 4.9 + 0.3 * bool(title))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.1))
    fine = np.geomspace(x.min(), x.max(), _POINTS)
    upper.plot(x, y, "o", color=INK, markersize=4, label="measured", zorder=4)
    lower.axhline(0, color=INK, linewidth=0.8)
    for model in models:
        style = {
            "color": _COLOURS.get(model.name, "#8c8878"),
            "linestyle": _DASHES.get(model.name, "-"),
            "linewidth": 1.8,
        }
        missed = np.asarray(model.distance(x), np.float64) - y
        error = float(np.sqrt(np.mean(missed**2)))
        label = f"{model.name}, RMS error {100 * error:.2g}%"
        upper.plot(fine, np.asarray(model.distance(fine), np.float64), label=label, **style)
        lower.plot(x, missed, marker="o", markersize=2.5, **{**style, "linewidth": 1.0})
    _finish(upper, lower)
    return figure


def _finish(upper: Axes, lower: Axes) -> None:
    """Scale and label both panels."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    upper.set_xscale("log")
    upper.xaxis.set_major_locator(LogLocator(numticks=8))
    upper.xaxis.set_major_formatter(lambda value, _: power(value))
    upper.xaxis.set_minor_locator(NullLocator())
    upper.set_ylim(-0.03, 1.03)
    upper.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    upper.set_ylabel("patterns that change, D", fontsize=9, color=INK)
    upper.legend(loc="best", frameon=False, fontsize=8.5, labelcolor=INK)
    lower.yaxis.set_major_locator(MaxNLocator(3, min_n_ticks=3))
    lower.yaxis.set_major_formatter(lambda value, _: f"{round(100 * value, 1):g}%")
    lower.set_ylabel("model - measured", fontsize=9, color=INK)
    lower.set_xlabel("learning rate η", fontsize=9, color=INK)
    for axes in (upper, lower):
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        calm(axes)
