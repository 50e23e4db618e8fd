"""Slimming on data: exactly what was planted is found, and shipped networks answer the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.parser
import pytest
from rewriting import N, build

import reluflow
from reluflow.analysis import AnalysisOptions
from reluflow.data import open_data
from reluflow.errors import DataError, OutputError
from reluflow.graph import Model, load
from reluflow.slimming.slim import compare_outputs

SHIPPED = Path(__file__).parents[2] / "models"
IMAGES = np.load(SHIPPED / "fashion_mnist_test_2000.npz")["image"]


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def planted() -> Model:
    """Three hidden layers: off, copied and always-on units among 32; one of 24 all on."""
    w = [draw(0, 8, 32), draw(1, 32, 24), draw(2, 24, 16), draw(3, 16, 3)]
    b = [draw(4, 32), np.full(24, 500, np.float32), draw(5, 16)]
    b[0][[3, 17]] = -1e3
    b[0][[5, 9]] = 30
    for unit, into, factor in ((20, 7, 3.0), (30, 7, 0.37), (11, 2, 1.0)):
        w[0][:, unit] = np.float32(factor) * w[0][:, into]
        b[0][unit] = np.float32(factor) * b[0][into]
    w[2][:, 13] = -w[2][:, 4]
    on_average = np.maximum(draw(6, 500, 8) @ w[0] + b[0], 0).mean(axis=0) @ w[1] + b[1]
    b[2] -= (on_average @ w[2]).astype(np.float32)  # so that the last site switches
    nodes, before = [], "x"
    for i in range(3):
        nodes += [N("Gemm", [before, f"w{i}", f"b{i}"], [f"h{i}"], name=f"layer{i}"),
                  N("Relu", [f"h{i}"], [f"r{i}"], name=f"act{i}")]  # fmt: skip
        before = f"r{i}"
    nodes.append(N("Gemm", [before, "w3"], ["y"], name="layer3"))
    tensors = {f"w{i}": each for i, each in enumerate(w)}
    return build(nodes, {**tensors, **{f"b{i}": each for i, each in enumerate(b)}}, ("N", 8))


def test_exactly_what_was_planted_is_found() -> None:
    report = reluflow.slim(planted(), draw(7, 500, 8), check=draw(8, 200, 8))
    first, second, third = report.sites
    assert first.off == first.removed == (3, 17) and first.on == (5, 9)
    assert [pair[:2] for pair in first.merged] == [(11, 2), (20, 7), (30, 7)]
    assert [pair[2] for pair in first.merged] == pytest.approx([1.0, 3.0, 0.37], rel=1e-6)
    assert first.same_pattern == (11, 20, 30) and first.left == 27 and not first.linear
    assert len(second.on) == 24 and second.linear and second.fused == ("layer1", "layer2")
    assert (third.off, third.on, third.merged, third.left) == ((), (), (), 16)
    assert report.on_data.largest_difference <= 1e-4 * report.on_data.largest_output
    assert report.on_check is not None and report.on_check.n_inputs == 200
    parameters = next(each for each in report.savings if each.what == "parameters")
    assert parameters.after == 27 * 9 + 27 * 16 + 16 + 16 * 3


def test_the_difference_on_other_data_is_measured() -> None:
    model, x = planted(), draw(7, 500, 8)
    report = reluflow.slim(model, x[:4], check=x)
    assert report.on_check is not None and report.on_data.largest_difference < 0.1
    assert report.on_check.largest_difference > 100 * report.on_data.largest_difference


@pytest.mark.parametrize(
    ("name", "gone"), [("convnet8", True), ("resnet8", False), ("dsconv", True), ("micro", True)]
)
def test_shipped_networks_answer_the_same(name: str, gone: bool) -> None:
    report = reluflow.slim(SHIPPED / f"fashion_{name}.onnx", IMAGES[:200])
    assert report.on_data.largest_difference < 1e-5 * report.on_data.largest_output
    assert report.on_data.other_answers == 0
    saved = {each.what: (each.before or 0) - (each.after or 0) for each in report.savings}
    assert report.changed == gone and all((number > 0) == gone for number in saved.values())
    assert gone or "Add" in report.refused[0].reason


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    model = SHIPPED / "fashion_convnet8.onnx"
    with pytest.raises(DataError, match="can be read once only"):
        reluflow.slim(model, iter([IMAGES[:4]]))
    with pytest.raises(OutputError, match="would replace"):
        reluflow.slim(model, IMAGES[:4], model)
    out = tmp_path / "slim.onnx"
    made = reluflow.slim(model, IMAGES[:64], out)
    assert reluflow.load(out).n_parameters == made.model.n_parameters


@pytest.mark.parametrize(("other", "difference"), [("Sqrt(x)", np.inf), ("Relu(x)", 0.0)])
def test_nan_in_one_model_alone_is_a_difference(other: str, difference: float) -> None:
    one, two = (
        load(onnx.parser.parse_model(f'''<ir_version: 8, opset_import: ["" : 17]>
            g (float[N,2] x) => (float[N,2] y) {{ y = {body} }}'''))
        for body in ("Relu(x)", other)
    )  # fmt: skip
    data = open_data(np.array([[0, 1], [-1, 0]], np.float32), one.inputs)
    assert compare_outputs(one, two, data, AnalysisOptions()).largest_difference == difference
