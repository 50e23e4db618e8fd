"""Projections of ONNX chains: every link, batch normalisation, skips, and refusals."""

import numpy as np
import onnx.parser
import pytest
from numpy.typing import NDArray

from reluflow.errors import ModelError
from reluflow.folding import extrinsic_projections
from reluflow.graph import Model, load

W1, B1 = np.array([[1.0, 2.0], [-1.0, 1.0]]), np.array([0.5, -1.0])
W2 = np.array([[2.0, 0.0], [1.0, -1.0]])
X = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)


def model(body: str, weights: str = "") -> Model:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2] x) => (float[N,M] y)
    <float[2,2] w1 = {{1,2,-1,1}}, float[2] b1 = {{0.5,-1}}, float[2,2] w2 = {{2,0,1,-1}}{weights}>
    {{ {body} }}"""
    return load(onnx.parser.parse_model(text))


def relu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(x, 0)


def test_each_layer_goes_back_through_all_before_it() -> None:
    found = extrinsic_projections(
        model("h = MatMul(x, w1) a = Add(h, b1) r = Relu(a) z = Gemm(r, w2) y = Relu(z)"), X
    )
    first = relu(X @ W1 + B1)
    second = relu(first @ W2)
    wanted = [
        (first - B1) @ np.linalg.inv(W1),
        (second @ np.linalg.inv(W2) - B1) @ np.linalg.inv(W1),
    ]
    assert [each.site for each in found] == ["r", "y"]
    for each, points in zip(found, wanted, strict=True):
        assert np.allclose(each.points, points, atol=1e-5)


def test_batch_normalisation_is_part_of_the_weights() -> None:
    norm = ", float[2] s = {2,-1}, float[2] o = {1,0}, float[2] m = {0.5,1}, float[2] v = {1,4}"
    body = "h = Gemm(x, w1, b1) n = BatchNormalization<epsilon = 0.0>(h, s, o, m, v) y = Relu(n)"
    [found] = extrinsic_projections(model(body, norm), X)
    factor = np.array([2.0, -0.5])
    w, b = W1 * factor, (B1 - [0.5, 1.0]) * factor + [1.0, 0.0]
    assert np.allclose(found.points, (relu(X @ w + b) - b) @ np.linalg.inv(w), atol=1e-5)


def test_a_skip_adds_the_identity_to_the_weights() -> None:
    body = "h = Gemm<transB = 1, alpha = 0.5>(x, w1) a = Add(x, h) y = Relu(a)"
    [found] = extrinsic_projections(model(body), X)
    w = W1.T / 2 + np.eye(2)
    assert np.allclose(found.points, relu(X @ w) @ np.linalg.inv(w), atol=1e-5)


def test_a_convolution_comes_back_in_the_shape_of_the_image() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,1,2,2] x) => (float[N,1] y)
    <float[1,1,1,1] k = {2}, float[4,1] w = {1,1,1,1}>
    { c = Conv(x, k) s = Add(c, x) r = Relu(s) f = Flatten(r) y = MatMul(f, w) }"""
    x = np.array([[[[1, -1], [2, 0]]]], np.float32)
    first, last = extrinsic_projections(load(onnx.parser.parse_model(text)), x)
    assert first.points.tolist() == [[[[9, 0], [18, 0]]]]  # relu(3 x), times 3 again
    assert last.site == "" and last.points.tolist() == [[[[6.75, 6.75], [6.75, 6.75]]]]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("h = Gemm(x, w1) y = Sigmoid(h)", r"node 'y' \(Sigmoid\) is no link"),
        ("h = Relu(x) y = Gemm(h, w1)", r"node 'h' \(Relu\) is no link"),
        ("h = Gemm(x, w1) g = Gemm(x, w2) y = Add(h, g)", r"node 'g' \(Gemm\) is no link"),
        ("y = Flatten(x)", "the model has no Gemm, MatMul or Conv"),
        ("h = Gemm(x, w3) y = Add(h, x)", "adds the input of 'h' to its output"),
    ],
)
def test_what_is_no_chain_is_named(body: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        extrinsic_projections(model(body, ", float[2,1] w3 = {1,1}"), X)


def test_a_model_of_two_inputs_is_refused() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2] x, float[N,2] z) => (float[N,2] y) { y = Add(x, z) }"""
    with pytest.raises(ModelError, match="the model has 2 inputs; a projection back needs exactly"):
        extrinsic_projections(load(onnx.parser.parse_model(text)), X)
