"""Operators written as others: the same sums, whatever the attributes, known sizes or not."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import helper
from rewriting import N, build, close, norm, ops, run, weights

from reluflow import psb
from reluflow.errors import DataError, ModelError
from reluflow.graph import Model, PsbOptions, find_psb, load, plan_psb, spell_out, to_psb

FULL = PsbOptions(p_bits=16, x_bits=16)
NEAREST = 0.02
"""Of the largest output: a weight is wrong by at most 2^-7 of itself, and errors cancel."""
SIDE_BY_SIDE = ["Reshape", "Transpose"] * 2 + ["Reshape"]
"""The phases of two axes, one axis after the other."""
SAME = 1e-5
"""The same products in another order."""


def deconv(
    w: tuple[int, ...], x: tuple[int | str, ...], *, bias: bool = True, **attributes: Any
) -> Model:
    outputs = w[1] * attributes.get("group", 1)
    constants = {"w": weights(*w)} | ({"b": weights(outputs)} if bias else {})
    node = N("ConvTranspose", ["x", *constants], ["h"], name="up", **attributes)
    return build([node, N("Relu", ["h"], ["y"], name="act")], constants, x)


def deep(w: tuple[int, ...], x: tuple[int | str, ...], **attributes: Any) -> Model:
    constants = {"w": weights(*w), "b": weights(w[0])}
    node = N("Conv", ["x", "w", "b"], ["h"], name="deep", **attributes)
    bounds = {"low": np.array(-9, np.float32), "high": np.array(9, np.float32)}
    return build([node, N("Clip", ["h", "low", "high"], ["y"], name="act")], constants | bounds, x)


UP, DEEP = (2, 4, 5, 6), (2, 4, 5, 6, 4)
MODELS: dict[str, tuple[Model, int]] = {
    "one phase": (deconv((4, 3, 3, 3), UP, pads=[1, 1, 1, 1]), 1),
    "taps in pairs": (deconv((4, 3, 4, 4), UP, strides=[2, 2], pads=[1, 1, 1, 1]), 1),
    "pixels apart": (deconv((4, 3, 2, 2), UP, strides=[2, 2]), 1),
    "odd taps": (deconv((4, 3, 3, 3), UP, strides=[2, 2], pads=[1, 1, 1, 1]), 4),
    "output padding": (
        deconv((4, 3, 3, 3), UP, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
        4,
    ),
    "two strides": (deconv((4, 3, 3, 5), UP, strides=[2, 3]), 6),
    "groups": (deconv((4, 3, 3, 3), UP, strides=[2, 2], group=2), 4),
    "groups together": (deconv((4, 3, 4, 2), UP, strides=[2, 2], group=4), 1),
    "groups and strides": (deconv((4, 3, 4, 3), UP, strides=[2, 1], group=2), 1),
    "dilated": (deconv((4, 3, 3, 3), UP, strides=[3, 2], dilations=[2, 2], bias=False), 3),
    "pixels without taps": (deconv((4, 3, 1, 1), UP, strides=[2, 2]), 1),
    "without bias": (deconv((4, 3, 1, 2), UP, strides=[2, 2], bias=False), 2),
    "cut further than it reaches": (deconv((4, 2, 5, 5), UP, pads=[4, 4, 4, 4]), 1),
    "1-D": (deconv((4, 3, 5), (2, 4, 7), strides=[2], pads=[2, 1]), 2),
    "1-D together": (deconv((4, 3, 8), (2, 4, 7), strides=[4], pads=[2, 2]), 1),
    "3-D": (deconv((4, 3, 2, 3, 2), DEEP, strides=[2, 2, 1]), 4),
    "same upper": (deconv((4, 3, 3, 4), UP, strides=[2, 2], auto_pad="SAME_UPPER"), 4),
    "same lower": (deconv((4, 3, 4, 3), UP, strides=[2, 2], auto_pad="SAME_LOWER"), 4),
    "valid": (deconv((4, 3, 3, 3), UP, strides=[2, 2], auto_pad="VALID"), 4),
    "output shape": (deconv((4, 3, 4, 4), UP, strides=[2, 2], output_shape=[10, 13]), 1),
    "batch unknown": (deconv((4, 3, 3, 3), ("N", *UP[1:]), strides=[2, 2]), 4),
    "sizes unknown": (deconv((4, 3, 3, 3), ("N", 4, "h", "w"), strides=[2, 3]), 6),
    "1-D of unknown size": (deconv((4, 3, 4), ("N", 4, "l"), strides=[2]), 1),
    "depth": (deep((6, 4, 3, 3, 2), DEEP), 1),
    "depth with pads": (deep((6, 4, 3, 3, 3), DEEP, pads=[1, 0, 1, 2, 1, 0]), 1),
    "depth with strides": (deep((6, 4, 3, 2, 2), DEEP, strides=[2, 1, 2], pads=[1] * 6), 1),
    "depth with gaps": (deep((6, 4, 2, 2, 2), DEEP, dilations=[3, 2, 1]), 1),
    "depth in groups": (deep((6, 2, 3, 3, 2), DEEP, group=2), 1),
    "depth, each channel": (deep((4, 1, 3, 3, 2), DEEP, group=4, strides=[2, 2, 1]), 1),
    "depth of one plane": (deep((6, 4, 1, 3, 2), DEEP), 1),
    "depth, same": (deep((6, 4, 3, 3, 2), DEEP, auto_pad="SAME_LOWER", strides=[2, 2, 2]), 1),
    "depth, batch unknown": (deep((6, 4, 3, 3, 2), ("N", *DEEP[1:])), 1),
    "depth of unknown size": (deep((6, 2, 3, 3, 2), ("N", 4, "d", "h", "w"), group=2), 1),
}


def data(name: str) -> np.ndarray:
    rank = len(MODELS[name][0].inputs[0].shape or ())
    return weights(*{3: (2, 4, 7), 4: UP, 5: DEEP}[rank], scale=2)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_sums_are_made(name: str) -> None:
    model, count = MODELS[name]
    result = spell_out(model)
    assert not result.refused and result.done[0].node in ("up", "deep")
    x = data(name)
    assert close(run(model, x)[0], run(result.model, x)[0], SAME)
    converted = to_psb(model, FULL)
    nodes = find_psb(converted.model)
    assert len(nodes) == count and not converted.refused
    # The activation moved in front of what orders the pixels, so that the operators do it too.
    assert all(node.activation != "none" for node in nodes)
    assert not {"ConvTranspose", "Conv"} & set(ops(converted.model))
    assert close(run(model, x)[0], run(converted.model, x)[0], NEAREST)
    assert converted.done.spelled == plan_psb(model).done.spelled == result.done


def test_any_transposed_convolution_is_the_same() -> None:
    draw = random.Random(4)
    found = 0
    for _ in range(120):
        axes = draw.choice([1, 2, 2, 3])
        taps, strides, dilations = (
            [draw.randint(1, high) for _ in range(axes)] for high in (5, 3, 3)
        )
        reach = [(k - 1) * d for k, d in zip(taps, dilations, strict=True)]
        pads = [draw.randint(0, most) for most in reach * 2]
        more = [draw.randrange(max(s, d)) for s, d in zip(strides, dilations, strict=True)]
        shape = (2, 4, *(draw.randint(1, 6) for _ in range(axes)))
        model = deconv(
            (4, 2, *taps), shape, strides=strides, dilations=dilations, pads=pads,
            output_padding=more, group=draw.choice([1, 2]),
        )  # fmt: skip
        x = weights(*shape)
        try:
            wanted = run(model, x)[0]
        except (DataError, ModelError):  # nothing is left of the output
            continue
        if wanted.size:
            found += 1
            again = run(spell_out(model).model, x)[0]
            assert again.shape == wanted.shape
            assert np.abs(again - wanted).max() <= SAME * max(1, np.abs(wanted).max())
    assert found > 60


def test_samples_agree_with_the_oracle_of_each_phase() -> None:
    model, _ = MODELS["pixels apart"]
    x = data("pixels apart")
    result = to_psb(model, PsbOptions(p_bits=4))
    [node] = find_psb(result.model)
    plan = plan_psb(model).model._proto
    [conv] = [each for each in plan.graph.node if each.op_type == "Conv"]
    held = {t.name: np.frombuffer(t.raw_data, np.float32).reshape(t.dims)
            for t in plan.graph.initializer if t.data_type == 1}  # fmt: skip
    code = psb.encode(held[conv.input[1]], p_bits=4)
    oracle = psb.conv(x, code, held[conv.input[2]], samples=4, sampler="nearest")
    oracle = np.maximum(oracle, 0).reshape(2, 3, 2, 2, 5, 6)
    wanted = oracle.transpose(0, 1, 4, 2, 5, 3).reshape(2, 3, 10, 12)
    assert node.weight_shape == (12, 4, 1, 1)
    assert close(run(result.model, x, samples=np.array(4, np.int64))[0], wanted, 1e-6)


TURNED = {
    "gemm": (N("Gemm", ["x", "w"], ["h"], transA=1, name="g"), (5, 4), (5, 3)),
    "gemm with bias": (
        N("Gemm", ["x", "w", "b"], ["h"], transA=1, transB=1, alpha=0.5, beta=2.0, name="g"),
        (5, 4),
        (3, 5),
    ),
    "left factor": (N("MatMul", ["w", "x"], ["h"], name="g"), (5, 4), (3, 5)),
    "left factor in a batch": (N("MatMul", ["w", "x"], ["h"], name="g"), (2, 6, 5, 4), (3, 5)),
    "left factor of a vector": (N("MatMul", ["w", "x"], ["h"], name="g"), (5,), (3, 5)),
}


@pytest.mark.parametrize("name", TURNED)
def test_products_are_turned_round(name: str) -> None:
    node, x_shape, w = TURNED[name]
    constants = {"w": weights(*w)} | ({"b": weights(3)} if "b" in node.input else {})
    rank = len(x_shape) if len(x_shape) > 1 else 1
    model = build([node, N("Relu", ["h"], ["y"], name="act")], constants, x_shape, rank)
    x = weights(*x_shape)
    spelled = spell_out(model)
    assert [each.into for each in spelled.done] == [f"{node.op_type} with its input transposed"]
    assert close(run(model, x)[0], run(spelled.model, x)[0], SAME)
    result = to_psb(model, FULL)
    assert [each.activation for each in find_psb(result.model)] == ["relu"]
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_what_reads_the_result_too_keeps_it() -> None:
    node = N("ConvTranspose", ["x", "w"], ["h"], name="up", strides=[2, 2])
    model = build(
        [node, N("Relu", ["h"], ["y"])], {"w": weights(4, 3, 2, 2)}, UP, outputs=("y", "h")
    )
    result = to_psb(model, FULL)
    assert ops(result.model) == ["PsbConv", *SIDE_BY_SIDE, "Relu"]
    x = weights(*UP)
    for one, other in zip(run(model, x), run(result.model, x), strict=True):
        assert close(one, other, NEAREST)


def test_bounds_made_behind_the_operator_are_made_before_the_new_ones() -> None:
    low = helper.make_node("Constant", [], ["low"], value_float=0.25)
    nodes = [
        N("ConvTranspose", ["x", "w"], ["h"], name="up", strides=[2, 2]),
        low,
        N("Clip", ["h", "low"], ["y"]),
    ]
    model = build(nodes, {"w": weights(4, 3, 3, 3)}, UP)
    x = weights(*UP)
    assert close(run(model, x)[0], run(spell_out(model).model, x)[0], SAME)


def test_normalisation_is_folded_before() -> None:
    bn, constants = norm("h", "y", 3)
    node = N("ConvTranspose", ["x", "w"], ["h"], name="up", strides=[2, 2])
    model = build([node, bn], {"w": weights(4, 3, 2, 2)} | constants, UP)
    result = to_psb(model, FULL)
    assert ops(result.model) == ["PsbConv", *SIDE_BY_SIDE]
    x = weights(*UP)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_operators_in_functions_are_converted_where_they_are_called() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 17, "local" : 1]>
        g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,-2,3,4}>
        { h = local.layer(x, w) y = local.layer(h, w) }
        <domain: "local", opset_import: ["" : 17]>
        layer (a, v) => (c) { b = MatMul(a, v) c = Relu(b) }"""
    )
    model = load(proto)
    result = to_psb(model, FULL)
    assert ops(result.model) == ["PsbMatMul", "PsbMatMul"] and not result.refused
    x = weights(5, 2)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_excluded_operators_stay_as_they_are() -> None:
    model, _ = MODELS["odd taps"]
    result = to_psb(model, PsbOptions(exclude=("up",)))
    assert result.model is model and result.refused[0].reason == "it is excluded"
    plan = plan_psb(model, PsbOptions(exclude=("up",)))
    assert ops(plan.model) == ["ConvTranspose", "Relu"] and plan.done.spelled == ()


