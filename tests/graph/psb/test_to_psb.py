"""Conversion: what becomes a PSB operator, what stays and why, and that outputs are preserved."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from networks import light
from onnx import TensorProto, helper
from rewriting import N, build, close, norm, ops, run, weights

from reluflow import psb
from reluflow.errors import ModelError, OptionError
from reluflow.graph import (
    Model,
    PsbOptions,
    bake_samples,
    expose,
    find_psb,
    find_sites,
    find_successions,
    fold_batchnorm,
    load,
    psb_inputs,
    tap,
    to_psb,
)
from reluflow.sessions import open_session

FULL = PsbOptions(p_bits=16, x_bits=16)
NEAREST = 0.04
"""Largest difference in nearest mode, as a share of the largest output: p is read in 64ths, so a
weight is wrong by at most 2^-7 of itself; errors of many layers add up like noise."""
MODELS = Path(__file__).parents[3] / "models"
IMAGE = (2, 4, 6, 5)


def conv(w: tuple[int, ...] = (8, 4, 3, 3), **attributes: Any) -> Model:
    node = N("Conv", ["x", "w", "c"], ["y"], name="conv", **attributes)
    x = (2, w[1] * attributes.get("group", 1), *(6, 5, 4)[: len(w) - 2])
    return build([node], {"w": weights(*w), "c": weights(w[0])}, x)


CONVS: dict[str, dict[str, Any]] = {
    "padded": {"pads": [1, 0, 2, 1], "strides": [2, 1]},
    "dilated": {"dilations": [2, 1], "pads": [2, 1, 2, 1]},
    "same": {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
    "grouped": {"w": (6, 2, 3, 3), "group": 2, "auto_pad": "VALID"},
    "depthwise": {"w": (4, 1, 3, 3), "group": 4, "kernel_shape": [3, 3]},
    "1-D": {"w": (6, 4, 3), "pads": [1, 1]},
}


@pytest.mark.parametrize("name", CONVS)
def test_convolutions_agree_with_the_oracle(name: str) -> None:
    model = conv(**CONVS[name])
    result = to_psb(model, PsbOptions(p_bits=4))
    assert ops(result.model) == ["PsbConv"] and not result.refused
    assert [type(node.was) and node.was for node in result.done.converted] == ["Conv"]
    x_shape: Any = model.inputs[0].shape
    x = weights(*x_shape, scale=3)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model._proto.graph.initializer}
    window = {k: v for k, v in CONVS[name].items() if k not in ("w", "kernel_shape")}
    oracle = psb.conv(
        x,
        psb.encode(constants["w"], p_bits=4),
        constants["c"],
        samples=4,
        sampler="nearest",
        **window,
    )
    four = np.array(4, np.int64)
    assert close(run(result.model, x, samples=four)[0], oracle, 1e-6)


DENSE = {
    "gemm": (N("Gemm", ["x", "w", "c"], ["y"], name="g"), (4, 5), (5,)),
    "gemm with factors": (
        N("Gemm", ["x", "w", "c"], ["y"], name="g", transB=1, alpha=0.3, beta=3.0),
        (5, 4),
        (1, 5),
    ),
    "gemm without bias": (N("Gemm", ["x", "w"], ["y"], name="g"), (4, 5), (5,)),
    "matmul": (N("MatMul", ["x", "w"], ["y"], name="g"), (4, 5), (5,)),
}


@pytest.mark.parametrize("name", DENSE)
def test_dense_operators_keep_the_outputs(name: str) -> None:
    node, w, c = DENSE[name]
    constants = {"w": weights(*w), "c": weights(*c)}
    used = {key: constants[key] for key in constants if key in node.input}
    model = build([node], used, ("N", 4))
    result = to_psb(model, FULL)
    assert ops(result.model) == ["PsbMatMul"] and result.done.converted[0].psb.positions == 1
    x = weights(7, 4)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_the_add_behind_a_matmul_and_the_activation_are_taken_over() -> None:
    nodes = [
        N("MatMul", ["x", "w"], ["p"], name="mm"),
        N("Add", ["p", "c"], ["h"], name="add"),
        N("Clip", ["h", "low", "high"], ["y"], name="clip"),
    ]
    bounds = {"low": np.array(0, np.float32), "high": np.array(1.5, np.float32)}
    model = build(nodes, {"w": weights(4, 5), "c": weights(5)} | bounds, (2, 3, 4))
    result = to_psb(model, FULL)
    node = result.done.converted[0]
    assert (node.merged, node.psb.activation, node.psb.positions) == (("add", "clip"), "clip", 3)
    x = weights(2, 3, 4, scale=3)
    y = run(result.model, x)[0]
    assert y.min() == 0 and y.max() == 1.5 and close(run(model, x)[0], y, NEAREST)
    apart = to_psb(model, PsbOptions(fuse=False)).model
    assert ops(apart) == ["PsbMatMul", "Clip"]


def test_an_activation_with_computed_bounds_or_other_readers_stays() -> None:
    high = N("ReduceMax", ["x"], ["high"], keepdims=0)
    nodes = [high, N("Conv", ["x", "w"], ["h"]), N("Clip", ["h", "", "high"], ["y"])]
    model = build(nodes, {"w": weights(4, 4, 1, 1)}, IMAGE)
    assert ops(to_psb(model).model) == ["ReduceMax", "PsbConv", "Clip"]
    nodes = [N("Conv", ["x", "w"], ["h"]), N("Relu", ["h"], ["y"])]
    model = build(nodes, {"w": weights(4, 4, 1, 1)}, IMAGE, outputs=("y", "h"))
    assert ops(to_psb(model).model) == ["PsbConv", "Relu"]


@pytest.mark.parametrize("x", [IMAGE, (2, 4, 7)])
def test_a_normalisation_that_stays_becomes_a_multiply_add(x: tuple[int, ...]) -> None:
    bn, constants = norm("x", "h", 4)
    model = build([bn, N("Relu", ["h"], ["y"])], constants, x)
    result = to_psb(model, FULL)
    assert ops(result.model) == ["PsbConv"]
    assert result.done.converted[0].was == "BatchNormalization"
    assert result.done.converted[0].psb.weight_shape == (4, *[1] * (len(x) - 1))
    data = weights(*x)
    assert close(run(model, data)[0], run(result.model, data)[0], NEAREST)
    left = to_psb(model, PsbOptions(norms=False))
    assert "left in floating point" in left.refused[0].reason and not left.done.converted


def one(model: Model, options: PsbOptions | None = None) -> str:
    """Return the one reason why a model is not converted."""
    result = to_psb(model, options)
    assert not result.done.converted and result.model is model
    (found,) = result.refused
    return found.reason


def test_each_node_left_alone_tells_its_reason() -> None:
    bn, constants = norm("x", "y", 4)
    w = {"w": weights(4, 4)}
    reasons = {
        "2 axes; as a PSB multiply-add it needs 3 or 4": build([bn], constants, ("N", 4)),
        "weights 'v' are computed": build(
            [N("Mul", ["w", "x"], ["v"]), N("ConvTranspose", ["x", "v"], ["y"])],
            {"w": weights(2, 4, 6, 5)},
            IMAGE,
        ),
        "bias 'x' is computed": build([N("Gemm", ["x", "w", "x"], ["y"], transA=1)], w, (4, 4)),
        "weights 'x' are computed": build([N("MatMul", ["x", "x"], ["y"])], {}, (4, 4)),
        "its left factor is float32 with 3 axes": build(
            [N("MatMul", ["w", "x"], ["y"])], {"w": weights(2, 4, 4)}, (4, 4)
        ),
        "weights 'w' have 3 axes; 2 are accepted": build(
            [N("MatMul", ["x", "w"], ["y"])], {"w": weights(2, 4, 4)}, (2, 4, 4)
        ),
        "bias 'c' has shape": build(
            [N("Gemm", ["x", "w", "c"], ["y"])], w | {"c": weights(4, 1)}, (4, 4)
        ),
        "its numbers are float64": build(
            [N("MatMul", ["x", "w"], ["y"])], {"w": weights(4, 4)}, (4, 4), dtype=np.float64
        ),
        "its weights hold NaN": build(
            [N("MatMul", ["x", "w"], ["y"])], {"w": weights(4, 4) * np.float32(np.nan)}, (4, 4)
        ),
    }
    for reason, model in reasons.items():
        assert reason in one(model)
    assert one(conv(), PsbOptions(exclude=("conv",))) == "it is excluded"


def test_nodes_in_subgraphs_are_converted() -> None:
    typed = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("t", "e")]
    branch = helper.make_graph([N("MatMul", ["x", "w"], ["t"])], "then", [], typed[:1])
    other = helper.make_graph([N("Relu", ["x"], ["e"])], "else", [], typed[1:])
    node = N("If", ["c"], ["y"], then_branch=branch, else_branch=other)
    model = build([node], {"w": weights(4, 4), "c": np.array(True)}, (4, 4))
    result = to_psb(model, FULL)
    assert [(each.psb.name, each.psb.op) for each in result.done.converted] == [("t", "PsbMatMul")]
    assert result.refused == ()
    x = weights(4, 4)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_float16_models_get_casts() -> None:
    nodes = [N("Conv", ["x", "w"], ["h"]), N("Relu", ["h"], ["y"])]
    model = build(nodes, {"w": weights(4, 4, 1, 1)}, IMAGE, dtype=np.float16)
    result = to_psb(model, FULL)
    assert ops(result.model) == ["Cast", "PsbConv", "Cast"]
    x = weights(*IMAGE).astype(np.float16)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_inputs_for_samples_and_seed_get_free_names_and_defaults() -> None:
    node = N("Gemm", ["x", "samples", "seed"], ["y"])
    model = build([node], {"samples": weights(4, 5), "seed": weights(5)}, ("N", 4))
    result = to_psb(model)
    assert psb_inputs(result.model) == ("samples_2", "seed_2")
    assert [spec.name for spec in result.model.inputs] == ["x"]


def test_old_models_are_raised_and_keep_weights_constant() -> None:
    nodes = [N("Conv", ["x", "w"], ["h"]), N("Clip", ["h"], ["y"], min=0.0, max=1.0)]
    model = build(nodes, {"w": weights(4, 4, 1, 1)}, IMAGE, opset=9, ir=3)
    result = to_psb(model, FULL)
    assert "raised from 9 to 13" in result.notes[0]
    assert (result.model.ir_version, result.model.opset[""]) == (8, 13)
    assert [value.name for value in result.model._proto.graph.input] == ["x", "samples", "seed"]
    assert result.done.converted[0].psb.activation == "clip"
    x = weights(*IMAGE)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_an_opset_that_cannot_be_raised_is_one_sentence() -> None:
    nodes = [N("Dropout", ["x"], ["h"], name="drops"), N("Conv", ["h", "w"], ["y"])]
    model = build(nodes, {"w": weights(4, 4, 1, 1)}, IMAGE, opset=6)
    with pytest.raises(
        ModelError, match=r"opset 6 and cannot be raised to 13.*'drops' \(Dropout\)"
    ):
        to_psb(model)


def test_bad_options_are_refused() -> None:
    with pytest.raises(OptionError, match=r"p_bits is 5; accepted are 1, 2, 3, 4, 6, 8, 16"):
        PsbOptions(p_bits=5)
    with pytest.raises(OptionError, match=r"prune is 1; give a share"):
        PsbOptions(prune=1)
    with pytest.raises(OptionError, match=r"x_bits is 17; give a whole number from 2 to 16"):
        PsbOptions(x_bits=17)
    with pytest.raises(OptionError, match=r"x_exponents\['x'\] is 101"):
        PsbOptions(x_exponents={"x": 101})
    with pytest.raises(OptionError, match=r"exclude names 'nobody', which is no node"):
        to_psb(conv(), PsbOptions(exclude=("nobody",)))
    with pytest.raises(ModelError, match=r"holds PSB operators already"):
        to_psb(to_psb(conv()).model)
    with pytest.raises(ModelError, match=r"has no PSB operator; convert it"):
        psb_inputs(conv())


def test_pruned_weights_are_stored_as_zeros_and_exponents_as_attributes() -> None:
    options = PsbOptions(p_bits=3, prune=0.5, x_exponents={"x": 7}, sampler="binomial")
    node = to_psb(conv((8, 4, 3, 3)), options).done.converted[0].psb
    assert node.zeros >= node.weights // 2
    assert (node.x_exponent, node.sampler, node.p_bits) == (7, "binomial", 3)
    assert node.bits_per_weight == 8 + 8 * 8 / 288
    assert node.shift_adds(4) == 4 * (288 - node.zeros) * 4 * 3


def test_rows_written_a_few_at_a_time_are_those_of_the_whole(monkeypatch) -> None:
    model = conv((21, 4, 3, 3))
    whole = to_psb(model).model
    monkeypatch.setattr("reluflow.graph.psb.write._AT_ONCE", 1)
    assert to_psb(model).model.serialize() == whole.serialize()


def residual(switch_between: bool) -> Model:
    bn, constants = norm("s", "b", 4)
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="first"),
        N("Add", ["h", "x"], ["s"], name="add"),
        bn,
        N("Relu", ["b"], ["r"]),
        N("Conv", ["r" if switch_between else "s", "v"], ["y"], name="last"),
    ]
    tensors = {"w": weights(4, 4, 1, 1), "v": weights(4, 4, 1, 1)}
    return build(nodes, tensors | constants, IMAGE)


def test_successions_without_a_switch_are_found() -> None:
    found = {(s.first, s.second, s.through) for s in to_psb(residual(True)).done.successions}
    assert found == {("first", "bn", ("Add",))}
    found = {(s.first, s.second, s.through) for s in to_psb(residual(False)).done.successions}
    assert found == {("first", "bn", ("Add",)), ("first", "last", ("Add",))}
    assert find_successions(residual(False)) == ()


@pytest.mark.parametrize("sampler", ["systematic", "binomial", "nearest"])
@pytest.mark.parametrize("samples", [0, 1, 2, 16, 64])
def test_baked_samples_are_the_draws_of_the_run(sampler: str, samples: int) -> None:
    model = to_psb(conv((8, 4, 3, 3)), PsbOptions(p_bits=8, sampler=sampler)).model
    code, planes = (_code(m) for m in (model, bake_samples(model, samples, seed=9).model))
    drawn = psb.integer_weights(code, samples, sampler, 9, 0)
    assert np.array_equal(psb.integer_weights(planes, samples or 64, "nearest"), drawn)
    x = weights(*IMAGE)
    y = run(bake_samples(model, samples, 9).model, x)[0]
    bias = onnx.numpy_helper.to_array(model._proto.graph.initializer[-1])
    oracle = psb.conv(x, code, bias, samples=samples, sampler=sampler, seed=9)
    assert close(y, oracle, 1e-6)


def _code(model: Model) -> psb.PsbCode:
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model._proto.graph.initializer}
    node = model._proto.graph.node[0]
    shape = find_psb(model)[0].weight_shape
    planes = constants[node.input[1]]
    return psb.unpack(planes, shape, constants[node.input[2]], len(planes) - 5)


def test_draws_per_product_cannot_be_baked() -> None:
    model = to_psb(conv(), PsbOptions(draws="product")).model
    with pytest.raises(ModelError, match=r"node 'conv' draws samples for every product"):
        bake_samples(model, 4)


def test_tensors_become_outputs() -> None:
    model = residual(True)
    x = weights(*IMAGE)
    y, s, r = run(expose(model, ["s", "r", "s"]).model, x)
    assert np.array_equal(y, run(model, x)[0])
    assert s.shape == r.shape == IMAGE and r.min() == 0
    with pytest.raises(OptionError, match=r"tensors name 'nobody'"):
        expose(model, ["nobody"])


def test_a_saved_model_is_read_back_and_its_sites_are_found(tmp_path) -> None:
    result = to_psb(load(MODELS / "fashion_resnet8.onnx"))
    result.model.save(tmp_path / "p.onnx")
    read = load(tmp_path / "p.onnx")
    assert find_psb(read) == find_psb(result.model)
    assert len(find_psb(read)) == 10
    assert len(find_sites(read)) == 7


def test_sites_of_a_converted_model_can_be_tapped() -> None:
    model = to_psb(load(MODELS / "fashion_resnet8.onnx"), FULL).model
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:8]
    sites = [site for site in find_sites(model) if not site.untappable]
    tapped = tap(model, sites).model
    assert len(sites) == 7  # all of them are fused into a PsbConv
    for each in (model, tapped):
        onnx.checker.check_model(each._proto)
    before, after = (
        open_session(m, threads=1, optimisation="none", library=False).run({"image": images})
        for m in (model, tapped)
    )
    assert close(before[0], after[0], 1e-3)  # rounding may move an activation by one step


def test_the_shipped_model_keeps_its_answers_at_full_precision() -> None:
    model = load(MODELS / "fashion_resnet8.onnx")
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:200]
    result = to_psb(model, FULL)
    assert len(result.done.converted) == 10 and not result.refused and not result.done.successions
    before, after = (
        open_session(m, threads=1, optimisation="none", library=False).run({"image": images})[0]
        for m in (model, result.model)
    )
    assert close(before, after, NEAREST)
    assert np.mean(before.argmax(1) == after.argmax(1)) >= 0.99


def test_eight_stored_bits_take_little_space() -> None:
    model = load(MODELS / "fashion_resnet8.onnx")
    assert to_psb(model, PsbOptions(p_bits=3)).model.size_bytes <= 0.285 * model.size_bytes


LARGE = "bvlc_alexnet"
ALIKE = ("vgg19", "zfnet512")
"""Of the operators of AlexNet, and as large or larger."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name == LARGE))
        for name in light.paths()
        if name not in ALIKE
    ],
)
def test_the_light_models_keep_their_outputs(name: str) -> None:
    proto = light.with_random_weights(light.paths()[name])
    model, x = load(proto), light.random_input(proto)
    result = to_psb(model, FULL)
    assert not result.refused
    assert not {"Conv", "Gemm", "BatchNormalization"} & set(ops(result.model))
    onnx.checker.check_model(result.model._proto)
    before, after = (
        open_session(m, threads=2, optimisation="none", library=False).run(x)[0]
        for m in (model, result.model)
    )
    assert close(before, after, NEAREST)


