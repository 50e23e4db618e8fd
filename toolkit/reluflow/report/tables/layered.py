"""The table of a page, with the layers that feed its sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reluflow.analysis.results.result import SiteComparison
from reluflow.graph import SwitchSite
from reluflow.report.tables.format import layer_name, plain, shorten

Cell = tuple[str, float | int | str]


def layered_table(
    headings: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[Cell]],
    sites: Sequence[SwitchSite | SiteComparison],
) -> dict[str, Any]:
    """Return headings and rows, with the layers after the sites where one says more than a name.

    Args:
        headings: title and kind of each column, the site first.
        rows: text and sort key of each cell.
        sites: one per row.

    Returns:
        `headings` and `rows` of the template.
    """
    if not any(layer_name(site.name, site.layer) for site in sites):
        return {"headings": headings, "rows": rows}
    layers: list[Cell] = [(shorten(plain(site.layer), 120), "") for site in sites]
    return {
        "headings": [headings[0], ("Layer", "text"), *headings[1:]],
        "rows": [[row[0], layer, *row[1:]] for row, layer in zip(rows, layers, strict=True)],
    }
