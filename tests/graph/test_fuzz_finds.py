"""The faults found by the mutator of tests/fuzz, each kind in its smallest form."""

from __future__ import annotations

import re

import numpy as np
import pytest
from onnx import helper, numpy_helper, parser, shape_inference

from reluflow.errors import ModelError
from reluflow.graph import (
    find_sites,
    fold_batchnorm,
    fold_pads,
    load,
    read_program,
    switches_apart,
    tap,
    to_psb,
    upgrade,
)
from reluflow.graph.rewrite.conv_attributes import conv_fault
from reluflow.graph.view import shapes

HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'


def convolution(**attributes):
    return helper.make_node("Conv", ["x", "w"], ["y"], **attributes)


def ints(name, values):
    attribute = helper.make_attribute(name, [1])
    del attribute.ints[:]
    attribute.ints.extend(values)
    node = convolution()
    node.attribute.append(attribute)
    return node


@pytest.mark.parametrize(
    ("node", "shape", "reason"),
    [
        (ints("strides", []), (4, 2, 3, 3), r"its strides are \[\]; 2 whole numbers from 1"),
        (ints("strides", [1]), (4, 2, 3, 3), r"its strides are \[1\]; 2 whole"),
        (ints("dilations", [2**30, 2**30]), (4, 2, 4, 4), "span 3221225473 x 3221225473 pixels"),
        (ints("dilations", [1, 2**31 - 1]), (4, 2, 2, 2), "windows of 2 x 2 taps span 2 x 21474"),
        (ints("dilations", [2**29]), (4, 2, 6), "span 2684354561 pixels with dilations of 5368709"),
        (ints("dilations", [1, 1, 2**31]), (4, 2, 3, 3), "its dilations are"),
        (ints("pads", [0, 0, 0]), (4, 2, 3, 3), "4 whole numbers from 0"),
        (ints("pads", [0, 0, 0, -1]), (4, 2, 3, 3), "4 whole numbers from 0"),
        (ints("kernel_shape", [5, 5]), (4, 2, 3, 3), r"its kernel_shape is \[5, 5\]"),
        (convolution(group=3), (4, 2, 3, 3), "its group is 3, which does not divide"),
        (convolution(group=-1), (4, 2, 3, 3), "its group is -1"),
        (convolution(), (), r"its weights have shape \[\]"),
        (convolution(), (4, 2), r"its weights have shape \[4, 2\]"),
        (convolution(), (4, 2, 0, 3), r"its weights have shape \[4, 2, 0, 3\]"),
        (convolution(strides=[2, 2], pads=[1, 1, 1, 1], group=2), (4, 2, 3, 3), "^$"),
    ],
)
def test_a_convolution_must_fit_its_weights(node, shape, reason):
    assert re.search(reason, conv_fault(node, shape))


@pytest.mark.parametrize("strides", [[], [1], [0, 1], [1, 2**31]])
def test_a_convolution_that_does_not_fit_is_refused_with_its_reason(strides):
    proto = parser.parse_model(
        f"{HEADER} g (float[N,2,5,5] x) => (float[N,4,3,3] y) <float[4,2,3,3] w = "
        f"{{{','.join(['1'] * 72)}}}> {{ h = Conv <strides = [1, 1]> (x, w) y = Relu (h) }}"
    )
    del proto.graph.node[0].attribute[0].ints[:]
    proto.graph.node[0].attribute[0].ints.extend(strides)
    result = to_psb(load(proto))
    assert not result.done.converted and "its strides are" in result.refused[0].reason


@pytest.mark.parametrize("short", range(4))
def test_a_normalisation_of_several_lengths_stays(short):
    proto = parser.parse_model(
        f"{HEADER} g (float[N,2,5,5] x) => (float[N,4,3,3] y) <float[4,2,3,3] w = "
        f"{{{','.join(['1'] * 72)}}}> "
        "{ h = Conv (x, w) n = BatchNormalization (h, c0, c1, c2, c3) y = Relu (n) }"
    )
    for number in range(4):
        constant = np.ones(2 if number == short else 4, np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(constant, f"c{number}"))
    result = fold_batchnorm(load(proto))
    assert not result.done
    assert any("numbers, not one a channel" in each.reason for each in result.refused)