def test_a_shared_weight_is_stored_once() -> None:
    shared = weights(96, 96)
    nodes = [N("MatMul", ["x", "w"], ["a"]), N("MatMul", ["x", "w"], ["b"])]
    nodes += [N("Add", ["a", "b"], ["y"]), N("Identity", ["w"], ["z"])]
    model = build(nodes[:3], {"w": shared}, ("N", 96))
    result = to_psb(model, FULL)
    sizes = [t.dims for t in result.model._proto.graph.initializer if t.dims]
    assert len(result.done.converted) == 2 and len(result.model.serialize()) < len(
        model.serialize()
    )
    assert (
        len({tuple(node.input[1:3]) for node in result.model._proto.graph.node if node.domain}) == 1
    )
    assert sorted(len(dims) for dims in sizes) == [1, 1, 1, 2]  # bias, nothing to add, emax, planes
    x = weights(3, 96)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_a_small_weight_that_two_products_share_outweighs_the_bodies() -> None:
    nodes = [N("MatMul", ["x", "w"], ["y"]), N("MatMul", ["x", "w"], ["z"])]
    model = build(nodes, {"w": weights(64, 64)}, ("N", 64))
    assert to_psb(model, FULL).model.size_bytes <= model.size_bytes


@pytest.mark.parametrize("kind", ["equal copies", "random small", "convolutions"])
def test_equal_constants_are_stored_once(kind: str) -> None:
    one = weights(8, 8, *([3, 3] if kind == "convolutions" else []))
    op = "Conv" if kind == "convolutions" else "MatMul"
    tensors = {"w": one, "v": one.copy()} if kind == "equal copies" else {"w": one}
    second = "v" if kind == "equal copies" else "w"
    nodes = [N(op, ["x", "w"], ["a"]), N(op, ["x", second], ["b"]), N("Add", ["a", "b"], ["y"])]
    x = (2, 8, 5, 5) if kind == "convolutions" else ("N", 8)
    small = "random" if kind == "random small" else "zero"
    result = to_psb(build(nodes, tensors, x), PsbOptions(small_weights=small, fuse=False))
    psb_nodes = [node for node in result.model._proto.graph.node if node.domain]
    assert len(psb_nodes) == 2 and psb_nodes[0].input[1:4] == psb_nodes[1].input[1:4]


