"""A report says what it does not count."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

import reluflow
from reluflow.analysis.run.left_out import left_out_notes
from reluflow.graph import load


def model(body: str):
    return onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 20]> g (float[N,4] x) => (float[N,4] y) '
        f"<float low = {{-1.0}}, float zero = {{0.0}}> {{ {body} }}"
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("r = Relu(x) y = Clip(r, low)", "1 Clip left out"),
        ("r = Relu(x) a = Abs(r) y = Gelu(a)", "1 Gelu left out and 1 Abs only folding at 0"),
        ("r = Relu(x) y = Min(x, zero)", "1 Min only folding at 0"),
    ],
)
def test_what_is_not_counted_is_said_in_the_notes(body: str, told: str) -> None:
    report = reluflow.analyze(model(body).SerializeToString(), np.ones((3, 4), np.float32))
    wanted = f"not counted as switches: {told}; `reluflow inspect` gives the reasons."
    assert wanted in report.notes


@pytest.mark.parametrize("body", ["y = Relu(x)", "r = Relu(x) y = Clip(r, zero)"])
def test_nothing_is_said_where_nothing_is_missing(body: str) -> None:
    assert left_out_notes(load(model(body)), smooth=False) == []


def test_smooth_relatives_are_not_missing_where_they_are_counted() -> None:
    loaded = load(model("r = Relu(x) y = Gelu(r)"))
    assert left_out_notes(loaded, smooth=True) == []
    assert len(left_out_notes(loaded, smooth=False)) == 1
