"""Saturated numbers of chains, added up over all inputs and shown beside those of operators."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from reluflow.data import RandomData, open_data
from reluflow.evaluation import (
    EvaluationOptions,
    calibrate,
    evaluate,
    find_formats,
    measure_saturation,
)
from reluflow.graph import Model, PsbOptions, chain_psb, load, to_psb
from reluflow.report.text.psb_terminal import print_evaluation

MODEL = "models/fashion_resnet8.onnx"


@pytest.fixture(scope="module")
def chained() -> Model:
    """The shipped network in bytes whose formats fit quiet inputs."""
    model = load(MODEL)
    quiet = open_data(RandomData(4, seed=1), model.inputs)
    psb = to_psb(model, PsbOptions(x_exponents=calibrate(model, quiet))).model
    formats = find_formats(psb, quiet)
    tight = {
        tensor: form.__class__(form.exponent + 1, form.zero) for tensor, form in formats.items()
    }
    return chain_psb(psb, formats | {"image": tight["image"]}).model


def test_counts_add_up_over_batches(chained: Model) -> None:
    data = open_data(RandomData(12, seed=2), chained.inputs)
    found = [measure_saturation(chained, data, size=size, native=False) for size in (12, 5)]
    assert found[0] == found[1]
    rows = {row.name: row for row in found[0] if row.chained}
    assert rows["image/bytes"].activations == 12 * 28 * 28
    assert 0.01 < rows["image/bytes"].share < 0.9
    assert {row.x_bits for row in rows.values()} == {8}
    assert {"/conv/Conv", "/block3/conv1/Conv"} < set(rows)


def test_the_table_of_an_evaluation_shows_them(chained: Model) -> None:
    data = open_data(RandomData(12, seed=2), chained.inputs)
    options = EvaluationOptions(samples=(4,), seeds=1)
    result = evaluate(chained, data, float_model=load(MODEL), options=options)
    text = io.StringIO()
    print_evaluation(result, Console(file=text, width=120))
    line = next(line for line in text.getvalue().splitlines() if "image/bytes" in line)
    row = next(row for row in result.saturation if row.name == "image/bytes")
    assert f"{row.saturated:,}" in line and "9,408" in line
