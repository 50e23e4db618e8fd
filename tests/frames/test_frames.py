"""Frames of pandas and polars, and the table for people, from one result."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.frames import Tabular, flat


@dataclass(frozen=True)
class Inner:
    shape: tuple[int | str, ...]
    share: float | None


@dataclass(frozen=True)
class Row:
    name: str
    count: int
    inner: Inner
    path: Path
    array: Any = None
    left_out: Any = None


class Result(Tabular):
    _shown = {  # noqa: RUF012
        "row": ("name", "text"),
        "count": ("count", "count"),
        "share": ("inner_share", "share"),
        "nothing": ("array", "text"),
    }
    notes = ("a note",)

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def _heading(self) -> str:
        return f"{len(self.rows)} rows"

    def _records(self) -> Sequence[dict[str, Any]]:
        return [flat(row) for row in self.rows]


ROWS = (
    Row("a", 2**40, Inner((1, 64), 0.25), Path("x/y"), left_out={"of": "another kind"}),
    Row("b" * 40, 2, Inner(("N", 64), None), Path("z"), left_out=(Inner((), 1.0),)),
)


NUMPY: tuple[Any, ...] = (np.arange(3), np.int64(3), np.float32(0.5))


def test_columns_have_one_type_and_what_is_no_column_is_left_out() -> None:
    table = Result(ROWS).to_arrow()
    assert table.column_names == [
        "name", "count", "inner_shape", "inner_share", "path", "array",
    ]  # fmt: skip
    assert table["inner_shape"].to_pylist() == [["1", "64"], ["N", "64"]]
    assert table["inner_share"].to_pylist() == [0.25, None]
    assert table["count"].to_pylist() == [2**40, 2] and str(table["array"].type) == "null"
    assert table["path"].to_pylist() == [str(Path("x/y")), "z"]


def test_numpy_values_become_plain_ones() -> None:
    found = [flat(Row("a", 3, Inner((), None), Path("x"), each)) for each in NUMPY]
    assert [row["array"] for row in found] == [[0, 1, 2], 3, 0.5]
    assert [type(row["array"]) for row in found] == [list, int, float]


def test_a_column_without_a_value_is_not_shown() -> None:
    lines = str(Result(ROWS)).splitlines()
    assert lines[0] == "2 rows" and lines[1].split() == ["row", "count", "share"]
    assert lines[3].split() == ["a", "1,099,511,627,776", "25.0%"] and lines[-1] == "a note"
    assert 'class="long"' in Result(ROWS)._repr_html_()


def test_a_long_table_says_that_it_is_cut() -> None:
    many = Result([ROWS[0]] * 1203)
    assert many.to_arrow().num_rows == 1203
    assert "1,003 more rows are not shown; to_arrow has all." in str(many).splitlines()
    assert many._repr_html_().count("<tr>") == 201


def test_no_rows_are_a_table_without_rows() -> None:
    assert len(str(Result([])).splitlines()) == 4 and Result([]).to_arrow().num_rows == 0
    assert Result([])._repr_html_().count("<tr>") == 1


def test_pandas() -> None:
    pd = pytest.importorskip("pandas")
    frame = Result(ROWS).to_pandas()
    assert isinstance(frame, pd.DataFrame) and frame["count"].tolist() == [2**40, 2]
    if hasattr(pd.DataFrame, "from_arrow"):
        assert pd.DataFrame.from_arrow(Result(ROWS))["count"].tolist() == [2**40, 2]


def test_polars() -> None:
    pl = pytest.importorskip("polars")
    frame = Result(ROWS).to_polars()
    assert isinstance(frame, pl.DataFrame) and frame["inner_share"].to_list() == [0.25, None]
    assert pl.DataFrame(Result(ROWS)).equals(frame)


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_package_that_is_not_there_is_named(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # import finds nothing
    with pytest.raises(OptionError, match=rf"to_{package} needs {package}.*reluflow\[{package}\]"):
        getattr(Result(ROWS), f"to_{package}")()


def test_no_package_of_frames_is_loaded_unasked() -> None:
    code = (
        "import sys, reluflow.frames, reluflow.temperature, reluflow.evaluation\n"
        "print({'pandas', 'polars'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
