"""Reports as tables for terminals, narrow or wide."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.analysis.results.result import (
    ComparisonReport,
    Estimated,
    ModelDescription,
    PatternReport,
    SiteComparison,
    SiteReport,
)
from reluflow.graph import Fold, LeftOut, SwitchSite
from reluflow.patterns import QUANTITIES
from reluflow.report.tables.findings import Finding, comparison_findings, findings
from reluflow.report.tables.format import (
    about,
    count,
    decimal,
    layer_name,
    percent,
    plain,
    plural,
    shorten,
    size,
)
from reluflow.report.tables.graded import (
    EFFECTIVE,
    FLIPS,
    PAIR_DISTANCE,
    SEPARATION,
    UNIT_ENTROPY,
    has_classes,
    has_graded,
    is_saturated,
)

T = TypeVar("T")
_MARKS = {
    "bad": ("x", "bold red"),
    "warn": ("!", "yellow"),
    "info": ("-", "cyan"),
    "good": ("+", "green"),
}
_NAME_WIDTH = 24
_LEAST_NAME = 4
"""Characters of a name in the narrowest terminal: one and the dots that say it is cut."""


@dataclass(frozen=True, slots=True)
class _Column(Generic[T]):
    """One column: `rank` 0 always stays, the highest goes first when space is short."""

    title: str
    cell: Callable[[T], str]
    total: str = ""
    rank: int = 0
    left: bool = False


def _measured(key: str, cell: Callable[[T], str], total: str = "", *, rank: int = 0) -> _Column[T]:
    """Return the column of a measure, titled as `reluflow.patterns.QUANTITIES` has it."""
    return _Column(QUANTITIES[key].column, cell, total, rank)


def print_table(report: PatternReport | ComparisonReport, console: Console) -> None:
    """Print one row per site, totals, and the findings and notes below.

    Columns that do not fit the console's width are left out, the least telling first,
    and named below the table.

    Args:
        report: what `analyze` or `compare` returned.
        console: where to print.

    Example:
        >>> import io
        >>> from rich.console import Console
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> text = io.StringIO()
        >>> print_table(report, Console(file=text, width=80))
        >>> 'entropy bits' in text.getvalue()
        True
    """
    if isinstance(report, ComparisonReport):
        title = (
            f"{_path(report.first)} > {_path(report.second)} on {plural(report.n_inputs, 'input')}"
        )
        _print(report.sites, _comparison_columns(report), title, console)
        _print_sentences(comparison_findings(report), report.notes, console)
        return
    title = f"{_path(report.model)} on {plural(report.n_inputs, 'input')}"
    _print(report.sites, _site_columns(report), title, console)
    for each in report.sites:
        if each.estimated:
            _line("~", "cyan", _errors(each.site.name, each.estimated), console)
    for site in report.skipped:
        _line("-", "dim", f"not tapped: {plain(site.name)} ({site.op}): {site.untappable}", console)
    _print_sentences(findings(report), report.notes, console)


def _errors(name: str, found: Estimated) -> str:
    """Return how far the estimates of a site may be off."""
    return (
        f"{plain(name)}: {count(found.patterns_low)} to {count(found.patterns_high)} patterns "
        f"({percent(found.patterns_confidence)} confidence); counts of patterns too high by "
        f"{plural(found.count_error, 'sample')} at most ({percent(found.count_confidence)})"
    )


def print_inspection(
    model: ModelDescription,
    sites: Sequence[SwitchSite],
    console: Console,
    *,
    left_out: Sequence[LeftOut] = (),
    folds: Sequence[Fold] = (),
    notes: Sequence[str] = (),
) -> None:
    """Print the switch sites of a model, what is none and why, and what the model is.

    Args:
        model: the inspected model.
        sites: its sites in graph order, the untappable ones too.
        console: where to print.
        left_out: nodes that could be switches by their operator and are none.
        folds: others that fold at 0.
        notes: sentences the reader should know.

    Example:
        >>> import io
        >>> from rich.console import Console
        >>> from reluflow.analysis import describe_model
        >>> from reluflow.graph import find_sites, load
        >>> model = load('models/fashion_resnet8.onnx')
        >>> described, text = describe_model(model), io.StringIO()
        >>> print_inspection(described, find_sites(model), Console(file=text, width=80))
        >>> text.getvalue().split()[:3]
        ['fashion_resnet8.onnx:', '7', 'sites']
    """
    opset = ", ".join(f"{domain or 'ai.onnx'} {v}" for domain, v in sorted(model.opset.items()))
    facts = [
        f"opset {opset}",
        f"IR {model.ir_version}",
        plural(model.n_nodes, "node"),
        plural(model.n_parameters, "parameter"),
        size(model.size_bytes),
        model.producer or "producer unknown",
    ]
    _print(
        sites, _inspection_columns(sites), f"{_path(model)}: {plural(len(sites), 'site')}", console
    )
    _line("-", "cyan", "; ".join(facts), console)
    for name, kind in model.inputs.items():
        _line("-", "cyan", f"input {name!r}: {kind}", console)
    if not sites:
        _line(
            "!", "yellow", "The model has no switch site: there are no patterns to count.", console
        )
    for site in sites:
        if site.untappable:
            _line("!", "yellow", f"{site.name} cannot be tapped: {site.untappable}", console)
    _print_others(left_out, folds, console)
    for note in notes:
        _line("-", "cyan", note, console)


def _print_others(left_out: Sequence[LeftOut], folds: Sequence[Fold], console: Console) -> None:
    """Print the nodes that are not sites, grouped by reason."""
    if folds:
        names = ", ".join(f"{_full(fold)} ({fold.op})" for fold in folds)
        _line("-", "cyan", f"others that fold at 0, not counted as sites: {names}", console)
    reasons: dict[str, list[str]] = {}
    for node in left_out:
        reasons.setdefault(node.reason, []).append(f"{_full(node)} ({node.op})")
    for reason, names_of_reason in reasons.items():
        _line("-", "dim", f"left out, as {reason}: {', '.join(names_of_reason)}", console)


def _full(node: LeftOut | Fold) -> str:
    return f"{node.scope}/{node.name}" if node.scope else node.name


def _site_columns(report: PatternReport) -> list[_Column[SiteReport]]:
    sites = report.sites
    units = sum(s.units for s in sites)
    dead, on = sum(s.dead_units for s in sites), sum(s.always_on_units for s in sites)
    nonfinite = sum(s.nonfinite for s in sites)
    columns: list[_Column[SiteReport]] = [
        _Column("site", lambda s: s.site.name, plural(len(sites), "site"), left=True),
        *_layer_column(sites, lambda s: s.site),
        _Column("op", lambda s: s.site.op, rank=5, left=True),
        _measured("units", lambda s: count(s.units), count(units), rank=4),
        _measured(
            "samples", lambda s: count(s.samples), count(sum(s.samples for s in sites)), rank=6
        ),
        _measured(
            "patterns",
            lambda s: about(count(s.patterns), s.estimated),
            about(count(sum(s.patterns for s in sites)), any(s.estimated for s in sites)),
            rank=1,
        ),
        _measured("entropy_bits", lambda s: decimal(s.entropy_bits), rank=3),
        _measured("relative_entropy", lambda s: percent(s.relative_entropy), rank=0),
        _measured(
            "most_frequent_fraction",
            lambda s: about(percent(s.most_frequent_fraction), s.estimated),
            rank=3,
        ),
        _measured("dead_units", lambda s: count(s.dead_units), count(dead), rank=2),
        _measured("always_on_units", lambda s: count(s.always_on_units), count(on), rank=5),
    ]
    if nonfinite:
        columns.append(
            _measured("nonfinite", lambda s: count(s.nonfinite), count(nonfinite), rank=1)
        )
    if has_graded(report):
        rank = 1 if is_saturated(report) else 5
        columns += [
            _measured("unit_entropy_bits", lambda s: decimal(UNIT_ENTROPY.value(s), 3), rank=rank),
            _measured("pair_distance", lambda s: percent(PAIR_DISTANCE.value(s)), rank=rank),
            _measured("effective_bits", lambda s: decimal(EFFECTIVE.value(s), 1), rank=5),
        ]
    if has_classes(report):
        columns.append(_measured("separation", lambda s: percent(SEPARATION.value(s)), rank=5))
    if any(s.depends_on for s in sites):
        columns.append(_Column("depends on", lambda s: s.depends_on, rank=1, left=True))
    return columns


def _layer_column(
    rows: Sequence[T], site: Callable[[T], SwitchSite | SiteComparison]
) -> list[_Column[T]]:
    """Return the column of the layers that feed the sites, where one says more than the name."""
    if not any(layer_name(each.name, each.layer) for each in map(site, rows)):
        return []
    return [_Column("layer", lambda row: site(row).layer, rank=4, left=True)]


def _comparison_columns(report: ComparisonReport) -> list[_Column[SiteComparison]]:
    columns: list[_Column[SiteComparison]] = [
        _Column("site", lambda s: s.name, plural(len(report.sites), "site"), left=True),
        *_layer_column(report.sites, lambda s: s),
        _measured("distance", lambda s: percent(s.distance), percent(report.mean_distance)),
        _measured("temperature_bits", temperature, rank=1),
        _measured("flip_fraction", lambda s: percent(FLIPS.value(s)), rank=1),
        _measured("jaccard", lambda s: decimal(s.jaccard, 3), rank=2),
        _measured("patterns", lambda s: " > ".join(map(count, s.patterns)), rank=3),
        _measured("net_change", lambda s: f"{s.net_change * 100:+.1f} %", rank=5),
        _measured("born", lambda s: percent(s.born), rank=4),
        _measured("died", lambda s: percent(s.died), rank=4),
        _measured("units", lambda s: count(s.units), rank=6),
        _measured("samples", lambda s: count(s.samples), rank=7),
    ]
    if any(s.depends_on for s in report.sites):
        columns.append(_Column("depends on", lambda s: s.depends_on, rank=2, left=True))
    return columns


def temperature(site: SiteComparison) -> str:
    """Return the temperature; ">=" where it is only a lower bound."""
    return (">= " if site.saturated else "") + decimal(site.temperature)


def _inspection_columns(sites: Sequence[SwitchSite]) -> list[_Column[SwitchSite]]:
    columns: list[_Column[SwitchSite]] = [
        _Column("site", lambda s: s.name, left=True),
        _Column("op", lambda s: s.op, left=True),
        _measured("units", lambda s: count(s.units) if s.units is not None else "?"),
        _Column("threshold", _threshold, rank=2),
        _Column("axis", lambda s: str(s.unit_axis), rank=3),
        _Column("shape", shape_text, rank=1, left=True),
    ]
    if any(s.layer for s in sites):
        columns.insert(1, _Column("layer", lambda s: s.layer, rank=2, left=True))
    if any(s.scope for s in sites):
        columns.append(_Column("scope", lambda s: s.scope or "main graph", rank=2, left=True))
    if any(s.smooth for s in sites):
        columns.append(_Column("kind", lambda s: "smooth" if s.smooth else "", rank=4, left=True))
    if any(s.untappable for s in sites):
        columns.append(_Column("tap", lambda s: "no" if s.untappable else "yes", rank=1, left=True))
    return columns


def _threshold(site: SwitchSite) -> str:
    return "?" if math.isnan(site.threshold) else f"{site.threshold:g}"


def shape_text(site: SwitchSite) -> str:
    """Return the pre-activation's shape; a question mark where the graph does not tell."""
    if site.shape is None:
        return "unknown rank"
    return "[" + ", ".join("?" if d is None else str(d) for d in site.shape) + "]"