QUANTISED_WEIGHTS: dict[str, tuple[dict[str, tuple[int, ...]], dict[str, Any]]] = {
    "per tensor": ({"q": (4, 5), "s": ()}, {}),
    "per axis": ({"q": (4, 5), "s": (5,)}, {"axis": 1}),
    "blocked": ({"q": (4, 5), "s": (2, 5)}, {"axis": 0, "block_size": 2}),
}


@pytest.mark.parametrize("name", QUANTISED_WEIGHTS)
@pytest.mark.parametrize("kind", [np.int8, np.uint8, TensorProto.INT4, TensorProto.UINT4])
def test_quantised_weights_convert_from_their_dequantised_numbers(name: str, kind: Any) -> None:
    shapes, attributes = QUANTISED_WEIGHTS[name]
    narrow = isinstance(kind, int)
    dtype = helper.tensor_dtype_to_np_dtype(kind) if narrow else np.dtype(kind)
    whole = np.random.default_rng(1).integers(0, 8, shapes["q"])
    tensors = {"q": whole.astype(dtype), "s": np.abs(weights(*shapes["s"])) + np.float32(0.1)}
    nodes = [N("DequantizeLinear", ["q", "s"], ["w"], **attributes), N("MatMul", ["x", "w"], ["y"])]
    model = build(nodes, tensors, ("N", 4), opset=21, ir=10)
    result = to_psb(model, FULL)
    assert ops(result.model) == ["PsbMatMul"] and not result.refused
    x = weights(3, 4)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_models_with_quantised_activations_convert_without_their_rounding() -> None:
    q = [("QuantizeLinear", "x", "xq"), ("DequantizeLinear", "xq", "xd")]
    nodes = [N(op, [source, "xs", "xz"], [made]) for op, source, made in q]
    nodes += [N("DequantizeLinear", ["wq", "ws"], ["w"]), N("Gemm", ["xd", "w"], ["y"])]
    tensors = {
        "xs": np.array(0.05, np.float32),
        "xz": np.array(128, np.uint8),
        "wq": np.arange(-10, 10, dtype=np.int8).reshape(4, 5),
        "ws": np.array(0.1, np.float32),
    }
    model = build(nodes, tensors, ("N", 4))
    result = to_psb(model, FULL)
    assert ops(result.model) == ["Clip", "PsbMatMul"]
    grid = np.random.default_rng(1).integers(-200, 200, (3, 4))  # nothing is rounded
    x = np.float32(0.05) * grid.astype(np.float32)
    assert close(run(model, x)[0], run(result.model, x)[0], NEAREST)


