"""Taps in the main graph: values, types, names; the original outputs stay bit for bit."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow.errors import ModelError, OptionError
from reluflow.graph import find_sites, load, tap

X = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)


def tapped(model, smooth=False):
    return tap(model, find_sites(model, smooth=smooth))


def test_tap_shows_the_pre_activation(text_model, check_tap):
    text = (
        "g (float[N,4] x, float[4] b) => (float[N,4] y) "
        "{ a = Add(x, b) r = Relu(a) y = ThresholdedRelu <alpha = 0.5> (r) }"
    )
    model = text_model(text)
    result = tapped(model)
    bias = np.array([1, -1, 0, 0.5], np.float32)
    out = check_tap(model, result, {"x": X, "b": bias})
    assert [t.output for t in result.done] == ["a", "r"]
    assert result.refused == ()
    np.testing.assert_array_equal(out["a"], X + bias)
    np.testing.assert_array_equal(out["r"], np.maximum(X + bias, 0))


def test_shapes_of_new_outputs_are_declared(text_model):
    text = "g (float[N,4] x) => (float[N,4] y) { a = Neg(x) y = Relu(a) }"
    value = tapped(text_model(text)).model._proto.graph.output[1]
    assert [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] == ["N", 4]


def test_graph_input_gets_an_identity(text_model, check_tap):
    model = text_model("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    result = tapped(model)
    out = check_tap(model, result, {"x": X})
    assert result.done[0].output == "x/pre_activation"
    np.testing.assert_array_equal(out["x/pre_activation"], X)


def test_initializer_gets_an_identity(text_model, check_tap):
    text = (
        "g (float[N,2] x) => (float[N,2] y) <float[1,2] w = {1.0, -1.0}> "
        "{ r = Relu(w) y = Add(x, r) }"
    )
    model = text_model(text)
    result = tapped(model)
    out = check_tap(model, result, {"x": X[:, :2]})
    np.testing.assert_array_equal(out[result.done[0].output], [[1, -1]])


def test_existing_output_is_reused(text_model, check_tap):
    text = "g (float[N,4] x) => (float[N,4] a, float[N,4] y) { a = Neg(x) y = Relu(a) }"
    model = text_model(text)
    result = tapped(model)
    check_tap(model, result, {"x": X})
    assert result.model.outputs == ("a", "y")
    assert result.done[0].output == "a"


def test_two_sites_on_one_tensor_share_the_tap(text_model, check_tap):
    text = (
        "g (float[N,4] x) => (float[N,4] y) "
        "{ a = Neg(x) r = Relu(a) l = LeakyRelu(a) y = Add(r, l) }"
    )
    model = text_model(text)
    result = tapped(model)
    check_tap(model, result, {"x": X})
    assert [t.output for t in result.done] == ["a", "a"]
    assert result.model.outputs == ("y", "a")


def test_taken_names_are_avoided(text_model, check_tap):
    text = "g (float[N,4] x) => (float[N,4] y) { n = Neg(x) q = Relu(x) y = Add(n, q) }"
    proto = text_model(text)._proto
    proto.graph.node[0].output[0] = proto.graph.node[2].input[0] = "x/pre_activation"
    model = load(proto)
    result = tapped(model)
    check_tap(model, result, {"x": X})
    assert result.done[0].output == "x/pre_activation_2"


@pytest.mark.parametrize(
    ("kind", "dtype", "delivered"),
    [
        ("float16", np.float16, np.float32),
        ("double", np.float64, np.float64),
        ("int8", np.int8, np.float32),
        ("int32", np.int32, np.float64),
        ("int64", np.int64, np.float64),
    ],
)
def test_types(text_model, run, kind, dtype, delivered):
    switch = "Max(a, z)" if kind == "int64" else "Relu(a)"  # what ONNX Runtime has kernels for
    text = (
        f"g ({kind}[N,4] x) => ({kind}[N,4] y) <{kind} z = {{0}}> {{ a = Add(x, x) y = {switch} }}"
    )
    model = text_model(text)
    result = tapped(model)
    onnx.checker.check_model(result.model._proto)
    x = np.array([[1, -1, 0, 3]], dtype)
    if dtype is np.int8:  # no Relu or Add kernel of this type on a processor: structure only
        assert result.model._proto.graph.node[-1].op_type == "Cast"
        return
    before, after = run(model, {"x": x}), run(result.model, {"x": x})
    assert before["y"].tobytes() == after["y"].tobytes()
    assert after[result.done[0].output].dtype == delivered
    np.testing.assert_array_equal(after[result.done[0].output], 2 * x.astype(delivered))


def test_int64_comparison_with_the_threshold_stays_exact(text_model, check_tap):
    model = text_model("g (int64[N,4] x) => (int64[N,4] y) <int64 z = {0}> { y = Max(x, z) }")
    x = np.array([[2**62 + 1, -(2**62) - 1, 1, -1]], np.int64)
    result = tapped(model)
    out = check_tap(model, result, {"x": x})
    np.testing.assert_array_equal(out[result.done[0].output] > 0, x > 0)


def test_bfloat16_is_cast_to_float32():
    node = [helper.make_node("Neg", ["w"], ["n"]), helper.make_node("Relu", ["n"], ["y"])]
    weights = numpy_helper.from_array(np.ones((2, 4), ml_dtypes.bfloat16), "w")
    graph = helper.make_graph(
        [*node, helper.make_node("Cast", ["x"], ["z"], to=TensorProto.BFLOAT16)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.BFLOAT16, [2, 4])],
        [weights],
    )
    opsets = [helper.make_opsetid("", 17)]
    result = tapped(load(helper.make_model(graph, opset_imports=opsets, ir_version=8)))
    onnx.checker.check_model(result.model._proto)
    assert result.model._proto.graph.output[-1].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize(
    ("opset", "ir"), [(7, 3), (9, 4), (11, 6), (13, 7), (17, 8), (21, 10), (25, 12)]
)
def test_opset_and_ir_version_stay(text_model, check_tap, opset, ir):
    text = "g (float[N,4] x) => (float[N,4] y) { a = Neg(x) b = Relu(a) c = Relu(x) y = Mul(b, c) }"
    model = text_model(text, opset=opset, ir=ir)
    result = tapped(model)
    check_tap(model, result, {"x": X})
    assert len(result.done) == 2


def test_opset_5_casts_by_name(text_model):
    model = text_model(
        "g (float16[N,4] x) => (float16[N,4] y) { y = Relu <consumed_inputs = [0]> (x) }",
        opset=5,
        ir=3,
    )
    proto = tapped(model).model._proto
    onnx.checker.check_model(proto)
    assert helper.get_attribute_value(proto.graph.node[-1].attribute[0]) == b"FLOAT"


def test_model_without_switch(text_model):
    model = text_model("g (float[N,4] x) => (float[N,4] y) { y = Neg(x) }")
    assert find_sites(model) == ()
    result = tap(model, ())
    assert result.done == () and result.model.outputs == ("y",)


def test_original_is_not_changed(text_model):
    model = text_model("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    before = model.serialize()
    tapped(model)
    assert model.serialize() == before


def test_untappable_site_is_refused_with_its_reason(text_model):
    model = text_model("g (float x) => (float y) { y = Relu(x) }")
    result = tapped(model)
    assert result.done == ()
    assert "no axis of units" in result.refused[0].reason


def test_site_marked_untappable_by_the_caller_is_refused(text_model):
    model = text_model("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    (site,) = find_sites(model)
    result = tap(model, [dataclasses.replace(site, untappable="not wanted")])
    assert result.done == () and result.refused[0].reason == "not wanted"


def test_foreign_site_is_refused(text_model):
    model = text_model("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    other = text_model("g (float[N,4] z) => (float[N,4] y) { y = Relu(z) }")
    with pytest.raises(OptionError, match="site 'y' on tensor 'z' is not a site of this model"):
        tap(model, find_sites(other))


def test_model_without_inputs_is_refused(text_model):
    model = text_model("g () => (float[1,2] y) <float[1,2] w = {1.0, 2.0}> { y = Relu(w) }")
    with pytest.raises(ModelError, match="the model has no inputs"):
        tapped(model)


def test_string_input_is_refused(text_model):
    text = (
        "g (float[N,4] x, string[N] s) => (float[N,4] y, string[N] t) "
        "{ y = Relu(x) t = Identity(s) }"
    )
    model = text_model(text)
    assert model.inputs[1].dtype == object
    with pytest.raises(ModelError, match="input 's' is no tensor of numbers"):
        tapped(model)


def test_quantised_leaky_relu_compares_with_the_zero_point(text_model, check_tap):
    text = (
        "g (uint8[N,4] x) => (uint8[N,4] y) <float s = {0.5}, uint8 z = {7}> "
        "{ y = com.microsoft.QLinearLeakyRelu <alpha = 0.1> (x, s, z, s, z) }"
    )
    model = text_model(text, extra=', "com.microsoft" : 1')
    (site,) = find_sites(model)
    assert (site.op, site.threshold) == ("QLinearLeakyRelu", 7)
    result = tapped(model)
    x = np.array([[0, 7, 8, 255]], np.uint8)
    out = check_tap(model, result, {"x": x})
    np.testing.assert_array_equal(out[result.done[0].output] > 7, x > 7)


def test_a_tap_behind_a_plain_relu_shows_its_result_and_the_same_bits():
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,4] x) => (float[N,4] y) {
            a = Relu(x) b = LeakyRelu(a) c = Add(b, x) y = Relu(c) }"""
    )
    model = load(proto)
    result = tap(model, find_sites(model), behind=True)
    assert [(t.site.op, t.output, t.behind) for t in result.done] == [
        ("Relu", "a", True),
        ("LeakyRelu", "a", False),
        ("Relu", "y", True),
    ]
    assert result.model.outputs == ("y", "a")


def test_a_float16_relu_is_never_looked_at_from_behind():
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float16[N,4] x) => (float16[N,4] y) { y = Relu(x) }"""
    )
    model = load(proto)
    (only,) = tap(model, find_sites(model), behind=True).done
    assert not only.behind
