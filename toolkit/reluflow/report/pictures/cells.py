"""Cells of a plane as pictures: one pattern has one colour, in every layer, step and picture."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reluflow.cells import DECISION, ExactCells, Plane, RasterSite, decision_boundary
from reluflow.errors import OptionError
from reluflow.report.pictures.canvas import INK, calm, save, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE = 6.4
"""Inches."""
_SHADES = 1 << 12
"""Colours in all; two patterns share one by chance."""


def pattern_colors(keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the colour of each pattern, a function of its fingerprint alone.

    Args:
        keys: `(n, n_sites, 2)` fingerprints; those of several sites give one colour together.

    Returns:
        `(n, 3)` red, green and blue, 0 to 255.

    Example:
        >>> pattern_colors(np.zeros((1, 1, 2), np.uint64)).shape
        (1, 3)
    """
    return palette()[pattern_shades(keys)]


def pattern_shades(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the number of each pattern's colour: the XOR of 12 bits of each fingerprint.

    Those of the sites are multiplied by 1, 3, 5, ..., so that equal patterns of two sites do not
    cancel; the page of cells does the same.
    """
    odd = 2 * np.arange(keys.shape[1], dtype=np.uint64) + np.uint64(1)
    own = ((keys[:, :, 0] & np.uint64(_SHADES - 1)) * odd) & np.uint64(_SHADES - 1)
    return np.asarray(np.bitwise_xor.reduce(own, axis=1, initial=np.uint64(0)), np.int64)


def palette() -> NDArray[np.uint8]:
    """Return the colours: 256 hues, four lightnesses, four saturations."""
    found = np.empty((_SHADES, 3))
    for shade in range(_SHADES):
        hue, light, strong = (shade & 255) / 256, (shade >> 8) & 3, shade >> 10
        found[shade] = colorsys.hls_to_rgb(hue, 0.5 + 0.1 * light, 0.35 + 0.12 * strong)
    return np.rint(255 * found).astype(np.uint8)


def draw_cells(
    cells: ExactCells,
    path: str | os.PathLike[str],
    *,
    switches: Sequence[str] | None = None,
    title: str = "Cells",
) -> Path:
    """Draw the polygons of exact cells, coloured by the pattern of some switches.

    The decision boundary is drawn in black where the cells were found with classes, and the plane's
    data points as rings.

    Args:
        cells: from `reluflow.cells.exact_cells`.
        path: ends with .png or .svg.
        switches: names; all but the decision by default.
        title: above the picture.

    Returns:
        The path.

    Raises:
        OptionError: there is no such switch.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from reluflow.cells import exact_cells, random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> found = exact_cells(load("models/fashion_resnet8.onnx"), plane)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     draw_cells(found, Path(folder, "cells.png")).name
        'cells.png'

    Reference: thesis, Fig. 2.4 to 2.13.
    """
    return save(figure_of_cells(cells, switches, title), path)


def figure_of_cells(
    cells: ExactCells,
    switches: Sequence[str] | None,
    title: str,
    side: float = _SIDE,
    *,
    smooth: bool = True,
) -> Figure:
    """Return the drawing of `draw_cells`, so many inches wide; unless smooth, no colours mix."""
    from matplotlib.collections import LineCollection, PolyCollection

    chosen = chosen_switches(cells, switches)
    figure = titled(title, side, side)
    axes = figure.add_subplot()
    _frame(axes, cells.plane)
    colors = pattern_colors(cells.keys[:, chosen]) / 255
    corners = np.split(cells.points, cells.starts[1:])
    # A hair line of the own colour closes the gaps that smoothing leaves between polygons.
    edges: dict[str, Any] = {"edgecolors": colors, "linewidth": 0.2}
    if not smooth:
        edges = {"linewidth": 0, "antialiaseds": False}
    axes.add_collection(PolyCollection(corners, facecolors=colors, **edges))
    if DECISION in cells.switches:
        lines = LineCollection(list(decision_boundary(cells)), colors=INK, linewidths=1.2)
        axes.add_collection(lines)
    return figure


def draw_raster(
    site: RasterSite, plane: Plane, path: str | os.PathLike[str], *, title: str = ""
) -> Path:
    """Draw the cells of one site on a grid.

    Args:
        site: of `reluflow.cells.raster_cells`.
        plane: the plane they are of.
        path: ends with .png or .svg.
        title: above the picture; the site's name by default.

    Returns:
        The path.

    Raises:
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from reluflow.cells import random_plane, raster_cells
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28))
        >>> found = raster_cells(
        ...     load("models/fashion_resnet8.onnx"), plane, sites=["/relu/Relu"], width=8, height=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     draw_raster(found.sites[0], plane, Path(folder, "cells.svg")).name
        'cells.svg'

    Reference: thesis 2.2.3, Fig. 2.3.
    """
    return save(figure_of_raster(site, plane, title or site.name), path)


def figure_of_raster(site: RasterSite, plane: Plane, title: str, side: float = _SIDE) -> Figure:
    """Return the drawing of `draw_raster`, `side` inches wide."""
    figure = titled(title, side, side)
    axes = figure.add_subplot()
    colors = pattern_colors(site.keys[:, None])[site.labels]
    axes.imshow(colors, extent=plane.window, interpolation="nearest", aspect="auto")
    _frame(axes, plane)
    return figure


def chosen_switches(cells: ExactCells, names: Sequence[str] | None) -> list[int]:
    """Return the indices of switches, all but the decision by default."""
    if names is None:
        return [i for i, name in enumerate(cells.switches) if name != DECISION]
    for name in names:
        if name not in cells.switches:
            raise OptionError(
                f"there is no switch {name!r}; give some of {', '.join(cells.switches)}."
            )
    return [cells.switches.index(name) for name in names]


def _frame(axes: Axes, plane: Plane) -> None:
    calm(axes)
    axes.set_xlim(*plane.window[:2])
    axes.set_ylim(*plane.window[2:])
    axes.set_xlabel("u", fontsize=9, color=INK)
    axes.set_ylabel("v", fontsize=9, color=INK)
    if plane.points is not None:
        axes.plot(*plane.points.T, "o", markerfacecolor="white", markeredgecolor=INK, markersize=6)
