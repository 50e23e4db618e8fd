"""The rows of two passes over a picture, in words and numbers."""

from __future__ import annotations

from reluflow.attention.attend.record import BOTH, Attended
from reluflow.report.tables.format import (
    MISSING,
    decimal,
    percent,
    plain,
    plural,
    short_count,
    shorten,
)

_ANSWER_HEADINGS = ("", "answer", "next", "mean distance", "largest")
COST_HEADINGS = (
    "",
    "theoretical shift-adds",
    "of dense",
    "measured ms",
    "of dense",
)
_NODE_HEADINGS = ("node", "operator", "pixels computed", "shift-adds made", "of", "why all")
ERROR_HEADINGS = (
    "layer",
    "absolute, pass 1",
    "both passes",
    "relative, pass 1",
    "both passes",
)
Rows = list[tuple[str, ...]]
Table = tuple[tuple[str, ...], Rows]
_SMALL = 3
_WHOLE_FROM = 100
"""Milliseconds from which on their fractions are left out."""
_NAME = 26
"""Characters of a node's name in a terminal."""


def answer_table(found: Attended) -> Table:
    """Return headings and rows: what each way of computing answers, and its distance from dense."""
    rows: Rows = []
    for each in found.answers:
        said = [f"class {number}, {percent(p)}" for number, p in each.classes[:2]]
        said += [MISSING] * (2 - len(said))
        rows.append((each.name, *said, _number(each.mean_apart), _number(each.most_apart)))
    if any(each.classes for each in found.answers):
        return _ANSWER_HEADINGS, rows
    return _without(_ANSWER_HEADINGS, 1, 2), [_without(row, 1, 2) for row in rows]


def cost_rows(found: Attended) -> Rows:
    """Return what each step costs by the theory, and what it took."""
    dense = found.dense()
    rows: Rows = []
    for each in found.costs:
        adds, ms = each.shift_adds, each.ms
        rows.append(
            (
                f"{each.name}, together" if each.name == BOTH else each.name,
                short_count(adds),
                MISSING if adds is None else _of(adds, dense.shift_adds),
                MISSING if ms is None else decimal(ms, 0 if ms >= _WHOLE_FROM else 2),
                MISSING if ms is None else _of(ms, dense.ms),
            )
        )
    return rows


def node_table(found: Attended, *, brief: bool = False) -> Table:
    """Return headings and rows: what pass 2 computed of each node.

    Args:
        found: of `attend_picture`.
        brief: only nodes that make shift-adds or compute all, their names shortened, no reasons.
    """
    rows: Rows = [
        (
            shorten(plain(each.node), _NAME) if brief else plain(each.node),
            each.op,
            percent(each.share),
            short_count(each.made),
            short_count(each.dense),
            each.reason,
        )
        for each in found.nodes
        if not brief or each.dense is not None or each.reason
    ]
    if any(each.reason for each in found.nodes) and not brief:
        return _NODE_HEADINGS, rows
    last = len(_NODE_HEADINGS) - 1
    return _without(_NODE_HEADINGS, last), [_without(row, last) for row in rows]


def error_rows(found: Attended) -> Rows:
    """Return the mean errors of the layers that are shown."""
    rows: Rows = []
    for each in found.layers:
        means = each.means()
        rows.append(
            (
                plain(each.layer),
                _number(means["absolute"]),
                _number(means["absolute_after"]),
                _percent(means["relative"]),
                _percent(means["relative_after"]),
            )
        )
    return rows


def chosen(found: Attended) -> str:
    """Return how the region was chosen, in words."""
    options = found.options
    rules = {
        "mean": "above the mean",
        "quantile": f"above the quantile {options.value}",
        "absolute": f"above {options.value} bits",
        "coverage": f"the most unsure {percent(options.value or 0.0)}",
    }
    halo = f", and a halo of {plural(options.halo, 'pixel')} around" if options.halo else ""
    margin = f", with a margin of {plural(options.margin, 'pixel')}" if options.margin else ""
    carried = {
        "scaled": "the same part of the picture in every layer",
        "exact": "in every layer all that it depends on",
    }
    return f"{rules[options.rule]}{halo}; {carried[options.carry]}{margin}"


def _without(row: tuple[str, ...], *places: int) -> tuple[str, ...]:
    return tuple(cell for at, cell in enumerate(row) if at not in places)


def _number(value: float) -> str:
    return f"{value:.{_SMALL}g}"


def _percent(value: float) -> str:
    return percent(value) if value <= 1 else decimal(100 * value, 0) + " %"


def _of(value: float, dense: float | None) -> str:
    return decimal(value / dense) if dense else MISSING
