"""In 80 columns no number of the tables of attention is cut off."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from rich.console import Console

from reluflow.attention import (
    AttentionOptions,
    RegionOptions,
    attend_picture,
    measure_attention,
)
from reluflow.data import open_data, read_labels
from reluflow.graph import load, to_psb
from reluflow.report import print_attended, print_attention

SHIPPED = Path(__file__).parents[3] / "models"
DATA = SHIPPED / "fashion_mnist_test_2000.npz"
PSB = to_psb(load(SHIPPED / "fashion_dsconv.onnx")).model


def test_pairs_of_samples() -> None:
    images, labels = open_data(str(DATA), PSB.inputs[:1], limit=10), read_labels(DATA, limit=10)
    found = measure_attention(PSB, images, labels, options=AttentionOptions((1,), (16,)))
    text = io.StringIO()
    print_attention(found, Console(file=text, width=80))
    assert "…" not in text.getvalue() and "psb 1/16" in text.getvalue()


def test_one_picture() -> None:
    image = {"image": np.load(DATA)["image"][7:8]}
    found = attend_picture(PSB, image, (1, 16), RegionOptions(halo=1), threads=1)
    text = io.StringIO()
    print_attended(found, Console(file=text, width=80))
    said = text.getvalue()
    rows = [line for line in said.splitlines() if line.startswith("│")]
    assert rows and not any("…" in cell for row in rows for cell in row.split("│")[2:])
    assert "a halo of 1 pixel around" in said