def test_integer_operators_say_which_model_to_give() -> None:
    node = N("MatMulInteger", ["q", "w"], ["i"], name="whole")
    quantise = N("QuantizeLinear", ["x", "s"], ["q"])
    nodes = [quantise, node, N("Cast", ["i"], ["y"], to=1)]
    tensors = {"w": np.ones((4, 5), np.int8), "s": np.array(0.1, np.float32)}
    result = to_psb(build(nodes, tensors, ("N", 4)))
    assert result.refused[0].node == "whole" and not result.done.converted
    assert "convert the float model that it was quantised from" in result.refused[0].reason


def test_bfloat16_converts() -> None:
    bfloat16 = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
    model = build([N("MatMul", ["x", "w"], ["y"])], {"w": weights(4, 5)}, ("N", 4), dtype=bfloat16)
    result = to_psb(model, FULL)
    assert ops(result.model) == ["Cast", "PsbMatMul", "Cast"] and not result.refused
    onnx.checker.check_model(result.model._proto, full_check=True)
    assert [a.i for a in result.model._proto.graph.node[2].attribute] == [TensorProto.BFLOAT16]


def test_replaceable_weights_become_constants() -> None:
    proto = conv()._proto
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (8, 4, 3, 3)))
    result = to_psb(load(proto))
    assert [v.name for v in result.model._proto.graph.input] == ["x", "samples", "seed"]
    assert any("callers can no longer replace them: 'w'" in note for note in result.notes)


def test_documentation_of_nodes_and_tensors_stays() -> None:
    bn, constants = norm("h", "y", 8)
    nodes = [N("Conv", ["x", "w"], ["h"], name="conv", doc_string="edges"), bn]
    proto = build(nodes, {"w": weights(8, 4, 3, 3)} | constants, IMAGE)._proto
    tensor = next(t for t in proto.graph.initializer if t.name == "w")
    tensor.doc_string = "learnt"
    for holder in (proto, proto.graph, proto.graph.node[0], tensor):
        holder.metadata_props.add(key="k", value=type(holder).__name__)
    folded = fold_batchnorm(load(proto)).model._proto
    kept = next(t for t in folded.graph.initializer if t.name == "w")
    assert (kept.doc_string, kept.metadata_props) == ("learnt", tensor.metadata_props)
    made = to_psb(load(proto)).model._proto
    node = next(n for n in made.graph.node if n.op_type == "PsbConv")
    assert (node.doc_string, node.metadata_props[0].value) == ("edges", "NodeProto")
    assert made.metadata_props == proto.metadata_props
    assert made.graph.metadata_props == proto.graph.metadata_props
