"""Sites, nodes left out and other folds together are all candidates of an independent count."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
from networks import light
from networks.candidates import account, candidates

FOLDER = Path(__file__).with_name("files")
SHIPPED = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.onnx")), ids=lambda path: path.stem)
def test_every_exporters_file(path: Path) -> None:
    assert account(path).told == candidates(onnx.load(path))


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.onnx")), ids=lambda path: path.stem)
def test_every_shipped_model(path: Path) -> None:
    assert account(path).told == candidates(onnx.load(path))


@pytest.mark.parametrize("name", sorted(light.paths()))
def test_every_light_model(name: str) -> None:
    path = light.paths()[name]
    assert account(path).told == candidates(onnx.load(path))


def test_the_files_hold_candidates_of_all_kinds() -> None:
    """The test above cannot pass by counting nothing."""
    total = Counter[str]()
    for path in FOLDER.glob("*.onnx"):
        total += candidates(onnx.load(path))
    assert sum(total.values()) > 300
    assert {"Relu", "Clip", "Max", "Min", "Where", "FusedConv", "FusedGemm"} <= set(total)
