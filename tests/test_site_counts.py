"""docs/sites.md holds the kept counts of candidates, and they add up."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
KEPT = json.loads((ROOT / "benchmarks/records/real_sites.json").read_text("utf-8"))["results"]
NETWORKS = {"efficientnet_lite0", "opennsfw", "craft", "magika", "basic_pitch", "mlsd_tiny",
            "mlsd_large", "blazeface"}  # fmt: skip


@pytest.fixture(scope="module")
def script() -> ModuleType:
    folder = ROOT / "benchmarks"
    spec = importlib.util.spec_from_file_location("real_sites", folder / "real_sites.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


@pytest.mark.parametrize("name", KEPT)
def test_found_left_out_and_other_folds_are_all_candidates(name: str) -> None:
    row = KEPT[name]
    assert row["found"] + row["left_out"] + row["other_folds"] == row["candidates"] > 0
    assert sum(row["reasons"].values()) == row["left_out"]
    assert row["differences"] == []


def test_all_real_networks_are_counted() -> None:
    assert set(KEPT) >= NETWORKS


def test_the_page_holds_what_was_counted(script: ModuleType) -> None:
    page = script.PAGE.read_text("utf-8")
    assert script.fill(page, KEPT) == page, "run python benchmarks/real_sites.py --page"


def test_a_page_without_its_mark_is_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="lacks <!-- record"):
        script.fill("no mark", KEPT)


def test_a_shipped_model_is_counted_anew(script: ModuleType) -> None:
    row = script.counted([ROOT / "models" / "fashion_resnet8.onnx"])
    assert row["candidates"] == row["found"] == row["sites"] == 7
    assert row["differences"] == []
