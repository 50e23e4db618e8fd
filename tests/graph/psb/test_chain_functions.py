"""The bodies of the operators of chains: standard operators give the bytes of the oracle."""

from typing import Any

import numpy as np
import onnx
import pytest
from chain_cases import Arrays, random_bytes, random_conv, random_end
from chain_cases import call_function as call
from onnx import helper, numpy_helper

from reluflow.graph import Model
from reluflow.graph.proto.own_domain import FIXED_DEFAULTS, FixedPlace
from reluflow.graph.psb.chain_functions import add_chain_functions, chain_functions
from reluflow.graph.rewrite.edit import Editor
from reluflow.psb import encode, pack
from reluflow.psb.fixed import (
    FixedFormat,
    fixed_conv,
    fixed_global_pool,
    fixed_max_pool,
    from_fixed,
    to_fixed,
)
from reluflow.sessions import open_session

OPSETS = (13, 17, 18, 22)


@pytest.mark.parametrize("opset", OPSETS)
def test_convolutions_give_the_bytes_of_the_oracle(opset: int) -> None:
    for seed in range(opset * 100, opset * 100 + 25):
        case = random_conv(seed, "nearest")
        y = call("FixedConv", case.inputs, case.constants, opset=opset, **case.attributes)
        assert y.dtype == np.uint8
        np.testing.assert_array_equal(y, case.expected, str(seed))


def test_onnx_own_reference_gives_them_too() -> None:
    for seed in range(12):
        case = random_conv(seed, "nearest")
        y = call("FixedConv", case.inputs, case.constants, reference=True, **case.attributes)
        np.testing.assert_array_equal(y, case.expected, str(seed))


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_ends_and_pooling_give_the_numbers_of_the_oracle(seed: int, reference: bool) -> None:
    rng = np.random.default_rng(seed)
    opset = OPSETS[seed % len(OPSETS)]
    form = FixedFormat(int(rng.integers(-2, 8)), int(rng.choice([0, 128])))
    sizes = rng.integers(2, 20, int(rng.integers(1, 3)))
    floats = (rng.normal(size=(2, int(rng.integers(1, 70)), *sizes)) * 9).astype(np.float32)
    floats.flat[:3] = np.nan, np.inf, -np.inf
    of_y: dict[str, Any] = {"y_exponent": form.exponent, "y_zero": form.zero}
    of_x: dict[str, Any] = {"x_exponent": form.exponent, "x_zero": form.zero}
    how: dict[str, Any] = {"reference": reference, "opset": opset}
    for fills in (False, True):
        found = call("ToFixed", {"x": floats}, fills_quads=int(fills), **of_y, **how)
        np.testing.assert_array_equal(found, to_fixed(floats, form, fills_quads=fills))
    u = {"x": to_fixed(floats, form)}
    np.testing.assert_array_equal(call("FromFixed", u, **of_x, **how), from_fixed(u["x"], form))
    mean = fixed_global_pool(u["x"], form)
    np.testing.assert_array_equal(call("FixedGlobalPool", u, **of_x, **how), mean)
    kernel = [min(3, int(size)) for size in sizes]
    window: dict[str, Any] = {
        "strides": rng.integers(1, 3, len(sizes)).tolist(),
        "pads": [k // 2 for k in kernel] * 2,
    }
    found = call("FixedMaxPool", u, kernel_shape=kernel, **window, **how)
    np.testing.assert_array_equal(found, fixed_max_pool(u["x"], kernel, **window))


@pytest.mark.parametrize("exponent", [-100, 100])
@pytest.mark.parametrize("zero", [0, 128])
def test_far_exponents_neither_vanish_nor_overflow(exponent: int, zero: int) -> None:
    form = FixedFormat(exponent, zero)
    x = np.array([[[0.0, 1e-30, -1e-30, 3e38, -3e38, 2.0**-exponent]]], np.float32)
    y = call("ToFixed", {"x": x}, y_exponent=exponent, y_zero=zero)
    np.testing.assert_array_equal(y, to_fixed(x, form))
    back = call("FromFixed", {"x": y}, x_exponent=exponent, x_zero=zero)
    np.testing.assert_array_equal(back, from_fixed(y, form))


def test_channels_that_fill_a_quad_are_left_out() -> None:
    case = next(
        case
        for case in (random_conv(seed, "nearest") for seed in range(100))
        if case.attributes["group"] == 1 and case.inputs["x"].shape[-1] % 4
    )
    x = case.inputs["x"]
    filled = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % 4)], constant_values=7)
    y = call("FixedConv", {"x": filled}, case.constants, **case.attributes)
    np.testing.assert_array_equal(y, case.expected)


