"""Fold, raise and convert keep what every exporter's file and every shipped model computes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from reluflow.evaluation import convert, proven
from reluflow.graph import load, upgrade

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / "tests" / "conformance" / "files").glob("*.onnx")),
    *sorted((ROOT / "models").glob("*.onnx")),
]
RECORD = ROOT / "benchmarks" / "records" / "equivalence.json"
OPERATORS = 0.02
"""Largest relative change of an output of these small networks by an operator of 16 bits."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_computes_the_same_after_each_rewrite(path: Path) -> None:
    model = load(path)
    raised = proven("raising", model, upgrade(model).model)
    done = convert(model)
    for found in (raised, done.rewrites) if done.result.done.converted else (raised,):
        assert found.holds and not found.reason
        assert found.relative is not None and found.relative < 1e-5
    if done.result.done.converted:
        assert done.operators.relative is not None and done.operators.relative < OPERATORS
        assert done.precision.outputs


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import equivalence

    yield equivalence
    sys.modules.pop("equivalence")


def test_the_page_is_made_from_the_record(benchmark) -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))["results"]
    page = (ROOT / "docs" / "equivalence.md").read_text(encoding="utf-8")
    assert page == benchmark.table(record)
    assert {row["name"] for row in record["networks"]} >= {path.stem for path in FILES}


def test_all_comparisons_of_the_record_hold() -> None:
    for row in json.loads(RECORD.read_text(encoding="utf-8"))["results"]["networks"]:
        for step in ("fold", "raise", "convert", "operators"):
            assert row[step]["holds"], (row["name"], step)
            assert row[step]["reason"] in ("", "nothing was converted"), (row["name"], step)
