"""A result that is a table: in a terminal, in a notebook, in Arrow, pandas and polars."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from reluflow.errors import OptionError
from reluflow.frames.columns import Shown, one_kind, plain_text, written
from reluflow.frames.markup import table_markup

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS = 200


class Tabular:
    """A result of rows and columns.

    `str` and a notebook show a table for people; `to_arrow`, `to_pandas` and `to_polars` give all
    numbers as they are. Whatever reads Arrow's C stream interface takes the result itself, without
    a copy: `polars.DataFrame(result)`, `pandas.DataFrame.from_arrow(result)`, `duckdb`, ...

    Example:
        >>> import reluflow
        >>> found = reluflow.inspect("models/fashion_resnet8.onnx")
        >>> print(str(found).splitlines()[0])
        fashion_resnet8.onnx, 7 sites
        >>> found.to_arrow()["units"].to_pylist()
        [16, 16, 16, 32, 32, 64, 64]
        >>> for frame in (found.to_pandas, found.to_polars):
        ...     try:
        ...         assert frame().shape == (7, 11)
        ...     except reluflow.ReluflowError as error:  # the package is not installed
        ...         assert "install reluflow" in str(error)
    """

    __slots__ = ()
    _shown: ClassVar[Shown] = {}

    def _heading(self) -> str:
        """Return one line that says what the table shows."""
        raise NotImplementedError

    def _records(self) -> Sequence[dict[str, Any]]:
        """Return the rows of the frame: column -> value."""
        raise NotImplementedError

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the titles of the shown columns and the cells; those without any value go."""
        records = self._records()
        shown = {
            title: (key, kind)
            for title, (key, kind) in self._shown.items()
            if not records or any(record.get(key) not in (None, "") for record in records)
        }
        return list(shown), [
            [written(record.get(key), kind) for key, kind in shown.values()] for record in records
        ]

    def _sentences(self) -> Sequence[str]:
        """Return what is to be known beside the table."""
        return getattr(self, "notes", ())

    def _printed(self) -> tuple[list[str], list[list[str]], list[str]]:
        """Return titles, as many rows as one reads, and the sentences below them."""
        titles, rows = self._rows()
        said = [plain_text(each) for each in self._sentences()]
        if len(rows) > _MOST_ROWS:
            said.insert(0, f"{len(rows) - _MOST_ROWS:,} more rows are not shown; to_arrow has all.")
        return titles, rows[:_MOST_ROWS], said

    def __str__(self) -> str:
        titles, rows, said = self._printed()
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        lines = [_line(titles, widths), _line(["-" * width for width in widths], widths)]
        body = [_line(row, widths) for row in rows]
        return "\n".join([plain_text(self._heading()), *lines, *body, *said])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {plain_text(self._heading())}>"

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        titles, rows, said = self._printed()
        return table_markup(plain_text(self._heading()), titles, rows, said)

    def to_arrow(self) -> pa.Table:
        """Return all rows and columns as a pyarrow.Table.

        Lists of numbers make columns of lists; a value that is not known is null. A column in
        which nothing is known has Arrow's type of nulls.
        """
        import pyarrow as pa

        rows = self._records()
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table(
            {name: pa.array(one_kind([row.get(name) for row in rows])) for name in names}
        )

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as a stream of Arrow's C data interface, for any library that reads it.

        Args:
            requested_schema: a capsule with the types that the reader would like.
        """
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> Any:
        """Return `to_arrow` as a pandas.DataFrame.

        Raises:
            OptionError: pandas is not installed.
        """
        _needs("pandas", "to_pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """Return `to_arrow` as a polars.DataFrame.

        Raises:
            OptionError: polars is not installed.
        """
        return _needs("polars", "to_polars").from_arrow(self.to_arrow())


def _needs(package: str, method: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise OptionError(
            f"{method} needs {package}, which is not there ({error}); install reluflow[{package}], "
            "or take to_arrow."
        ) from error


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(w) for cell, w in others)]).rstrip()
