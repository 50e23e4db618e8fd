"""Converted operators in the bodies of If, Loop and Scan: calibrated, proven, evaluated."""

from __future__ import annotations

import io

import numpy as np
import pytest
from body_models import MODELS, branches, feeds, model_of
from rich.console import Console

from reluflow.data import open_data
from reluflow.evaluation import (
    EvaluationOptions,
    calibrate,
    convert,
    describe_psb,
    evaluate,
    measure_saturation,
)
from reluflow.graph import Model, PsbOptions, find_psb, to_psb
from reluflow.report.text.psb_terminal import print_psb_description

TWO_KINDS = [name for name in MODELS if name != "Scan"]


def inputs(model: Model) -> np.ndarray:
    return np.concatenate([feeds(model, batch=3, sign=sign)["x"] for sign in (1, -1)])


@pytest.mark.parametrize("name", MODELS)
def test_a_conversion_with_bodies_is_proven(name: str) -> None:
    found = convert(MODELS[name]())
    assert found.rewrites.largest == 0
    assert found.operators.holds and not found.operators.reason
    assert found.precision.largest is not None and found.precision.largest > 0


def test_calibration_leaves_out_what_exists_in_a_body_only() -> None:
    model = branches()
    exponents = calibrate(model, open_data(inputs(model), model.inputs))
    assert set(exponents) == {"x", "r"}  # not q, which a branch makes
    psb = to_psb(model, PsbOptions(x_exponents=exponents)).model
    assert [node.x_exponent is None for node in find_psb(psb)] == [False, False, True, False]


@pytest.mark.parametrize("name", MODELS)
def test_what_is_described_names_the_node_around_it(name: str) -> None:
    described = describe_psb(to_psb(MODELS[name]()).model)
    inside = {layer.name: layer.inside for layer in described.layers}
    assert len(inside) == len(described.layers)
    wanted = {"If": "choose", "Loop": "repeat", "Scan": "walk", "If in a Loop": "s2"}[name]
    assert set(inside.values()) - {""} == {wanted}


def test_the_table_of_a_model_says_what_stands_in_subgraphs() -> None:
    text = io.StringIO()
    print_psb_description(describe_psb(to_psb(branches()).model), Console(file=text, width=120))
    assert "inner, last, inner_2: in subgraphs (If, Loop, Scan)" in text.getvalue()


@pytest.mark.parametrize("name", TWO_KINDS)
def test_evaluation_runs_bodies_with_and_without_the_library(name: str) -> None:
    model = MODELS[name]()
    psb, data = to_psb(model).model, open_data(inputs(model), model.inputs)
    errors = []
    for native in (True, False):
        options = EvaluationOptions(samples=(1, 16), seeds=2, sensitivity=4, native=native)
        found = evaluate(psb, data, float_model=model, options=options)
        errors.append([point.outputs[0].sqnr_db or 0.0 for point in found.points])
        assert {row.name for row in found.sensitivity} == {node.name for node in find_psb(psb)}
        assert [layer.saturated for layer in found.saturation] == [0] * len(find_psb(psb))
    assert np.allclose(errors[0], errors[1], rtol=1e-3)
    assert errors[0][0] < errors[0][1]


def test_what_saturates_in_a_branch_is_counted_where_it_runs() -> None:
    model = branches()
    psb = to_psb(model, PsbOptions(x_exponents={"r": 20})).model
    given = open_data(inputs(model), model.inputs)
    rows = {row.name: row for row in measure_saturation(psb, given, size=3, native=False)}
    assert rows["inner"].activations == rows["inner_2"].activations == 3 * 8
    assert rows["inner"].saturated > 0 and rows["inner_2"].saturated > 0


def test_what_falls_below_the_step_in_a_body_is_explained() -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(6, 8)).astype(np.float32)
    wide[:, 0] *= 1e6  # one loud channel sets the step of all others
    quiet = rng.normal(size=(8, 5)).astype(np.float32)
    quiet[0] = 0
    model = model_of(
        """ g (float[N,6] x) => (float[N,5] y) <bool go = {1}> {
          y = If (go) < then_branch = t () => (float[N,5] a) { h = MatMul(x, w)
                          [deep] a = MatMul(h, v) },
                        else_branch = e () => (float[N,5] b) { b = MatMul(x, u) } > }""",
        w=wide,
        v=quiet,
        u=wide[:, :5],
    )
    psb, data = to_psb(model).model, open_data(inputs(branches()), model.inputs)
    options = EvaluationOptions(samples=(4, 64), seeds=1)
    found = evaluate(psb, data, float_model=model, options=options)
    (sentence,) = [text for text in found.findings if "lie below the step" in text]
    assert "'deep' multiplies" in sentence and "convert with 16 bits" in sentence