REFUSED: dict[str, Model] = {
    "its output_padding is [1]; 2 sizes from 0 on are wanted": deconv(
        (4, 3, 3, 3), UP, output_padding=[1]
    ),
    "its output_shape is given, and the size of its input is not known": deconv(
        (4, 3, 3, 3), ("N", 4, "h", "w"), strides=[2, 2], output_shape=[10, 12]
    ),
    "its output is larger than its windows reach": deconv(
        (4, 3, 1, 1), UP, strides=[2, 2], output_shape=[20, 24]
    ),
    "its auto_pad is SAME_UPPER, whose pads depend on the size": deep(
        (6, 4, 3, 3, 3), ("N", 4, "d", "h", "w"), auto_pad="SAME_UPPER", strides=[2, 2, 2]
    ),
    "its group is 3, which does not divide": deconv((4, 3, 3, 3), UP, group=3),
    "its strides are [2]; 2 whole numbers": deconv((4, 3, 3, 3), UP, strides=[2]),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_written_out_tells_why(reason: str) -> None:
    [refused] = spell_out(REFUSED[reason]).refused
    assert reason in refused.reason
    assert [each.reason for each in to_psb(REFUSED[reason]).refused] == [refused.reason]


def test_numbers_that_psb_does_not_store_stay() -> None:
    node = N("ConvTranspose", ["x", "w"], ["y"], name="up")
    wide = build([node], {"w": weights(4, 3, 3, 3)}, UP, dtype=np.float64)
    assert "its numbers are float64" in spell_out(wide).refused[0].reason
    broken = build([node], {"w": weights(4, 3, 3, 3) * np.float32(np.inf)}, UP)
    assert "hold NaN or infinite" in spell_out(broken).refused[0].reason
    half = build([node], {"w": weights(4, 3, 3, 3)}, UP, dtype=np.float16)
    assert to_psb(half).done.spelled and not to_psb(half).refused
    unknown = build([N("MatMul", ["w", "x"], ["y"])], {"w": weights(3, 4)}, (4, 4))
    del unknown._proto.graph.input[0].type.tensor_type.shape.dim[:]
    unknown._proto.graph.input[0].type.tensor_type.ClearField("shape")
    assert "the axes of the other are not known" in spell_out(unknown).refused[0].reason
