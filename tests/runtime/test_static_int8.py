"""ONNX Runtime's int8 of a model: it runs, it is smaller, and what it cannot do is one sentence."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from reluflow.errors import ModelError
from reluflow.graph import fold_batchnorm, load
from reluflow.sessions import open_session, static_int8

MODELS = Path(__file__).parents[2] / "models"


def test_int8_answers_nearly_as_the_float_model() -> None:
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:128]
    model = fold_batchnorm(load(MODELS / "fashion_resnet8.onnx")).model
    small = static_int8(model, [{"image": images[:64]}, {"image": images[64:]}])
    assert small.size_bytes < 0.4 * model.size_bytes
    before, after = (
        open_session(m, threads=1).run({"image": images})[0].argmax(1) for m in (model, small)
    )
    assert np.mean(before == after) > 0.97


@pytest.mark.parametrize("per_channel", [True, False])
def test_activations_are_unsigned_and_weights_signed(per_channel: bool) -> None:
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:16]
    model = fold_batchnorm(load(MODELS / "fashion_resnet8.onnx")).model
    proto = onnx.load_from_string(
        static_int8(model, [{"image": images}], per_channel=per_channel).serialize()
    )
    held = {each.name: each for each in proto.graph.initializer}
    quantize = [node for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    assert quantize
    assert {held[node.input[2]].data_type for node in quantize} == {onnx.TensorProto.UINT8}
    convs = [node for node in proto.graph.node if node.op_type == "Conv"]
    producers = {node.output[0]: node for node in proto.graph.node}
    for conv in convs:
        weights, scale = producers[conv.input[1]].input[:2]
        assert held[weights].data_type == onnx.TensorProto.INT8
        channels = held[weights].dims[0]
        assert list(held[scale].dims) == ([channels] if per_channel else [])


def test_a_model_of_an_old_version_that_lists_weights_as_inputs_is_quantised() -> None:
    text = """<ir_version: 3, opset_import: ["" : 9]>
        g (float[N,2] x, float[2,2] w) => (float[N,2] y) <float[2,2] w = {1, 2, -3, 4}>
        { h = MatMul(x, w) y = Relu(h) }"""
    model = load(onnx.parser.parse_model(text))
    x = np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)
    small = static_int8(model, [{"x": x}])
    assert [spec.name for spec in small.inputs] == ["x"]
    before, after = (open_session(m, threads=1).run({"x": x})[0] for m in (model, small))
    np.testing.assert_allclose(after, before, atol=0.15)


def test_without_data_it_is_refused() -> None:
    model = load(MODELS / "fashion_resnet8.onnx")
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot quantise the model to int8"):
        static_int8(model, [])


def test_only_the_named_operators_are_quantised() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1, 2, -3, 4}, float[2] b = {1, 2}>
        { h = MatMul(x, w) i = Sigmoid(h) j = Mul(i, b) y = Sigmoid(j) }"""
    model = load(onnx.parser.parse_model(text))
    data = [{"x": np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)}]
    everything, products = static_int8(model, data), static_int8(model, data, operators=["MatMul"])
    quantised = [
        sum(node.op_type == "QuantizeLinear" for node in each._proto.graph.node)
        for each in (everything, products)
    ]
    assert quantised[0] > quantised[1] > 0


def test_nothing_is_left_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sympy")  # without it nothing is inferred symbolically
    # N and M may differ, which ends the symbolic inference of shapes.
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2] x, float[M,2] z) => (float[K,2] y) <float[2,2] w = {1, 2, -3, 4}>
        { s = Add(x, z) h = MatMul(s, w) y = Relu(h) }"""
    x = np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)
    monkeypatch.chdir(tmp_path)
    small = static_int8(load(onnx.parser.parse_model(text)), [{"x": x, "z": x}])
    assert small.n_nodes > 3
    assert Path.cwd() == tmp_path and list(tmp_path.iterdir()) == []
