"""Every table of figures in docs names the kept record that its figures are in.

A table is tied by a line above it, with or without blank lines or other comments between:

    <!-- record: benchmarks/x.json benchmarks/y.json -->

Each measured number of its body (all numbers of a cell without words, those with a decimal point of
a cell with words) must be in one of these files, rounded as it is written: as it is, in percent, or
in units a thousand or 1024 times as large or small. Numbers may stand in values, in texts and in
the names of a record. Pages still to be tied are listed; the list may shrink, not grow.
"""

from __future__ import annotations

import importlib.util
import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RECORD = re.compile(r"<!--\s*record:\s*(.+?)\s*-->")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
SCALES = (1.0, 100.0, 1000.0, 0.001, 1e-6, 1e-9, 1 / 1024, 1 / 2**20)
NOT_YET_TIED: frozenset[str] = frozenset()
"""Pages with tables that no record is named for yet."""


@dataclass(frozen=True)
class Table:
    """One table of a page: its records and the cells of its body."""

    page: str
    line: int
    records: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def figures(self) -> list[str]:
        """Numbers that were measured, as they are written."""
        return [number for row in self.rows for cell in row for number in figures_of(cell)]


def figures_of(cell: str) -> list[str]:
    """Return the measured numbers of a cell: all if it has no words, else those with a point."""
    plain = re.sub(r"`[^`]*`", "", cell)
    found = NUMBER.findall(plain)
    has_words = bool(re.search(r"[A-Za-z]{3,}", NUMBER.sub("", plain)))
    return [number for number in found if "." in number] if has_words else found


def tables_of(text: str, page: str) -> Iterator[Table]:
    """Give the tables of a Markdown page."""
    lines = text.splitlines()
    records: tuple[str, ...] = ()
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        named = RECORD.search(line)
        if named:
            records = tuple(named[1].replace(",", " ").split())
        elif line.startswith("|"):
            start = number
            while number < len(lines) and lines[number].strip().startswith("|"):
                number += 1
            body = [row.strip("| ").split("|") for row in lines[start + 2 : number]]
            rows = tuple(tuple(cell.strip() for cell in row) for row in body)
            yield Table(page, start + 1, records, rows)
            records = ()
            continue
        elif line and not line.startswith("<!--"):
            records = ()
        number += 1


def numbers_in(value: Any) -> Iterator[float]:
    """Give all numbers of a record: values, and those in texts and names."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield float(value)
    elif isinstance(value, str):
        for number in NUMBER.findall(value):
            yield float(number.replace(",", ""))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from numbers_in(key)
            yield from numbers_in(item)
    else:
        for item in value:
            yield from numbers_in(item)


class Record:
    """The numbers of some files, to be looked up at a precision."""

    def __init__(self, values: Iterator[float]) -> None:
        self._sorted = sorted({value for value in values if value == value})

    def has(self, written: str) -> bool:
        """Tell whether a number as written is one of the record, rounded as it is written."""
        plain = written.replace(",", "").lstrip("+")
        mantissa, _, exponent = plain.lower().partition("e")
        decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
        wanted, half = float(plain), 0.5 * 10.0**-decimals * (1 + 1e-9)
        for scale in SCALES:
            low = (wanted - half) / scale
            at = bisect_left(self._sorted, low)
            if at < len(self._sorted) and self._sorted[at] <= (wanted + half) / scale:
                return True
        return False


def pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def read(records: tuple[str, ...]) -> Record:
    texts = [(ROOT / record).read_text("utf-8") for record in records]
    return Record(number for text in texts for number in numbers_in(json.loads(text)))


def all_tables() -> list[Table]:
    return [
        table
        for page in pages()
        for table in tables_of(page.read_text("utf-8"), page.relative_to(DOCS).as_posix())
        if any("." in figure for figure in table.figures)
    ]


TABLES = all_tables()
TIED = [table for table in TABLES if table.records]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.page}:{table.line}")
def test_a_table_of_figures_names_its_record(table: Table) -> None:
    if table.page not in NOT_YET_TIED:
        assert table.records, "write <!-- record: FILE --> above it, or take the figures out"
    for record in table.records:
        assert (ROOT / record).is_file(), f"{record} is not kept"


@pytest.mark.parametrize("table", TIED, ids=lambda table: f"{table.page}:{table.line}")
def test_its_figures_are_in_the_record(table: Table) -> None:
    record = read(table.records)
    strange = [figure for figure in table.figures if not record.has(figure)]
    assert not strange, f"not in {', '.join(table.records)}"


def test_the_list_of_pages_to_be_tied_shrinks() -> None:
    untied = {table.page for table in TABLES if not table.records}
    assert untied >= NOT_YET_TIED, "take the tied page off the list"
    assert len(NOT_YET_TIED) <= 2


def test_the_summary_is_that_of_the_kept_trainings() -> None:
    folder = ROOT / "benchmarks" / "schedules"
    spec = importlib.util.spec_from_file_location("summary", folder / "summary.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    kept = json.loads((folder / "summary.json").read_text("utf-8"))
    assert json.loads(json.dumps(script.summary(folder))) == kept


PAGE = """
<!-- record: a.json -->
<!-- accuracy -->
| net | accuracy, % |
|---|---:|
| F1, 3 epochs | 89.78 ± 0.21 |

Words between.

| net | ratio |
|---|---|
| p 4 bits | 1.52 (1.4 before) |
"""


def test_tables_and_their_records_are_found() -> None:
    first, second = tables_of(PAGE, "page.md")
    assert (first.records, second.records) == (("a.json",), ())
    assert first.figures == ["89.78", "0.21"]
    assert second.figures == ["1.52", "1.4"]
    assert (first.line, second.line) == (4, 10)


@pytest.mark.parametrize(
    ("written", "is_there"),
    [
        ("89.78", True),
        ("89.8", True),
        ("89.77", False),
        ("21", True),
        ("0.21", True),
        ("1,536", True),
        ("1.536", True),
        ("1.5e3", True),
        ("1.6e3", False),
        ("-0.5", True),
        ("0.5", False),
        ("7", True),
        ("12", True),
    ],
)
def test_a_figure_is_looked_up_at_its_precision(written: str, is_there: bool) -> None:
    values = {"mean": 89.7834, "share": 0.2102, "bytes": 1536, "list": [-0.5, None, True]}
    record = Record(numbers_in([values, {"seed 7": "12 bits"}]))
    assert record.has(written) is is_there