@pytest.mark.parametrize("op", ["QGemm", "QLinearAdd", "FusedMatMul"])
@pytest.mark.parametrize("given", [0, 1])
def test_operators_of_the_runtime_may_lack_inputs(op, given):
    inputs = ", ".join(["x"] * given)
    proto = parser.parse_model(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) "
        f"{{ h = com.microsoft.{op} ({inputs}) y = Relu (h) }}"
    )
    assert {site.op for site in find_sites(load(proto))} <= {op, "Relu"}


@pytest.mark.parametrize("length", [2**21, 2**40, 2**63 - 1])
def test_declared_lengths_of_shapes_take_no_memory(length):
    proto = parser.parse_model(
        f"{HEADER} g (float[N,4] x, int64[S] s) => (float[N,4] y) <float v = {{1}}> "
        "{ w = Expand (v, s) t = ReduceSum <keepdims = 0> (w) h = Add (x, t) y = Relu (h) }"
    )
    proto.graph.input[1].type.tensor_type.shape.dim[0].dim_value = length
    assert [site.op for site in find_sites(load(proto))] == ["Relu"]


def test_a_conversion_that_is_not_valid_is_refused():
    proto = parser.parse_model(
        f"{HEADER} g (bool[N,4] x) => (float[N,2] y) <float[4,2] w = {{1,2,3,4,5,6,7,8}}> "
        "{ h = MatMul (x, w) y = Relu (h) }"
    )
    with pytest.raises(ModelError, match="BOOL"):
        to_psb(load(proto))


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ("float[N,3,2,5,5] x) => (float[N,2,2,5,5] y) <float[2,3,1,1] w = {1,1,1,1,1,1}",
         r"weights have shape \[2, 3, 1, 1\], but its input has 5 axes"),
        ("float[N,3,5,5] x) => (float[N,2,5,5] y) <float[2,3,1,1,1] w = {1,1,1,1,1,1}",
         "but its input has 4 axes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_convolution_and_its_input_may_have_other_axes(op, sizes, reason):
    proto = parser.parse_model(f"{HEADER} g ({sizes}> {{ h = {op} (x, w) y = Relu (h) }}")
    result = to_psb(load(proto))
    assert not result.done.converted and re.search(reason, result.refused[0].reason)


def test_padding_of_no_known_kind_is_refused():
    proto = parser.parse_model(
        f"{HEADER} g (float[N,1,5,5] x) => (float[N,1,5,5] y) <float[1,1,1,1] w = {{1}}> "
        '{ h = Conv <auto_pad = "?"> (x, w) y = Relu (h) }'
    )
    proto.graph.node[0].attribute[0].s = b"\xff"
    assert "which ONNX does not have" in to_psb(load(proto)).refused[0].reason


@pytest.mark.parametrize("kind", [-1, 2**31])
def test_a_cast_to_no_type_is_refused(kind):
    proto = parser.parse_model(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) {{ h = Cast <to = {kind}> (x) y = Relu (h) }}"
    )
    with pytest.raises(ModelError, match=f"casts to type {kind}"):
        read_program(load(proto))


def test_a_constant_without_a_value_is_refused():
    proto = parser.parse_model(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) "
        "{ c = Constant <value_float = 1.0> () h = Add (x, c) y = Relu (h) }"
    )
    del proto.graph.node[0].attribute[:]
    with pytest.raises(ModelError, match="a Constant without a value"):
        read_program(load(proto))


def test_a_pad_of_other_axes_than_its_convolution_stays():
    proto = parser.parse_model(
        f"{HEADER} g (float[N,2,5,5] x) => (float[N,2,5,5] y) <float[2,2,1,1] w = {{1,2,3,4}}, "
        "int64[6] p = {0,0,1,0,0,1}> "
        "{ h = Pad (x, p) c = Conv <pads = [1,1,1,1]> (h, w) y = Relu (c) }"
    )
    refused = fold_pads(load(proto)).refused
    assert "pads other axes" in refused[0].reason


