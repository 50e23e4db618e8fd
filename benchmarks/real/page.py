"""Puts the tables and the picture of the kept record into docs/psb.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from real.picture import draw
from real.tables import closeness, explained, sizes, speed

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "records" / "real_models.json"
PAGE = ROOT / "docs" / "psb.md"
PICTURE = ROOT / "docs" / "images" / "real_networks.svg"
TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "closeness": closeness,
    "speed": speed,
    "sizes": sizes,
}
"""Mark on the page -> what makes the table of the results."""


def fill(page: str, record: Mapping[str, Any]) -> str:
    """Return the page with its tables rebuilt; the last one is followed by the command.

    Raises:
        ValueError: the page lacks the marks of a table.
    """
    named = f"<!-- record: benchmarks/records/{RECORD.name} -->"
    for mark, table in TABLES.items():
        text = f"<!-- {mark} -->\n{named}\n{table(record['results'])}\n<!-- /{mark} -->"
        page = _replace(page, mark, text)
    forms = explained(record["results"])
    page = _replace(page, "forms", f"<!-- forms -->\n{forms}\n<!-- /forms -->")
    made = f"`{record['command']}`, {record['machine']}"
    retimed = {
        f"`{row['timed_by']['command']}`, {row['timed_by']['machine']}": None
        for row in record["results"]["networks"].values()
        if "timed_by" in row
    }
    made = "; times: ".join([made, *retimed])
    return _replace(page, "made", f"<!-- made -->\n{made}\n<!-- /made -->")


def _replace(page: str, mark: str, text: str) -> str:
    page, times = re.subn(
        rf"<!-- {mark} -->\n.*?<!-- /{mark} -->", lambda _: text, page, flags=re.S
    )
    if times != 1:
        raise ValueError(f"{PAGE} has the marks of {mark} {times} times; it needs them once.")
    return page


def rebuild(path: Path) -> None:
    """Write tables and picture of a record into the documentation."""
    record = json.loads(path.read_text("utf-8"))
    PAGE.write_text(fill(PAGE.read_text("utf-8"), record), "utf-8")
    PICTURE.write_text(draw(record["results"]["networks"]), "utf-8")
