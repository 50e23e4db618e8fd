"""docs/sites.md holds the kept counts of candidates, and they add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import real_sites

ROOT = Path(__file__).parents[1]
KEPT = json.loads((ROOT / "benchmarks/records/real_sites.json").read_text("utf-8"))["results"]
NETWORKS = {"efficientnet_lite0", "opennsfw", "craft", "magika", "basic_pitch", "mlsd_tiny",
            "mlsd_large", "blazeface"}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_found_left_out_and_other_folds_are_all_candidates(name: str) -> None:
    row = KEPT[name]
    assert row["found"] + row["left_out"] + row["other_folds"] == row["candidates"] > 0
    assert sum(row["reasons"].values()) == row["left_out"]
    assert row["differences"] == []


def test_all_real_networks_are_counted() -> None:
    assert set(KEPT) >= NETWORKS


def test_the_page_holds_what_was_counted() -> None:
    page = real_sites.PAGE.read_text("utf-8")
    assert real_sites.fill(page, KEPT) == page, "run python benchmarks/real_sites.py --page"


def test_a_page_without_its_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks <!-- record"):
        real_sites.fill("no mark", KEPT)


def test_a_shipped_model_is_counted_anew() -> None:
    row = real_sites.counted([ROOT / "models" / "fashion_resnet8.onnx"])
    assert row["candidates"] == row["found"] == row["sites"] == 7
    assert row["differences"] == []
