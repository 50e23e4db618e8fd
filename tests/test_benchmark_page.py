"""docs/benchmarks.md holds what the kept records say, and the command that made each."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def report() -> ModuleType:
    path = ROOT / "benchmarks" / "records" / "report.py"
    spec = importlib.util.spec_from_file_location("report", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_records_give(report: ModuleType) -> None:
    page = report.PAGE.read_text("utf-8")
    assert report.fill(page) == page, "run python benchmarks/records/report.py"


def test_every_table_of_the_page_stands_between_marks(report: ModuleType) -> None:
    page = report.PAGE.read_text("utf-8")
    outside = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", page, flags=re.S)
    assert "|" not in outside


def test_a_page_without_its_mark_is_refused(report: ModuleType) -> None:
    with pytest.raises(ValueError, match="has the marks of hashing 0 times"):
        report.fill("no marks")


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "records").glob("*.json")))
def test_a_record_names_its_command_and_machine(path: Path) -> None:
    kept = json.loads(path.read_text("utf-8"))
    pattern = r"(?:PYTHONPATH=benchmarks )?python ((?:benchmarks|tests)/[\w/]+\.py)\b"
    script = re.match(pattern, kept["command"])
    assert script is not None and (ROOT / script[1]).is_file()
    assert "cores" in kept["machine"] and kept["results"]
