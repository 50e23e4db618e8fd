"""A table as HTML for a notebook: in the colours around it, as narrow as its cell."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """<style>
.reluflow{max-width:100%;color:inherit;font-size:.92em;line-height:1.45}
.reluflow div{overflow-x:auto}
.reluflow table{border-collapse:collapse;background:transparent;color:inherit;margin:.2em 0;
border:0}
.reluflow th,.reluflow td{background:transparent;color:inherit;text-align:right;padding:.2em .6em;
border:0;white-space:nowrap;font-variant-numeric:tabular-nums;vertical-align:top}
.reluflow td.long{white-space:normal;text-align:left;overflow-wrap:anywhere;min-width:9em}
.reluflow thead th{font-weight:600;border-bottom:1px solid currentColor}
.reluflow tbody td{border-bottom:1px solid rgba(128,128,128,.3)}
.reluflow td:first-child,.reluflow th:first-child{text-align:left}
.reluflow p{margin:.2em .6em;max-width:60em;overflow-wrap:anywhere}
@media (max-width:40em){.reluflow td:first-child{white-space:normal;overflow-wrap:anywhere;
min-width:9em}}
</style>"""
"""Colours are those of the page around the table, so that it fits light and dark alike."""
_LONG = 36
"""Characters of a cell that may be broken into lines."""


def table_markup(
    heading: str,
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    sentences: Sequence[str] = (),
) -> str:
    """Return a table as markup; every text is escaped.

    Args:
        heading: above it.
        titles: of the columns; the first one is to the left.
        rows: cells, as many as titles.
        sentences: shown below.

    Example:
        >>> "<td>&lt;b&gt;</td>" in table_markup("one", ["name"], [["<b>"]])
        True
    """
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    below = "".join(f"<p>{escape(each)}</p>" for each in sentences)
    name = escape(heading)
    return (
        f'{_STYLE}<div class="reluflow"><p><b>{name}</b></p>'
        f'<div tabindex="0" role="region" aria-label="{name}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{below}</div>"
    )


def _cell(text: str) -> str:
    start = '<td class="long">' if len(text) > _LONG else "<td>"
    return f"{start}{escape(text)}</td>"