@pytest.mark.parametrize("auto_pad", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("strides", [[1, 1], [2, 3]])
def test_paddings_that_depend_on_the_input(auto_pad: str, strides: list[int]) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (1, 8, 9, 3)).astype(np.uint8)
    code = encode(rng.normal(size=(5, 3, 3, 2)), p_bits=4)
    window: dict[str, Any] = {"strides": strides, "auto_pad": auto_pad}
    form = FixedFormat(3, 128)
    constants: Arrays = {
        "w": pack(code),
        "emax": code.emax,
        "b": np.zeros(1, np.float32),
        "samples": np.array(4),
        "seed": np.array(0),
    }
    formats = {"x_exponent": 3, "x_zero": 128, "y_exponent": 3, "y_zero": 128}
    given: dict[str, Any] = {"weight_shape": code.shape, "p_bits": 4, **formats, **window}
    how: dict[str, Any] = {"samples": 4, "sampler": "nearest", "x_form": form, "y_form": form}
    y = call("FixedConv", {"x": x}, constants, **given)
    np.testing.assert_array_equal(y, fixed_conv(x, code, **how, **window))
    y = call("FixedMaxPool", {"x": x}, kernel_shape=[2, 3], **window)
    np.testing.assert_array_equal(y, fixed_max_pool(x, [2, 3], **window))


def test_empty_batches_run() -> None:
    case = random_conv(3, "nearest")
    constants = case.constants | {"z": np.zeros(0, np.uint8)}
    y = call("FixedConv", {"x": case.inputs["x"][:0]}, constants, **case.attributes)
    assert y.shape == (0, *case.expected.shape[1:])
    assert call("ToFixed", {"x": np.zeros((0, 3, 4, 5), np.float32)}).shape == (0, 4, 5, 3)


@pytest.mark.parametrize(
    ("op", "places", "names"),
    [
        ("FixedConv", [], []),
        ("FixedConv", [FixedPlace.Z], ["Z"]),
        ("FixedConv", [FixedPlace.TABLE], ["Z", "table"]),
        ("FixedAdd", [], []),
        ("FixedAdd", [2], ["table"]),
    ],
)
def test_bodies_leave_out_what_no_call_needs(op: str, places: list[int], names: list[str]) -> None:
    body = chain_functions([op], 17, {op: places})[-1]
    assert list(body.input)[2 if op == "FixedAdd" else 6 :] == names
    known = {*body.input, *(name for node in body.node for name in node.output)}
    assert {name for node in body.node for name in node.input} <= known
    assert set(body.output) <= known
    fewer = len(chain_functions([op], 17)[-1].node)
    assert (len(body.node) > fewer) == bool(names)


def test_calls_of_one_model_share_a_body_whatever_inputs_they_have() -> None:
    first, second = (random_conv(seed, "nearest") for seed in (3, 4))
    nodes, tensors, inputs, outputs, feeds = [], [], [], [], {}
    for stem, case in (("a", first), ("b", second)):
        constants = {k: v for k, v in case.constants.items() if k not in ("z", "table")}
        if stem == "a":
            constants["b"] = np.zeros(1, np.float32)
        names = [f"{stem}_{name}" for name in constants]
        tensors += [
            numpy_helper.from_array(v, n) for n, v in zip(names, constants.values(), strict=True)
        ]
        if stem == "a":
            names[2] = ""  # no bias
        else:
            names += ["", "t"]  # a table, and nothing to add
            tensors.append(numpy_helper.from_array(np.arange(255, -1, -1, dtype=np.uint8), "t"))
        x = case.inputs["x"]
        feeds[f"{stem}_x"] = x
        inputs.append(helper.make_tensor_value_info(f"{stem}_x", onnx.TensorProto.UINT8, x.shape))
        attributes = {k: v for k, v in case.attributes.items() if k not in ("y_min", "y_max")}
        nodes.append(
            helper.make_node(
                "FixedConv", [f"{stem}_x", *names], [stem], domain="ai.reluflow", **attributes
            )
        )
        outputs.append(helper.make_empty_tensor_value_info(stem))
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    editor = Editor(Model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))
    add_chain_functions(editor)
    model = editor.finish(()).model
    assert sorted({function.name for function in model._proto.functions}) == [
        "FixedConv",
        "FixedWeights",
    ]
    plain = open_session(model, threads=1, optimisation="none", library=False).run(feeds)
    native = open_session(model, threads=1, library=True).run(feeds)
    for mine, theirs in zip(plain, native, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_functions_are_there_for_every_operator() -> None:
    made = chain_functions(list(FIXED_DEFAULTS), 17)
    assert {function.name for function in made} == {*FIXED_DEFAULTS, "FixedWeights"}
    for function in made:
        assert set(FIXED_DEFAULTS.get(function.name, {})) <= set(function.attribute)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("seed", range(24))
def test_the_operators_on_bytes_give_those_of_the_oracle(seed: int, reference: bool) -> None:
    for case in random_bytes(seed):
        y = call(
            case.op,
            case.inputs,
            case.constants,
            reference=reference,
            opset=OPSETS[seed % len(OPSETS)],
            **case.attributes,
        )
        assert y.dtype == np.uint8, case.op
        np.testing.assert_array_equal(y, case.expected, case.op)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("opset", OPSETS)
def test_products_at_the_end_give_the_floats_of_the_oracle(opset: int, reference: bool) -> None:
    for seed in range(opset * 100, opset * 100 + (6 if reference else 20)):
        case = random_end(seed, "nearest")
        how: dict[str, Any] = {"reference": reference, "opset": opset}
        y = call(case.op, case.inputs, case.constants, **how, **case.attributes)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, case.expected, str(seed))
