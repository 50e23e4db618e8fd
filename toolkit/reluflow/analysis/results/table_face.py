"""What every report can do besides holding numbers: look up a site, print, become a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from html import escape
from importlib import import_module
from typing import Any, Generic, TypeVar

import pyarrow as pa

from reluflow.errors import OptionError

Site = TypeVar("Site")
_MOST_NAMES = 8


class TableFace(Generic[Site]):
    """A report of one row per site.

    `report["relu1"]` is the row of a site, by its name or its number; `str(report)` is a table,
    and a notebook shows it as one.
    """

    __slots__ = ()
    sites: tuple[Site, ...]

    def _heading(self) -> str:
        """Return one line that says what the table shows."""
        raise NotImplementedError

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the titles of the columns and the cells, the first column to the left."""
        raise NotImplementedError

    def __getitem__(self, site: str | int) -> Site:
        """Return the row of a site.

        Args:
            site: its name, or its number in graph order from 0.

        Raises:
            OptionError: there is no site of that name.
            IndexError: nor of that number.
        """
        if isinstance(site, int):
            return self.sites[site]
        for each in self.sites:
            if site in _names(each):
                return each
        names = [_names(each)[0] for each in self.sites]
        shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        raise OptionError(f"site is {site!r}; accepted are {shown}.")

    def __contains__(self, site: object) -> bool:
        """Tell whether there is a site of this name, or this very row."""
        return any(site in _names(each) or site is each for each in self.sites)

    def __iter__(self) -> Iterator[Site]:
        """Go through the rows, in graph order."""
        return iter(self.sites)

    def __str__(self) -> str:
        titles, rows = self._rows()
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        lines = [_line(titles, widths), _line(["-" * width for width in widths], widths)]
        return "\n".join([self._heading(), *lines, *(_line(row, widths) for row in rows)])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._heading()}>"

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        titles, rows = self._rows()
        head = "".join(f"<th>{escape(title)}</th>" for title in titles)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        return (
            f"<table><caption>{escape(self._heading())}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def to_arrow(self) -> pa.Table:
        """Return one row per site and one column per measure.

        Numbers of a list, such as `unit_active_counts`, make a column of lists; nested results
        give columns of their own, as in `site_name`.
        """
        rows = [_flat(each) for each in self.sites]
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: [row.get(name) for row in rows] for name in names})

    def to_pandas(self) -> Any:
        """Return `to_arrow` as a pandas.DataFrame.

        Raises:
            OptionError: pandas is not installed.
        """
        try:
            import_module("pandas")
        except ImportError as error:
            raise OptionError(
                f"to_pandas needs pandas, which is not there ({error}); install pandas, or take "
                "to_arrow."
            ) from error
        return self.to_arrow().to_pandas()


def plain_text(text: str) -> str:
    """Return text with every unprintable character spelled out; names come from any file."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _names(each: Any) -> tuple[str, ...]:
    """Return the names by which a row can be found, its own first."""
    site = getattr(each, "site", each)
    others = (getattr(site, name, "") for name in ("layer", "other_name"))
    return (str(site.name), *(str(other) for other in others if other))


def _line(cells: list[str], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(w) for cell, w in others)]).rstrip()


def _flat(each: Any, prefix: str = "") -> dict[str, Any]:
    """Return the scalars and the lists of numbers of a result by column name."""
    row: dict[str, Any] = {}
    for field in fields(each):
        value, name = getattr(each, field.name), prefix + field.name
        if is_dataclass(value):
            row |= _flat(value, f"{name}_")
        elif value is None or isinstance(value, bool | int | float | str):
            row[name] = value
        elif isinstance(value, tuple | list) and _are_numbers(value):
            row[name] = list(value)
    return row


def _are_numbers(values: tuple[Any, ...] | list[Any]) -> bool:
    return bool(values) and all(isinstance(value, bool | int | float) for value in values)
