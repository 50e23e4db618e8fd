"""Two passes over a picture as files: JSON, pictures and a page around them."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from reluflow._version import __version__
from reluflow.attention import Attended
from reluflow.report.files.atomic import write_together
from reluflow.report.pages.rendering import environment, read_part
from reluflow.report.pictures.attended import draw_errors, draw_region, is_stacked
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.tables import attend_rows as rows
from reluflow.report.tables.format import MISSING, decimal, percent, plain, plural

PAGE, NUMBERS, REGION, ERRORS = "attend.html", "attend.json", "region.png", "errors.png"
ATTEND_FILES = (NUMBERS, REGION, ERRORS, PAGE)
"""What `write_attended` writes; the picture of errors only where there are any."""
_SECOND = 1000
"""Milliseconds."""


def write_attended(found: Attended, directory: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write `attend.json`, `region.png`, `errors.png` and `attend.html` into a folder.

    Args:
        found: of `attend_picture`.
        directory: an existing folder or a new one.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be written; then none is.

    Example:
        >>> import tempfile
        >>> from reluflow.attention import attend_picture
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> image = {"image": np.load("models/fashion_mnist_test_2000.npz")["image"][:1]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_attended(attend_picture(psb, image), folder)]
        ['attend.json', 'region.png', 'errors.png', 'attend.html']
    """
    files = {
        NUMBERS: json.dumps(found.to_dict(), indent=2).encode() + b"\n",
        REGION: draw_region(found),
    }
    if found.layers:
        files[ERRORS] = draw_errors(found)
    files[PAGE] = _page(found).encode(errors="backslashreplace")
    return write_together(directory, files)


def _page(found: Attended) -> str:
    context: dict[str, Any] = {
        "title": plain(Path(found.model).name) if found.model else "PSB model",
        "kicker": "Computational attention",
        "lede": _lede(found),
        "runs": "one run" if found.tiling else "the fastest of three runs",
        "notes": [plain(note) for note in found.notes],
        "findings": [("info", plain(text)) for text in _findings(found)],
        "tiles": _tiles(found),
        "region": _both(draw_region, found),
        "stacked": is_stacked(found),
        "answers": rows.answer_table(found),
        "costs": (rows.COST_HEADINGS, rows.cost_rows(found)),
        "nodes": rows.node_table(found),
        "reference": found.reference,
        "errors": _both(draw_errors, found) if found.layers else None,
        "means": (rows.ERROR_HEADINGS, rows.error_rows(found)),
        "beside": NUMBERS,
    }
    page = environment().get_template("attend.html.j2")
    return page.render(context, version=__version__, style=read_part("style.css"), ramp=CIVIDIS)


def _lede(found: Attended) -> str:
    first, second = found.samples
    if first == second:
        return f"one picture in two passes at {plural(first, 'sample')}"
    return f"one picture at {plural(first, 'sample')}, and at {second} where that is unsure"


def _findings(found: Attended) -> list[str]:
    return [
        f"The region has {percent(found.coverage)} of the map's pixels, "
        f"{plain(rows.chosen(found))}.",
        found.source,
    ]


def _tiles(found: Attended) -> list[tuple[str, str, str]]:
    """Return label, number and remark of the figures at the top."""
    total, dense = found.total(), found.dense()
    tiles = [("Region", percent(found.coverage), "of the map's pixels")]
    if total.shift_adds is not None and dense.shift_adds:
        share = total.shift_adds / dense.shift_adds
        tiles.append(("Shift-adds", percent(share), "of a dense pass 2, in theory"))
    if total.ms and dense.ms:
        remark = f"of a dense pass 2, measured: {_time(total.ms)} against {_time(dense.ms)}"
        tiles.append(("Time", percent(total.ms / dense.ms), remark))
    for each in found.answers:
        if each.classes:
            number, p = each.classes[0]
            tiles.append((each.name.capitalize(), f"class {number}", percent(p)))
        elif each.name != dense.name:
            value = f"{each.mean_apart:.2g}"
            tiles.append((each.name.capitalize(), value or MISSING, "mean distance from dense"))
    return tiles


def _time(ms: float) -> str:
    return f"{decimal(ms)} ms" if ms < _SECOND else f"{decimal(ms / _SECOND, 1)} s"


def _both(draw: Any, found: Attended) -> tuple[str, str]:
    """Return a picture for a light and for a dark page."""
    light, dark = (base64.b64encode(draw(found, dark=dark)).decode() for dark in (False, True))
    return light, dark
