"""The table of a page, with the layers that feed its sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reluflow.analysis.results.result import SiteComparison
from reluflow.graph import SwitchSite
from reluflow.report.tables.format import layer_name, plain, shorten

Cell = tuple[str, float | int | str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of a page's table.

    Attributes:
        key: of `reluflow.patterns.QUANTITIES`; "" where it holds no measure.
        heading: above it.
        cell: returns the text of a row and its sort key.
    """

    key: str
    heading: str
    cell: Callable[[T], Cell]


def layered_table(
    columns: Sequence[Column[T]],
    rows: Sequence[T],
    sites: Sequence[SwitchSite | SiteComparison],
) -> dict[str, Any]:
    """Return headings and rows; layers follow the sites where they say more than the names.

    Args:
        columns: the site's first; those without a measure hold text.
        rows: the records that the columns read.
        sites: one per row.

    Returns:
        `headings` and `rows` of the template.
    """
    headings = [(column.heading, "number" if column.key else "text") for column in columns]
    cells = [[column.cell(row) for column in columns] for row in rows]
    if not any(layer_name(site.name, site.layer) for site in sites):
        return {"headings": headings, "rows": cells}
    layers: list[Cell] = [(shorten(plain(site.layer), 120), "") for site in sites]
    return {
        "headings": [headings[0], ("Layer", "text"), *headings[1:]],
        "rows": [[row[0], layer, *row[1:]] for row, layer in zip(cells, layers, strict=True)],
    }
