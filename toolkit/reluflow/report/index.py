"""index.html: one page that links the reports of folders, with their numbers side by side."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reluflow._version import __version__
from reluflow.analysis import ComparisonReport, PatternReport, SiteReport
from reluflow.errors import OutputError
from reluflow.patterns import QUANTITIES, read
from reluflow.report.directory import JSON_NAME, PAGE_NAME
from reluflow.report.files.atomic import write_text
from reluflow.report.files.jsonfile import read_json
from reluflow.report.pages.over_time import RECORDING_PAGE, write_recording_page
from reluflow.report.pages.rendering import environment, read_part
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.tables.facts import file_name, when
from reluflow.report.tables.format import MISSING, about, count, decimal, percent, plain, plural

INDEX_NAME = "index.html"
_DEPTH = 3
_RUN = ("Data", "Inputs", "Sites")
_GROUPS = {
    "patterns": (
        "Analyses",
        ("Model", *_RUN, "Patterns", "Mean rel. entropy", "Dead units", "When"),
    ),
    "comparison": ("Comparisons", ("Checkpoints", *_RUN, "Mean D", "When")),
    "series": ("Checkpoints", ("Checkpoints", *_RUN, "D first to last", "When")),
    "psb": ("Shift-add evaluations", ("Metric", "Float", "Nearest mode", "Points")),
    "sensitivity": ("Sensitivities", ("Rates", "Sites", "Suggested rate")),
    "recording": ("Recordings", ("Steps", "Sites", "Measures")),
}
_BESIDE: dict[str, Callable[[Any], str]] = {
    "relative_entropy": percent,
    "entropy_bits": decimal,
    "patterns": count,
    "dead_units": count,
    "distance": percent,
}
"""Measures of sites that are shown side by side, by their keys in `QUANTITIES`."""
_MOST_BESIDE = 8
"""Reports side by side: what a screen is wide enough for."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """A text, and what the column is sorted by."""

    text: str
    key: str


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    folder: str
    page: Path
    link: str
    cells: tuple[_Cell, ...]
    started: str = ""
    sites: dict[str, dict[str, str]] = field(default_factory=dict)
    """Measure -> site -> text."""


def write_index(
    directory: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
) -> tuple[Path, tuple[str, ...]]:
    """Write a page that links every report at most three folders below one or more folders.

    Reports of `analyze` and `compare`, evaluations, sensitivities and recordings are found by
    their files; a recording without a page gets one. Tables are sorted by a click; the measures of
    sites in the newest reports stand side by side.

    Args:
        directory: the folder that holds reports, or several.
        out: the page; by default "index.html" in the first folder.

    Returns:
        The page, and a sentence for each report that could not be read.

    Raises:
        OutputError: there is no such folder, no report in them, or the page cannot be written or
            would replace a part of a report.

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
    given = [directory] if isinstance(directory, str | os.PathLike) else directory
    roots = [Path(each) for each in given]
    for root in roots:
        if not root.is_dir():
            raise OutputError(f"directory {str(root)!r} is no folder; give one that holds reports.")
    if not roots:
        raise OutputError("no folder is given; give one that holds reports.")
    page = roots[0] / INDEX_NAME if out is None else Path(out)
    entries, unread = _find(roots, page)
    if not entries:
        listed = ", ".join(repr(str(root)) for root in roots)
        raise OutputError(
            f"directory {listed} holds no report within {_DEPTH} folders; "
            "analyze a model into it first, or give another."
        )
    _keep_reports(page, entries)
    script = read_part("index.js")
    context = {
        "title": plain(", ".join(root.resolve().name for root in roots)),
        "kicker": "Index",
        "lede": plural(len(entries), "report"),
        "groups": list(_grouped(entries)),
        "side_by_side": list(_side_by_side(entries)),
        "notes": [*unread, *_left_out(entries)],
        "beside": "",
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    text = (
        environment()
        .get_template("index.html.j2")
        .render(context, version=__version__, style=read_part("style.css"), ramp=CIVIDIS)
    )
    head, mark, tail = text.partition("<script>")  # the script stays as it was hashed
    lines = (line.strip() for line in head.split("\n"))
    write_text(page, "\n".join(line for line in lines if line) + f"\n{mark}{tail}")
    return page, tuple(unread)


def _find(roots: Sequence[Path], page: Path) -> tuple[list[_Entry], list[str]]:
    """Return the reports below folders, and a sentence for each that cannot be read."""
    entries: list[_Entry] = []
    unread: list[str] = []
    seen: set[Path] = set()
    for root in roots:
        for folder in _folders(root, _DEPTH):
            if folder.resolve() in seen:  # of a folder that is given twice, or in another
                continue
            seen.add(folder.resolve())
            name = _name(root, folder, len(roots) > 1)
            try:
                entries += _entries(name, folder, page)
            except (OutputError, ValueError, KeyError, TypeError) as error:
                unread.append(f"{plain(name)} was left out: {_sentence(error)}")
    return entries, unread


def _keep_reports(page: Path, entries: Sequence[_Entry]) -> None:
    """Refuse a page that would replace a file of a report."""
    target = page.resolve()
    for entry in entries:
        if target.parent == entry.page.resolve().parent and target.name != INDEX_NAME:
            raise OutputError(
                f"out is {str(page)!r}, in the folder of a report; write the page to another place."
            )


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """Yield a folder and those below it, by name; links and hidden ones are left out."""
    yield root
    if depth == 0:
        return
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield from _folders(path, depth - 1)


def _entries(name: str, folder: Path, page: Path) -> Iterator[_Entry]:
    if (folder / JSON_NAME).is_file() and (folder / PAGE_NAME).is_file():
        yield _of_report(name, page, folder)
    if (folder / "psb.json").is_file() and (folder / "psb.html").is_file():
        yield _of_psb(name, page, folder, _json(folder / "psb.json"))
    if (folder / "sensitivity.json").is_file():
        yield _of_sensitivity(name, page, folder, _json(folder / "sensitivity.json"))
    if any(folder.glob("part-*.parquet")):
        yield _of_recording(name, page, folder)


def _of_report(name: str, page: Path, folder: Path) -> _Entry:
    report = read_json(folder / JSON_NAME)
    run = (
        _text(plain(Path(report.data.source).name or report.data.source)),
        _number(count, report.n_inputs),
        _number(count, len(report.sites)),
    )
    date = _Cell(when(report.run.started), report.run.started)
    if isinstance(report, PatternReport):
        sites = report.sites
        known = [s.relative_entropy for s in sites if math.isfinite(s.relative_entropy)]
        entropy = sum(known) / len(known) if known else 0.0
        return _entry(
            "patterns", name, page, folder / PAGE_NAME,
            (
                _text(file_name(report.model)),
                *run,
                _patterns(sites),
                _number(percent, entropy) if known or not sites else _text(MISSING),
                _number(count, sum(site.dead_units for site in sites)),
                date,
            ),
            report.run.started,
            {
                key: {plain(site.site.name): _beside(site, key, write) for site in sites}
                for key, write in _BESIDE.items()
                if key != "distance"
            },
        )  # fmt: skip
    if isinstance(report, ComparisonReport):
        models = f"{file_name(report.first)} → {file_name(report.second)}"
        distances = {plain(site.name): percent(site.distance) for site in report.sites}
        return _entry(
            "comparison", name, page, folder / PAGE_NAME,
            (_text(models), *run, _number(percent, report.mean_distance), date),
            report.run.started, {"distance": distances},
        )  # fmt: skip
    ends = (file_name(report.models[0]), file_name(report.models[-1]))
    models = f"{len(report.models)}: {ends[0]} → {ends[1]}"
    distance = _number(percent, report.mean_distances[0][-1])
    return _entry("series", name, page, folder / PAGE_NAME, (_text(models), *run, distance, date))


def _of_psb(name: str, page: Path, folder: Path, fields: dict[str, Any]) -> _Entry:
    metric = str(fields.get("metric", ""))
    word = percent if fields.get("share", True) else decimal
    exact, nearest = fields.get("float_value"), fields.get("nearest")
    shown = [
        _number(word, float(value)) if isinstance(value, int | float) else _text("not measured")
        for value in (exact, nearest)
    ]
    points = _number(count, len(fields.get("points", [])))
    cells = (_text(plain(metric)), *shown, points)
    return _entry("psb", name, page, folder / "psb.html", cells)


def _of_sensitivity(name: str, page: Path, folder: Path, fields: dict[str, Any]) -> _Entry:
    rates, sites = fields["rates"], fields["sites"]
    found = fields.get("suggested_rate")
    suggested = _text("none") if found is None else _number("{:.3g}".format, float(found))
    cells = (
        _text(f"{rates[0]:.3g} to {rates[-1]:.3g}"),
        _number(count, len(sites)),
        suggested,
    )
    return _entry("sensitivity", name, page, folder / "sensitivity.png", cells)


def _of_recording(name: str, page: Path, folder: Path) -> _Entry:
    table = read(folder)
    if not (folder / RECORDING_PAGE).is_file():
        write_recording_page(folder)
    sites = set(table["site"].to_pylist())
    steps = len(set(table["step"].to_pylist()))
    numbers = (steps, len(sites), len(table.column_names) - 2)
    cells = tuple(_number(count, number) for number in numbers)
    return _entry("recording", name, page, folder / RECORDING_PAGE, cells)


def _entry(
    kind: str,
    name: str,
    index: Path,
    page: Path,
    cells: tuple[_Cell, ...],
    started: str = "",
    sites: dict[str, dict[str, str]] | None = None,
) -> _Entry:
    path = Path(os.path.relpath(page.resolve(), index.resolve().parent)).as_posix()
    return _Entry(kind, plain(name), page, quote(path), cells, started, sites or {})


def _text(text: str) -> _Cell:
    return _Cell(text, text)


def _number(write: Callable[[Any], str], value: float) -> _Cell:
    return _Cell(write(value), repr(value))


def _patterns(sites: Sequence[SiteReport]) -> _Cell:
    patterns = sum(site.patterns for site in sites)
    return _Cell(about(count(patterns), any(site.estimated for site in sites)), repr(patterns))


def _beside(site: SiteReport, key: str, write: Callable[[Any], str]) -> str:
    return about(write(getattr(site, key)), site.estimated and key == "patterns")


def _shown_beside(entries: Sequence[_Entry], measure: str) -> list[_Entry]:
    """Return the newest reports that have a measure of sites, the newest first."""
    having = [entry for entry in entries if measure in entry.sites]
    return sorted(having, key=lambda entry: entry.started, reverse=True)


def _side_by_side(entries: Sequence[_Entry]) -> Iterator[dict[str, Any]]:
    for measure in _BESIDE:
        shown = _shown_beside(entries, measure)[:_MOST_BESIDE]
        if len(shown) > 1:
            names = dict.fromkeys(name for entry in shown for name in entry.sites[measure])
            rows = [
                (name, [entry.sites[measure].get(name, "") for entry in shown]) for name in names
            ]
            title = QUANTITIES[measure].heading or QUANTITIES[measure].column.capitalize()
            yield {"title": title, "entries": shown, "rows": rows}


def _left_out(entries: Sequence[_Entry]) -> Iterator[str]:
    for measure, what in (("patterns", "analyses"), ("distance", "comparisons")):
        more = len(_shown_beside(entries, measure)) - _MOST_BESIDE
        if more > 0:
            yield f"Of the {what}, the newest {_MOST_BESIDE} stand side by side, {more} do not."


def _grouped(entries: Sequence[_Entry]) -> Iterator[dict[str, Any]]:
    for kind, (title, headings) in _GROUPS.items():
        found = [entry for entry in entries if entry.kind == kind]
        if found:
            yield {"title": title, "headings": ("Folder", *headings), "entries": found}


def _name(root: Path, folder: Path, several: bool) -> str:
    """Return a folder's name below the one that was given, which goes before it among several."""
    below = folder.relative_to(root).as_posix() if folder != root else "."
    if not several:
        return below
    return root.resolve().name if below == "." else f"{root.resolve().name}/{below}"


def _json(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return fields


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return plain(text if text.endswith(".") else f"{text}.")
