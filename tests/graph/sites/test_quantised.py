"""Quantised models: the switch stays a site where the quantiser drops the Relu."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from reluflow.graph import find_sites, load, tap

RNG = np.random.default_rng(3)
DATA = [RNG.standard_normal((2, 3, 8, 8)).astype(np.float32) for _ in range(4)]


def small_cnn():
    """Conv, Relu, Conv with a residual Add, Relu, a linear head."""

    def weight(name, *shape):
        return numpy_helper.from_array(RNG.standard_normal(shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c2", "r1"], ["s"], "sum"),
        helper.make_node("Relu", ["s"], ["r2"], "relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w3"], ["y"], "head"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [
            weight("w1", 5, 3, 3, 3),
            weight("b1", 5),
            weight("w2", 5, 5, 3, 3),
            weight("b2", 5),
            weight("w3", 5, 2),
        ],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


class Reader(CalibrationDataReader):
    def __init__(self):
        self.batches = iter(DATA)

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"x": batch}


@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8])
def test_quantise_static(tmp_path, check_tap, kind):
    target = tmp_path / "q.onnx"
    quantize_static(
        small_cnn(), target, Reader(), QuantFormat.QDQ, activation_type=kind, weight_type=kind
    )
    model = load(target)
    sites = find_sites(model)
    assert [(s.op, s.unit_axis, s.units) for s in sites] == [("QuantizeLinear", 1, 5)] * 2
    result = tap(model, sites)
    out = check_tap(model, result, {"x": DATA[0]})
    first = out[result.done[0].output]
    assert first.shape == (2, 5, 8, 8) and (first < 0).any() and (first > 0).any()


ZERO_POINTS = [
    ("uint8", 0, True),
    ("int8", -128, True),
    ("uint16", 0, True),
    ("int16", -32768, True),
    ("uint8", 128, False),
    ("int8", 0, False),
]


@pytest.mark.parametrize(("kind", "zero", "switch"), ZERO_POINTS)
def test_zero_point_decides(text_model, kind, zero, switch):
    text = (
        "g (float[N,4] x, float[4,4] w) => (float[N,4] y) "
        f"<float s = {{0.5}}, {kind} z = {{{zero}}}>"
        " { a = MatMul(x, w) q = QuantizeLinear(a, s, z) y = DequantizeLinear(q, s, z) }"
    )
    sites = find_sites(text_model(text, opset=21, ir=10))
    expected = [("QuantizeLinear", "a", 0.0, -1, 4)] if switch else []
    assert [(s.op, s.tensor, s.threshold, s.unit_axis, s.units) for s in sites] == expected


def test_missing_zero_point_is_zero_of_uint8(text_model):
    text = (
        "g (float[N,4] x, float[4,4] w) => (uint8[N,4] y) <float s = {0.5}>"
        " { a = MatMul(x, w) y = QuantizeLinear(a, s) }"
    )
    assert [site.op for site in find_sites(text_model(text))] == ["QuantizeLinear"]


@pytest.mark.parametrize(
    "body",
    [
        "q = QuantizeLinear(x, s, z)",
        "a = Relu(x) b = Relu(x) c = Add(a, b) q = QuantizeLinear(c, s, z)",
        "a = Sigmoid(x) q = QuantizeLinear(a, s, z)",
    ],
)
def test_values_that_cannot_be_negative_are_not_cut_off(text_model, body):
    text = (
        "g (float[N,4] x) => (float[N,4] y) <float s = {0.5}, uint8 z = {0}>"
        f" {{ {body} y = DequantizeLinear(q, s, z) }}"
    )
    assert "QuantizeLinear" not in [site.op for site in find_sites(text_model(text))]


def test_kept_relu_is_the_only_site(text_model):
    text = (
        "g (float[N,4] x, float[4,4] w) => (float[N,4] y) <float s = {0.5}, uint8 z = {0}>"
        " { a = MatMul(x, w) q = QuantizeLinear(a, s, z) d = DequantizeLinear(q, s, z)"
        " y = Relu(d) }"
    )
    assert [(site.op, site.tensor) for site in find_sites(text_model(text))] == [("Relu", "d")]


def test_quantised_operator_hides_its_pre_activation(text_model):
    text = (
        "g (uint8[1,3,8,8] x, uint8[5,3,3,3] w) => (uint8[1,5,6,6] y)"
        " <float s = {0.5}, uint8 z = {0}> { y = QLinearConv(x, s, z, w, s, z, s, z) }"
    )
    (site,) = find_sites(text_model(text))
    assert (site.op, site.unit_axis, site.units) == ("QLinearConv", 1, 5)
    assert "values below zero are cut off inside QLinearConv" in site.untappable