def test_bounds_that_are_complex_bound_nothing():
    proto = parser.parse_model(
        f"{HEADER} g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {{1,2,3,4}}> "
        "{ h = MatMul (x, w) y = Clip (h, least) }"
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.array(1j), "least"))
    kept = [node.op_type for node in to_psb(load(proto)).model._proto.graph.node]
    assert "Clip" in kept


def test_a_branch_may_be_declared_larger_than_numpy_can_tell():
    proto = parser.parse_model(
        f"{HEADER} g (float[N,2] x, bool c) => (float[N,2] y) {{ y = If (c) <"
        "then_branch = t () => (float[N,2] a) <float[N,2] h> { h = Neg (x) a = Relu (h) }, "
        "else_branch = e () => (float[N,2] b) { b = Neg (x) }> }"
    )
    [size] = proto.graph.node[0].attribute[0].g.value_info[0].type.tensor_type.shape.dim[1:]
    size.dim_value = 2**62
    with pytest.raises(ModelError, match="of a branch is declared with sizes"):
        tap(load(proto), find_sites(load(proto)))


@pytest.mark.parametrize(("length", "propagated"), [(2**32, False), (2**16, True)])
def test_declared_sizes_of_tensors_are_not_written_out(length, propagated, monkeypatch):
    asked = []

    def infer_shapes(proto, data_prop=False):
        asked.append(data_prop)
        return proto

    monkeypatch.setattr(shape_inference, "infer_shapes", infer_shapes)
    proto = parser.parse_model(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) <float[{length},4] h> "
        "{ h = Neg (x) y = Relu (h) }"
    )
    shapes.infer(proto)
    assert (True in asked) == propagated


def test_a_tensor_holds_as_many_numbers_as_it_is_large():
    proto = parser.parse_model(
        f"{HEADER} g (float[N,2] x) => (float[N,2] y) <float[2] w = {{1, 2}}> "
        "{ h = Add (x, w) y = Relu (h) }"
    )
    [w] = proto.graph.initializer
    assert list(w.float_data) == [1, 2]
    assert len(find_sites(load(proto))) == 1
    w.dims[0] = 2**63 - 1
    with pytest.raises(ModelError, match="holds 2 numbers, which do not fit"):
        load(proto)


def test_a_fused_convolution_without_its_strides_stays():
    proto = parser.parse_model(
        f"{HEADER} g (float[N,2,5,5] x) => (float[N,2,5,5] y) <float[2,2,1,1] w = {{1,2,3,4}}> "
        '{ y = com.microsoft.FusedConv <activation = "Relu", strides = [1]> (x, w) }'
    )
    del proto.graph.node[0].attribute[1].ints[:]
    assert "'strides' is empty" in switches_apart(load(proto)).refused[0].reason


def test_a_clip_of_words_is_not_raised():
    proto = parser.parse_model(
        """<ir_version: 7, opset_import: ["" : 10]>
        g (string[N,4] x) => (string[N,4] y) { y = Clip <min = 0.0> (x) }"""
    )
    with pytest.raises(ModelError, match="no known number"):
        upgrade(load(proto))


@pytest.mark.parametrize(
    ("opset", "body", "reason"),
    [
        (7, "Gemm (a)", "has 1 of the 3 inputs that it needs"),
        (17, "LeakyRelu <alpha = [1]> (a)", "attribute 'alpha' that is not of type FLOAT"),
        (17, "Constant <value_float = 1.0> (a)", "has inputs, but takes none"),
    ],
)
def test_nodes_of_functions_are_checked_in_old_versions(opset, body, reason):
    proto = parser.parse_model(
        f"""<ir_version: 7, opset_import: ["" : {opset}, "local" : 1]>
        g (float[N,4] x) => (float[N,4] y) {{ h = local.f (x) y = Relu (h) }}
        <domain: "local", opset_import: ["" : {opset}]> f (a) => (b) {{ b = {body} }}"""
    )
    with pytest.raises(ModelError, match=reason):
        load(proto)


def test_axes_that_are_complex_are_not_known():
    proto = parser.parse_model(
        f"{HEADER} g (float[N,1,4] x) => (float[N,4] y) {{ h = Squeeze (x, axes) y = Relu (h) }}"
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1j]), "axes"))
    assert [site.op for site in find_sites(load(proto))] == ["Relu"]
