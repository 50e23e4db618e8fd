"""Exact cells as files: a picture, and a page on which each cell can be pointed at."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from reluflow._version import __version__
from reluflow.cells import (
    DECISION,
    ExactCells,
    activation_cells,
    affine_regions,
    decision_boundary,
    neighbours,
)
from reluflow.errors import OptionError
from reluflow.report.files.atomic import write_together
from reluflow.report.pages.rendering import environment, read_part
from reluflow.report.pictures.cells import draw_cells, palette, pattern_shades
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.tables.format import plain

MOST_ON_PAGE = 20_000
"""Cells that a browser still draws at ease."""
_MAPS = 12
"""Outputs whose maps are written for a cell."""


def write_cells(
    cells: ExactCells, directory: str | os.PathLike[str], *, title: str = "Cells"
) -> tuple[Path, ...]:
    """Write `cells.png`, `cells.svg` and `cells.html` into a folder.

    Args:
        cells: from `reluflow.cells.exact_cells`, at most 20,000.
        directory: an existing folder or a new one.
        title: such as the model's name.

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
        ['cells.png', 'cells.svg', 'cells.html']
    """
    if len(cells) > MOST_ON_PAGE:
        raise OptionError(
            f"a page shows {MOST_ON_PAGE} cells at most, and these are {len(cells)}; look at a "
            "smaller window, or draw a picture only."
        )
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cells.png", "cells.svg"):
            files[name] = draw_cells(cells, Path(folder, name), title=title).read_bytes()
    files["cells.html"] = _page(cells, title).encode(errors="backslashreplace")
    return write_together(directory, files)


def _page(cells: ExactCells, title: str) -> str:
    script = read_part("cells.js")
    context: dict[str, Any] = {
        "title": plain(title),
        "kicker": "Exact cells",
        "lede": f"{len(cells)} polygons on a window of a plane, u {_span(cells, 0)}, "
        f"v {_span(cells, 2)}",
        "notes": [plain(note) for note in cells.notes],
        "tiles": _tiles(cells),
        "switches": [plain(name) for name in cells.switches],
        "data": json.dumps(_data(cells), separators=(",", ":")).replace("<", "\\u003c"),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "decision": DECISION,
        "beside": "",
    }
    page = environment().get_template("cells.html.j2")
    return page.render(context, version=__version__, style=read_part("style.css"), ramp=CIVIDIS)


def _span(cells: ExactCells, first: int) -> str:
    low, high = cells.plane.window[first : first + 2]
    return f"{low:g} to {high:g}"


def _tiles(cells: ExactCells) -> list[tuple[str, str, str]]:
    known = neighbours(cells)
    own = [name for name in cells.switches if name != DECISION]
    found = [
        (
            "Activation cells",
            str(activation_cells(cells, own, known).count),
            "connected pieces of one pattern of all switches",
        )
    ]
    if cells.maps.shape[1]:
        joined = affine_regions(cells, known)
        found.append(("Affine regions", str(joined.count), "adjacent pieces of one map joined"))
    if known.unmatched:
        found.append(("Edges unmatched", str(known.unmatched), "too short to be paired"))
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
