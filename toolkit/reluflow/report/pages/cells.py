"""Exact cells as files: a picture, and a page on which each cell can be pointed at."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reluflow._version import __version__
from reluflow.cells import (
    DECISION,
    CellsReport,
    CellsSeries,
    ExactCells,
    RasterCells,
    decision_boundary,
    sum_up_exact,
    sum_up_raster,
)
from reluflow.errors import OptionError
from reluflow.report.files.atomic import write_together
from reluflow.report.pages.rendering import environment, read_part
from reluflow.report.pictures.animation import Picture, animated
from reluflow.report.pictures.canvas import pixels
from reluflow.report.pictures.cells import (
    draw_cells,
    draw_raster,
    figure_of_cells,
    figure_of_raster,
    palette,
    pattern_shades,
)
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.tables.format import plain

MOST_ON_PAGE = 20_000
"""Cells that a browser still draws at ease."""
NEAR = "values at corners within 1e-12 of their map's size, taken for 0"
"""What `ExactCells.near` counts."""
_MAPS = 12
"""Outputs whose maps are written for a cell."""


CELLS_FILES = ("cells.png", "cells.svg", "cells.html", "cells.json")
"""What `write_cells` writes."""
RASTER_FILES = ("raster.png", "raster.svg", "raster.json")
"""What `write_raster` writes."""
ANIMATION_FILES = ("animation.gif", "animation.webp", "animation.json")
"""What `write_animation` writes."""
_FRAME = 4.2
"""Inches of a picture of an animation."""


def write_cells(
    cells: ExactCells,
    directory: str | os.PathLike[str],
    *,
    title: str = "Cells",
    report: CellsReport | None = None,
) -> tuple[Path, ...]:
    """Write `cells.png`, `cells.svg`, `cells.html` and `cells.json` into a folder.

    Args:
        cells: from `reluflow.cells.exact_cells`, at most 20,000.
        directory: an existing folder or a new one.
        title: such as the model's name.
        report: of `reluflow.cells.sum_up_exact`; its sites are what colours tell apart first.

    Returns:
        The files written.

    Raises:
        OptionError: there are more cells.
        OutputError: a file cannot be written; then none is.

    Example:
        >>> import tempfile
        >>> from reluflow.cells import exact_cells, random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> found = exact_cells(load("models/fashion_resnet8.onnx"), plane)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_cells(found, folder)]
        ['cells.png', 'cells.svg', 'cells.html', 'cells.json']
    """
    if len(cells) > MOST_ON_PAGE:
        raise OptionError(
            f"a page shows {MOST_ON_PAGE} cells at most, and these are {len(cells)}; look at a "
            "smaller window, or make a picture alone with draw_cells."
        )
    told = report or sum_up_exact(cells)
    names = [site.name for site in told.sites]
    picture, drawing, page, numbers = CELLS_FILES
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (picture, drawing):
            drawn = draw_cells(cells, Path(folder, name), switches=names, title=title)
            files[name] = drawn.read_bytes()
    files[page] = _page(cells, title, told).encode(errors="backslashreplace")
    files[numbers] = _numbers(told)
    return write_together(directory, files)


def write_raster(
    cells: RasterCells,
    directory: str | os.PathLike[str],
    *,
    title: str = "Cells",
    report: CellsReport | None = None,
) -> tuple[Path, ...]:
    """Write `raster.png`, `raster.svg` and `raster.json` into a folder.

    Args:
        cells: from `reluflow.cells.raster_cells`; the joint pattern of its sites is drawn.
        directory: an existing folder or a new one.
        title: such as the model's name.
        report: of `reluflow.cells.sum_up_raster`.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be written; then none is.

    Example:
        >>> import tempfile
        >>> from reluflow.cells import random_plane, raster_cells
        >>> from reluflow.graph import load
        >>> found = raster_cells(
        ...     load("models/fashion_resnet8.onnx"), random_plane((1, 28, 28)), width=8, height=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_raster(found, folder)]
        ['raster.png', 'raster.svg', 'raster.json']
    """
    picture, drawing, numbers = RASTER_FILES
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (picture, drawing):
            drawn = draw_raster(cells.together, cells.plane, Path(folder, name), title=title)
            files[name] = drawn.read_bytes()
    files[numbers] = _numbers(report or sum_up_raster(cells))
    return write_together(directory, files)


def frame_of(cells: ExactCells | RasterCells, report: CellsReport, title: str) -> Picture:
    """Return the picture of one checkpoint, `(height, width, 3)`.

    Args:
        cells: of the checkpoint.
        report: of the same cells; its sites give the colours.
        title: above the picture.

    Example:
        >>> from reluflow.cells import random_plane, raster_cells, sum_up_raster
        >>> from reluflow.graph import load
        >>> found = raster_cells(
        ...     load("models/fashion_resnet8.onnx"), random_plane((1, 28, 28)), width=8, height=8)
        >>> frame_of(found, sum_up_raster(found), "epoch 1").shape[2]
        3
    """
    if isinstance(cells, RasterCells):
        return pixels(figure_of_raster(cells.together, cells.plane, title, _FRAME))
    names = [site.name for site in report.sites]
    return pixels(figure_of_cells(cells, names, title, _FRAME, smooth=False))


def write_animation(
    frames: Sequence[Picture],
    directory: str | os.PathLike[str],
    series: CellsSeries,
    *,
    seconds: float = 0.5,
) -> tuple[Path, ...]:
    """Write `animation.gif`, `animation.webp` and `animation.json` into a folder.

    Args:
        frames: of `frame_of`, one per checkpoint.
        directory: an existing folder or a new one.
        series: the numbers of the checkpoints.
        seconds: that each is shown.

    Returns:
        The files written.

    Raises:
        OptionError: there are fewer than two, or the time makes no sense.
        OutputError: a file cannot be written; then none is.

    Example:
        >>> import tempfile
        >>> from reluflow.cells import CellsSeries, random_plane, raster_cells, sum_up_raster
        >>> from reluflow.graph import load
        >>> found = raster_cells(
        ...     load("models/fashion_resnet8.onnx"), random_plane((1, 28, 28)), width=8, height=8)
        >>> told = sum_up_raster(found)
        >>> frames = [frame_of(found, told, title) for title in ("epoch 1", "epoch 2")]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_animation(frames, folder, CellsSeries((told, told)))]
        ['animation.gif', 'animation.webp', 'animation.json']
    """
    gif, webp, numbers = ANIMATION_FILES
    made = animated(frames, seconds=seconds)
    return write_together(
        directory, {gif: made["gif"], webp: made["webp"], numbers: _numbers(series)}
    )


def _numbers(report: CellsReport | CellsSeries) -> bytes:
    return (json.dumps(report.to_dict(), indent=2) + "\n").encode()


def _page(cells: ExactCells, title: str, report: CellsReport) -> str:
    script = read_part("cells.js")
    context: dict[str, Any] = {
        "title": plain(title),
        "kicker": "Exact cells",
        "lede": f"{len(cells)} polygons on a window of a plane, u {_span(cells, 0)}, "
        f"v {_span(cells, 2)}",
        "notes": [plain(note) for note in report.notes],
        "tiles": _tiles(report),
        "switches": [plain(name) for name in cells.switches],
        "coloured": [plain(site.name) for site in report.sites],
        "data": json.dumps(_data(cells), separators=(",", ":")).replace("<", "\\u003c"),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "beside": CELLS_FILES[-1],
    }
    page = environment().get_template("cells.html.j2")
    return page.render(context, version=__version__, style=read_part("style.css"), ramp=CIVIDIS)


def _span(cells: ExactCells, first: int) -> str:
    low, high = cells.plane.window[first : first + 2]
    return f"{low:g} to {high:g}"


def _tiles(report: CellsReport) -> list[tuple[str, str, str]]:
    found = [
        (
            "Activation cells",
            str(report.cells),
            "connected pieces of one pattern of the switches chosen",
        )
    ]
    if report.affine_regions is not None:
        found.append(
            ("Affine regions", str(report.affine_regions), "adjacent pieces of one map joined")
        )
    found.append(
        ("Signs by tolerance", str(report.near), NEAR if report.near else "no sign depends on it")
    )
    if report.unmatched:
        found.append(("Edges unmatched", str(report.unmatched), "too short to be paired"))
    return found


def _data(cells: ExactCells) -> dict[str, Any]:
    """Return what the page's script draws, in [-1, 1]^2 with v downwards."""
    scale = np.array(cells.plane.half)
    points = (cells.points - cells.plane.middle) / scale * (1, -1)
    shades = np.stack(
        [pattern_shades(cells.keys[:, [k]]) for k in range(len(cells.switches))], axis=1
    )
    boundary = np.zeros((0, 2, 2))
    if DECISION in cells.switches:
        boundary = (decision_boundary(cells) - cells.plane.middle) / scale * (1, -1)
    marked = np.zeros((0, 2)) if cells.plane.points is None else cells.plane.points
    marked = (marked - cells.plane.middle) / scale * (1, -1)
    return {
        "polygons": [
            "L".join(f"{x:.7g},{y:.7g}" for x, y in polygon)
            for polygon in np.split(points, cells.starts[1:])
        ],
        "shades": shades.tolist(),
        "palette": ["#%02x%02x%02x" % tuple(color) for color in palette().tolist()],  # noqa: UP031
        "boundary": boundary.reshape(-1, 4).round(7).tolist(),
        "points": marked.round(7).tolist(),
        "about": [_about(cells, cell) for cell in range(len(cells))],
    }


def _about(cells: ExactCells, cell: int) -> str:
    lines = [f"cell {cell}, area {cells.areas[cell]:.4g}"]
    if cells.plane.points is not None:
        inside = [i for i, point in enumerate(cells.plane.points) if _holds(cells, cell, point)]
        lines.append(f"data points in it: {', '.join(map(str, inside)) or 'none'}")
    lines += ["", "fingerprints"]
    for name, key in zip(cells.switches, cells.keys[cell], strict=True):
        lines.append(f"  {plain(name)}: {int(key[0]):016x}")
    maps = cells.maps[cell]
    if len(maps):
        lines += ["", "outputs = a u + b v + c"]
        lines += [
            f"  {i}: {a:.5g} u {b:+.5g} v {c:+.5g}" for i, (a, b, c) in enumerate(maps[:_MAPS])
        ]
        if len(maps) > _MAPS:
            lines.append(f"  and {len(maps) - _MAPS} more")
    return "\n".join(lines)


def _holds(cells: ExactCells, cell: int, point: Any) -> bool:
    corners = cells.polygon(cell)
    along = np.roll(corners, -1, axis=0) - corners
    across = np.asarray(point) - corners
    return bool((along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0] >= 0).all())
