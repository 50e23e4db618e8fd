"""Converted models whose number of samples and seed every run has to give."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from evaluation_models import Case, loud_channel, one_value, scikit_mlp

import reluflow
from reluflow.cli import main
from reluflow.errors import DataError, ModelError
from reluflow.evaluation import EvaluationOptions, compare_models
from reluflow.graph import (
    Model,
    PsbOptions,
    load,
    to_psb,
    with_input_defaults,
    without_input_defaults,
)
from reluflow.sessions import open_session

CASES = {"one value": one_value(), "classes": scikit_mlp(True), "maps": loud_channel(1.0)}


def converted(case: Case, **options: Any) -> Model:
    return to_psb(load(case.proto), PsbOptions(**options)).model


def number(value: int) -> np.ndarray:
    return np.array(value, np.int64)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("library", [False, None])
def test_both_inputs_are_required_and_mean_the_same(name: str, library: bool | None) -> None:
    case = CASES[name]
    usual, strict = converted(case), converted(case, input_defaults=False)
    assert [spec.name for spec in strict.inputs] == ["x", "samples", "seed"]
    assert [str(spec) for spec in strict.inputs[1:]] == ["int64 []", "int64 []"]
    with_defaults, session = (open_session(m, library=library) for m in (usual, strict))
    for n in (0, 4):
        feeds = {"x": case.x[:20], "samples": number(n), "seed": number(3)}
        wanted, found = with_defaults.run(feeds), session.run(feeds)
        for a, b in zip(wanted, found, strict=True):  # ZipMap gives a list of maps
            assert a == b if isinstance(a, list) else np.array_equal(a, b)
    with pytest.raises(DataError, match="samples"):
        session.run({"x": case.x[:20], "seed": number(3)})


def test_onnx_runtime_itself_wants_them(tmp_path: Path) -> None:
    case = CASES["one value"]
    out = tmp_path / "p.onnx"
    reluflow.convert(case.proto, out, options=PsbOptions(input_defaults=False))
    onnx.checker.check_model(str(out), full_check=True)
    session = ort.InferenceSession(str(out))
    assert {each.name for each in session.get_inputs()} == {"x", "samples", "seed"}
    assert not session.get_overridable_initializers()
    with pytest.raises(ValueError, match=r"Required inputs \(\['samples', 'seed'\]\) are missing"):
        session.run(None, {"x": case.x})


@pytest.mark.parametrize("name", CASES)
def test_defaults_can_be_taken_and_given_back(name: str) -> None:
    usual = converted(CASES[name])
    back = with_input_defaults(without_input_defaults(usual).model).model
    assert [spec.name for spec in back.inputs] == ["x"]
    assert compare_models(usual, back).largest == 0
    assert with_input_defaults(usual).model is usual
    plain = load(CASES[name].proto)
    assert with_input_defaults(plain).model is plain
    with pytest.raises(ModelError, match=r"the model has no PSB operator; convert it"):
        without_input_defaults(plain)


def test_names_that_the_model_has_already_stay_its_own() -> None:
    proto = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2] samples) => (float[N,2] y) <float[2,2] w = {1,2,3,4}, float[2] seed = {1,2}>
        { h = MatMul(samples, w) y = Add(h, seed) }""")
    strict = to_psb(load(proto), PsbOptions(input_defaults=False)).model
    assert [spec.name for spec in strict.inputs] == ["samples", "samples_2", "seed_2"]


@pytest.mark.parametrize("native", [False, None])
def test_such_a_model_is_evaluated_as_any_other(native: bool | None) -> None:
    case = CASES["classes"]
    options = EvaluationOptions(samples=(4,), seeds=2, native=native, threads=1)
    usual, strict = (
        reluflow.evaluate(
            converted(case, input_defaults=given),
            case.x,
            case.labels,
            float_model=case.proto,
            options=options,
        )
        for given in (True, False)
    )
    assert usual.to_dict() == strict.to_dict()


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES["one value"]
    onnx.save(case.proto, tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", x=case.x, label=case.labels)
    model, out = str(tmp_path / "m.onnx"), str(tmp_path / "p.onnx")
    assert main(["psb", "convert", model, "-o", out, "--no-input-defaults"]) == 0
    assert capsys.readouterr().out.count("largest difference") == 3
    assert [spec.name for spec in load(out).inputs] == ["x", "samples", "seed"]
    data = ["--data", str(tmp_path / "d.npz"), "--float", model]
    assert main(["psb", "eval", out, *data, "--samples", "4", "--seeds", "1"]) == 0
    assert "SQNR" in capsys.readouterr().out
    assert main(["psb", "inspect", out]) == 0
