"""Pictures of several trainings side by side that the report room does not have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.report.pictures.canvas import INK, calm, save, titled
from reluflow.report.pictures.scales import edges, rate_axis, time_axis

Floats = NDArray[np.float64]
_COLUMNS, _WIDTH, _HEIGHT = 2, 9.0, 2.3


def _grid(count: int, rows: int | None = None) -> tuple[Any, Any]:
    rows = rows or -(-count // _COLUMNS)
    columns = -(-count // rows)
    figure = titled("", _WIDTH, _HEIGHT * rows + 0.6)
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True, sharey="row")


def _bar(figure: Any, image: Any, axes: Any, label: str) -> None:
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.015)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, colors=INK)
    bar.set_label(label, fontsize=9, color=INK)


def save_layers(named: Mapping[str, tuple[Floats, Floats]], path: Path) -> Path:
    """Draw T by site and time, two trainings a row, on one scale.

    Args:
        named: training to times `(n,)` and temperatures `(n, sites)` in bits.
        path: of the picture.
    """
    figure, grid = _grid(len(named))
    top = max(float(np.quantile(values, 0.98)) for _, values in named.values())
    image: Any = None
    for axes, (name, (times, values)) in zip(grid.ravel(), named.items(), strict=True):
        rows = np.arange(values.shape[1] + 1) + 0.5
        image = axes.pcolormesh(
            edges(times), rows, values.T, cmap="cividis", vmin=0, vmax=top, rasterized=True
        )
        axes.set_title(name, fontsize=9, loc="left", color=INK)
        time_axis(axes, "training step" if axes in grid[-1] else "")
        calm(axes)
    for axes in grid[:, 0]:
        axes.set_ylabel("switch site, from the input", fontsize=9, color=INK)
    _bar(figure, image, grid, "temperature T, bits")
    return save(figure, path)


def save_errors(
    named: Mapping[str, Mapping[str, tuple[Floats, Floats, Floats]]], path: Path
) -> Path:
    """Draw squared errors of models by time and rate: a row per model, a column per training.

    Args:
        named: model, then training, to times `(n,)`, rates `(m,)` and errors `(n, m)`.
        path: of the picture.
    """
    columns = len(next(iter(named.values())))
    figure, grid = _grid(columns * len(named), len(named))
    every = [errors for row in named.values() for _, _, errors in row.values()]
    top = max(float(np.quantile(errors, 0.995)) for errors in every)
    image: Any = None
    for at, (row, (model, runs)) in enumerate(zip(grid, named.items(), strict=True)):
        for axes, (name, (times, rates, errors)) in zip(row, runs.items(), strict=True):
            borders = np.exp(edges(np.log(rates)))
            image = axes.pcolormesh(
                edges(times), borders, errors.T, cmap="cividis", vmin=0, vmax=top, rasterized=True
            )
            rate_axis(axes, float(rates[0]), float(rates[-1]))
            calm(axes)
            if at == 0:
                axes.set_title(name, fontsize=9, loc="left", color=INK)
            time_axis(axes, "training step" if at == len(grid) - 1 else "")
        row[0].set_ylabel(f"{model}\nlearning rate η", fontsize=9, color=INK)
    _bar(figure, image, grid, "squared error of D")
    return save(figure, path)
