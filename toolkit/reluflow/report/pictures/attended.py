"""The pictures of two passes: the region over the picture, and the errors of layers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention import Attended, LayerErrors, over_picture
from reluflow.report.tables.format import percent, plain, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAGE = {False: "#ffffff", True: "#181f28"}
_INK = {False: "#1b2430", True: "#e4e9ef"}
_NONE = {False: "#dde2e9", True: "#2b3541"}
_EDGE = "#ff7a1a"
_OUTSIDE = 0.35
"""How much of a picture's brightness is left outside the region."""
_GREY = 96
_WIDTHS = {1: 9.6, 3: 3.2, 5: 2.4}
"""Panels of a row -> inches of one."""
_FLATTEST, _TALLEST = 0.12, 1.8
_WIDE = 2.5
"""Width over height from which on panels lie below each other."""
_RELATIVE_TOP = 1.0
"""Relative errors from here on have the last colour."""
_NAME = 34


def is_stacked(found: Attended) -> bool:
    """Tell whether the panels of the region lie below each other: wide ones are small side by side.

    Args:
        found: of `attend_picture`.
    """
    height, width = found.picture.shape[:2]
    return bool(width > _WIDE * height)


def draw_region(found: Attended, *, dark: bool = False) -> bytes:
    """Return a PNG of the picture, of how unsure each pixel is, and of the region over the picture.

    Args:
        found: of `attend_picture`.
        dark: for a dark page.
    """
    size = found.picture.shape[:2]
    figure, grid = _grid(*((3, 1) if is_stacked(found) else (1, 3)), size, dark)
    axes = grid.reshape(-1)
    _show(axes[0], found.picture, "picture", dark)
    shown = over_picture(_finite(found.unsure), size)
    image = _show(axes[1], shown, "how unsure, bits", dark, cmap="cividis", vmin=0.0)
    _bar(figure, image, axes[1], dark)
    region = over_picture(found.region, size)
    title = f"region, {percent(found.coverage)}"
    _show(axes[2], _dimmed(found.picture, region), title, dark)
    _outline(axes[2], region)
    return _png(figure)


def draw_errors(found: Attended, *, dark: bool = False) -> bytes:
    """Return a PNG of the errors of layers after pass 1 and after both passes, as in Fig. 4.4.

    A row is a layer: what pass 2 computed of it, then absolute and relative errors, each on one
    scale before and after. Grey: the reference is 0 there.

    Args:
        found: of `attend_picture`, with at least one layer.
        dark: for a dark page.
    """
    size = found.picture.shape[:2]
    figure, axes = _grid(len(found.layers), 5, size, dark)
    for row, layer in zip(axes, found.layers, strict=True):
        _draw_layer(figure, row, layer, found.picture, dark)
    return _png(figure)


def _draw_layer(
    figure: Figure, row: Any, layer: LayerErrors, picture: NDArray[np.uint8], dark: bool
) -> None:
    size = picture.shape[:2]
    region = over_picture(layer.region, size)
    name = shorten(plain(layer.layer), _NAME)
    title = f"{name}\npixels computed: {percent(layer.share)}"
    _show(row[0], _dimmed(picture, region), title, dark)
    _outline(row[0], region)
    top = float(np.nanmax([layer.first[0].max(), layer.mixed[0].max()])) or 1.0
    kinds = (("absolute", top, "neither"), ("relative", _RELATIVE_TOP, "max"))
    for at, (kind, limit, beyond) in enumerate(kinds):
        for after, errors in enumerate((layer.first[at], layer.mixed[at])):
            axes = row[1 + 2 * at + after]
            title = f"\n{kind}, {'both passes' if after else 'pass 1'}"
            grid = errors[None] if errors.ndim == 1 else errors
            extent = (0, size[1], size[0], 0)
            how = {"cmap": "cividis", "vmin": 0.0, "vmax": limit, "extent": extent}
            image = _show(axes, grid, title, dark, **how)
        _bar(figure, image, axes, dark, beyond)


def _grid(rows: int, columns: int, size: tuple[int, int], dark: bool) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    ratio = float(np.clip(size[0] / size[1], _FLATTEST, _TALLEST))
    width = _WIDTHS[columns]
    figure = Figure(
        figsize=(columns * width, rows * (width * ratio + 0.55)),
        dpi=130,
        layout="constrained",
        facecolor=_PAGE[dark],
    )
    return figure, figure.subplots(rows, columns, squeeze=False)


def _show(axes: Axes, image: NDArray[Any], title: str, dark: bool, **how: Any) -> Any:
    from matplotlib import colormaps

    if "cmap" in how:
        how["cmap"] = colormaps[how["cmap"]].with_extremes(bad=_NONE[dark])
    shown = axes.imshow(image, interpolation="nearest", aspect="auto", **how)
    axes.set_axis_off()
    heading = axes.set_title(title, fontsize=9, color=_INK[dark], loc="left")
    heading.set_parse_math(False)
    return shown


def _bar(figure: Figure, image: Any, axes: Axes, dark: bool, beyond: Any = "neither") -> None:
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, extend=beyond)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=_INK[dark], length=0)


def _dimmed(picture: NDArray[np.uint8], region: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a picture with what lies outside the region faded to grey."""
    faded = _OUTSIDE * picture + (1 - _OUTSIDE) * _GREY
    return np.where(region[..., None], picture, faded).astype(np.uint8)


def _outline(axes: Axes, region: NDArray[np.bool_]) -> None:
    """Draw the edge of a region along the pixels."""
    from matplotlib.collections import LineCollection

    inside = np.pad(region, 1)
    lines = []
    rows, columns = np.nonzero(inside[1:] != inside[:-1])
    lines += [((c - 1.5, r - 0.5), (c - 0.5, r - 0.5)) for r, c in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(inside[:, 1:] != inside[:, :-1])
    lines += [((c - 0.5, r - 1.5), (c - 0.5, r - 0.5)) for r, c in zip(rows, columns, strict=True)]
    axes.add_collection(LineCollection(lines, colors=_EDGE, linewidths=1.1))


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with infinite ones as the largest that is not."""
    known = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, known.max() if known.size else 0.0)


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    stream = io.BytesIO()
    canvas.print_png(stream, metadata={"Software": "reluflow"})
    return stream.getvalue()
