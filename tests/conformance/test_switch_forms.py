"""Every row of the table of forms, through the site finder and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from switch_forms import CONSTANTS, FOLD, FORMS, NONE, SWITCH, VECTORS, Form

from reluflow.graph import load, survey_sites, tap


def rows(*kinds: str) -> list[Any]:
    """Return the rows of these kinds, or all."""
    return [pytest.param(f, id=f.name) for f in FORMS if not kinds or f.kind in kinds]


ROWS = rows()


def model_of(form: Form) -> onnx.ModelProto:
    constants = [f"float {name} = {{{value}}}" for name, value in CONSTANTS.items()]
    constants += [
        f"float[4] {name} = {{{', '.join(map(str, values))}}}" for name, values in VECTORS.items()
    ]
    held = ", ".join(constants)
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {form.opset}]> '
        f"g (float[N,4] x) => (float[N,4] y) <{held}> {{ {form.onnx} }}"
    )


def inputs() -> np.ndarray:
    x = np.random.default_rng(5).standard_normal((64, 4)).astype(np.float32) * 3
    x[0], x[1] = 0, [0.5, 1.0, -3.0, 6.0]
    return x


def run(model: bytes, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("form", ROWS)
def test_a_switch_is_one_site_and_shows_the_right_bits(form: Form) -> None:
    model = load(model_of(form))
    survey = survey_sites(model, smooth=True)
    assert len(survey.sites) == (form.kind == SWITCH), survey
    if form.kind != SWITCH:
        return
    (site,) = survey.sites
    assert site.threshold == pytest.approx(form.threshold, abs=1e-6)
    (found,) = tap(model, survey.sites).done
    x = inputs()
    value = run(tap(model, survey.sites).model.serialize(), {"x": x})[found.output]
    np.testing.assert_array_equal(value > np.float32(site.threshold), x > form.threshold)


@pytest.mark.parametrize("form", ROWS)
def test_other_folds_are_listed_and_nothing_is_listed_twice(form: Form) -> None:
    survey = survey_sites(load(model_of(form)), smooth=True)
    assert len(survey.folds) == (form.kind == FOLD), survey
    if form.kind == FOLD:
        assert survey.folds[0].tensor == form.of
    listed: list[Any] = [*survey.sites, *survey.folds, *survey.left_out]
    names = [each.name for each in listed]
    assert len(names) == len(set(names))
    assert all(each.reason for each in survey.left_out)


@pytest.mark.parametrize("form", rows(SWITCH))
def test_the_form_bends_at_its_threshold(form: Form) -> None:
    """The table itself is right: left and right of the threshold the slopes differ."""
    step = np.float32(0.01)
    at = np.full((1, 4), form.threshold, np.float32)
    data = model_of(form).SerializeToString()
    points = [at - 2 * step, at - step, at + step, at + 2 * step]
    values = [run(data, {"x": point})["y"] for point in points]
    assert np.abs((values[3] - values[2]) - (values[1] - values[0])).min() > step / 20


@pytest.mark.parametrize("form", rows(NONE))
def test_what_is_no_switch_says_why_where_its_operator_could_be_one(form: Form) -> None:
    survey = survey_sites(load(model_of(form)), smooth=True)
    could = {"LeakyRelu", "PRelu", "Clip", "Max", "Min", "Where"}
    wanted = sorted(n.op_type for n in model_of(form).graph.node if n.op_type in could)
    assert sorted(node.op for node in survey.left_out) == wanted
