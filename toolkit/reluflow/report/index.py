"""index.html: one page that links the reports of a folder, with their headline numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reluflow._version import __version__
from reluflow.analysis import ComparisonReport, PatternReport
from reluflow.errors import OutputError
from reluflow.patterns import read
from reluflow.report.directory import JSON_NAME, PAGE_NAME
from reluflow.report.files.atomic import write_text
from reluflow.report.files.jsonfile import read_json
from reluflow.report.pages.over_time import RECORDING_PAGE, write_recording_page
from reluflow.report.pages.rendering import environment, read_part
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.tables.facts import file_name, when
from reluflow.report.tables.format import count, decimal, percent, plain, plural

INDEX_NAME = "index.html"
_DEPTH = 3
_RUN = ("Inputs", "Sites")
_GROUPS = {
    "patterns": ("Analyses", ("Model", *_RUN, "Patterns", "Dead units", "When")),
    "comparison": ("Comparisons", ("Checkpoints", *_RUN, "Mean D", "When")),
    "series": ("Checkpoints", ("Checkpoints", *_RUN, "D first to last", "When")),
    "psb": ("Shift-add evaluations", ("Metric", "Float", "Nearest mode", "Points")),
    "sensitivity": ("Sensitivities", ("Rates", "Sites", "Suggested rate")),
    "recording": ("Recordings", ("Steps", "Sites", "Measures")),
}


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    folder: str
    link: str
    cells: tuple[str, ...]


def write_index(directory: str | os.PathLike[str]) -> tuple[Path, tuple[str, ...]]:
    """Write `index.html`, which links every report at most three folders below a directory.

    Reports of `analyze` and `compare`, evaluations, sensitivities and recordings are found by
    their files; a recording without a page gets one.

    Args:
        directory: the folder that holds reports.

    Returns:
        The page, and a sentence for each report that could not be read.

    Raises:
        OutputError: there is no such folder, no report in it, or the page cannot be written.

    Example:
        >>> import tempfile
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> x = np.eye(2, dtype=np.float32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = reluflow.analyze(proto, x, out=f'{folder}/first')
        ...     path, notes = write_index(folder)
        >>> path.name, notes
        ('index.html', ())
    """
    root = Path(directory)
    if not root.is_dir():
        raise OutputError(f"directory {str(root)!r} is no folder; give one that holds reports.")
    entries: list[_Entry] = []
    unread: list[str] = []
    for folder in _folders(root, _DEPTH):
        try:
            entries += _entries(root, folder)
        except (OutputError, ValueError, KeyError, TypeError) as error:
            unread.append(f"{plain(_name(root, folder))} was left out: {_sentence(error)}")
    if not entries:
        raise OutputError(
            f"directory {str(root)!r} holds no report within {_DEPTH} folders; "
            "analyze a model into it first, or give another."
        )
    page = root / INDEX_NAME
    context = {
        "title": plain(root.resolve().name),
        "kicker": "Index",
        "lede": plural(len(entries), "report"),
        "groups": list(_grouped(entries)),
        "notes": unread,
        "beside": "",
    }
    text = (
        environment()
        .get_template("index.html.j2")
        .render(context, version=__version__, style=read_part("style.css"), ramp=CIVIDIS)
    )
    lines = (line.strip() for line in text.split("\n"))
    write_text(page, "\n".join(line for line in lines if line) + "\n")
    return page, tuple(unread)


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """Yield a folder and those below it, by name; links and hidden ones are left out."""
    yield root
    if depth == 0:
        return
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield from _folders(path, depth - 1)


def _entries(root: Path, folder: Path) -> Iterator[_Entry]:
    if (folder / JSON_NAME).is_file() and (folder / PAGE_NAME).is_file():
        yield _of_report(root, folder)
    if (folder / "psb.json").is_file() and (folder / "psb.html").is_file():
        yield _of_psb(root, folder, _json(folder / "psb.json"))
    if (folder / "sensitivity.json").is_file():
        yield _of_sensitivity(root, folder, _json(folder / "sensitivity.json"))
    if any(folder.glob("part-*.parquet")):
        yield _of_recording(root, folder)


def _of_report(root: Path, folder: Path) -> _Entry:
    report = read_json(folder / JSON_NAME)
    size = (count(report.n_inputs), count(len(report.sites)))
    date = when(report.run.started)
    if isinstance(report, PatternReport):
        patterns = count(sum(site.patterns for site in report.sites))
        dead = count(sum(site.dead_units for site in report.sites))
        return _entry(
            "patterns", root, folder, PAGE_NAME,
            (file_name(report.model), *size, patterns, dead, date),
        )  # fmt: skip
    if isinstance(report, ComparisonReport):
        models = f"{file_name(report.first)} → {file_name(report.second)}"
        return _entry(
            "comparison", root, folder, PAGE_NAME,
            (models, *size, percent(report.mean_distance), date),
        )  # fmt: skip
    ends = (file_name(report.models[0]), file_name(report.models[-1]))
    models = f"{len(report.models)}: {ends[0]} → {ends[1]}"
    distance = percent(report.mean_distances[0][-1])
    return _entry("series", root, folder, PAGE_NAME, (models, *size, distance, date))


def _of_psb(root: Path, folder: Path, fields: dict[str, Any]) -> _Entry:
    metric = str(fields.get("metric", ""))
    word = percent if fields.get("share", True) else decimal
    exact, nearest = fields.get("float_value"), fields.get("nearest")
    shown = [
        word(float(value)) if isinstance(value, int | float) else "not measured"
        for value in (exact, nearest)
    ]
    points = fields.get("points", [])
    return _entry("psb", root, folder, "psb.html", (metric, *shown, count(len(points))))


def _of_sensitivity(root: Path, folder: Path, fields: dict[str, Any]) -> _Entry:
    rates, sites = fields["rates"], fields["sites"]
    found = fields.get("suggested_rate")
    suggested = "none" if found is None else f"{float(found):.3g}"
    cells = (f"{rates[0]:.3g} to {rates[-1]:.3g}", count(len(sites)), suggested)
    return _entry("sensitivity", root, folder, "sensitivity.png", cells)


def _of_recording(root: Path, folder: Path) -> _Entry:
    table = read(folder)
    if not (folder / RECORDING_PAGE).is_file():
        write_recording_page(folder)
    sites = set(table["site"].to_pylist())
    steps = len(set(table["step"].to_pylist()))
    cells = (count(steps), count(len(sites)), count(len(table.column_names) - 2))
    return _entry("recording", root, folder, RECORDING_PAGE, cells)


def _entry(kind: str, root: Path, folder: Path, page: str, cells: tuple[str, ...]) -> _Entry:
    path = (folder / page).relative_to(root)
    return _Entry(kind, plain(_name(root, folder)), quote(path.as_posix()), cells)


def _grouped(entries: list[_Entry]) -> Iterator[dict[str, Any]]:
    for kind, (title, headings) in _GROUPS.items():
        found = [entry for entry in entries if entry.kind == kind]
        if found:
            yield {"title": title, "headings": ("Folder", *headings), "entries": found}


def _name(root: Path, folder: Path) -> str:
    return folder.relative_to(root).as_posix() if folder != root else "."


def _json(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return fields


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return plain(text if text.endswith(".") else f"{text}.")