def _print(rows: Sequence[T], columns: list[_Column[T]], title: str, console: Console) -> None:
    """Print the columns that fit and say which do not."""
    cells = {
        c.title: [_known(plain(c.cell(row)), console.encoding) for row in rows] for c in columns
    }
    widths = {c.title: max(len(t) for t in [c.title, c.total, *cells[c.title]]) for c in columns}
    shown, name_width = _fitting(columns, widths, console.width)
    mark = "…" if console.encoding.startswith("utf") else "~"
    table = Table(
        title=Text(_known(shorten(plain(title), console.width, mark), console.encoding)),
        title_justify="left",
    )
    table.show_footer = bool(rows) and any(c.total for c in columns[1:])
    for column in shown:
        table.add_column(
            Text(column.title),
            Text(column.total),
            justify="left" if column.left else "right",
            no_wrap=True,
            overflow="crop",
        )
    for i in range(len(rows)):
        texts = [cells[c.title][i] for c in shown]
        table.add_row(Text(shorten(texts[0], name_width, mark)), *(Text(t) for t in texts[1:]))
    console.print(table)
    hidden = [c.title for c in columns if c not in shown]
    if hidden:
        _line("-", "cyan", f"not shown in {console.width} columns: {', '.join(hidden)}", console)


def _fitting(
    columns: list[_Column[T]], widths: dict[str, int], width: int
) -> tuple[list[_Column[T]], int]:
    """Return the columns that fit into `width` and the room that the first one gets."""
    shown = list(columns)
    while True:
        rest = sum(widths[c.title] + 3 for c in shown[1:]) + 4
        room = width - rest
        worst = max(c.rank for c in shown)
        if room >= min(_NAME_WIDTH, widths[columns[0].title]) or worst == 0:
            return shown, max(_LEAST_NAME, min(room, widths[columns[0].title]))
        shown.remove([c for c in shown if c.rank == worst][-1])


def _print_sentences(found: Sequence[Finding], notes: Sequence[str], console: Console) -> None:
    for finding in found:
        _line(*_MARKS[finding.level], finding.text, console)
    for note in notes:
        _line("note:", "yellow", note, console)


def _line(mark: str, style: str, text: str, console: Console) -> None:
    encoding = console.encoding
    console.print(
        Text.assemble((_known(mark, encoding), style), " ", _known(plain(text), encoding))
    )


def _known(text: str, encoding: str) -> str:
    """Spell out the characters that the terminal's encoding lacks."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _path(model: ModelDescription) -> str:
    return model.path.replace("\\", "/").rsplit("/", 1)[-1] or model.path
