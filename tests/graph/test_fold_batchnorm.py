"""Folding: every placement keeps the outputs; what cannot be folded says why."""

from collections.abc import Callable

import light_models
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rewriting import N, build, close, norm, ops, run, weights

from reluflow.graph import Model, fold_batchnorm, load
from reluflow.runtime import open_session

IMAGE = (2, 4, 6, 5)
FOLDED_WEIGHTS = 4e-6
"""Largest difference, as a share of the largest output: some tens of float32 roundings."""


def conv_behind(bias: bool, group: int, opset: int = 17, **attributes: object) -> Model:
    tensors = {"w": weights(8, 4 // group, 3, 3)}
    if bias:
        tensors["c"] = weights(8)
    bn, constants = norm("h", "y", 8)
    conv = N("Conv", ["x", *tensors], ["h"], name="conv", group=group, **attributes)
    return build([conv, bn], tensors | constants, IMAGE, opset=opset)


def transpose_behind(group: int) -> Model:
    bn, constants = norm("h", "y", 6)
    tensors = {"w": weights(4, 6 // group, 3, 3)}
    conv = N("ConvTranspose", ["x", "w"], ["h"], name="up", group=group, strides=[2, 2])
    return build([conv, bn], tensors | constants, IMAGE)


def gemm_behind(trans: int, alpha: float, beta: float, c: tuple[int, ...] | None) -> Model:
    tensors = {"w": weights(5, 4) if trans else weights(4, 5)}
    if c is not None:
        tensors["c"] = weights(*c)
    bn, constants = norm("h", "y", 5)
    gemm = N("Gemm", ["x", *tensors], ["h"], name="g", transB=trans, alpha=alpha, beta=beta)
    return build([gemm, bn], tensors | constants, ("N", 4))


def matmul_behind(add: bool) -> Model:
    bn, constants = norm("h", "y", 5)
    tensors = {"w": weights(4, 5)}
    nodes = [N("MatMul", ["x", "w"], ["p" if add else "h"], name="mm")]
    if add:
        tensors["c"] = weights(5)
        nodes.append(N("Add", ["c", "p"], ["h"], name="add"))
    return build([*nodes, bn], tensors | constants, ("N", 4))


def chain() -> Model:
    first, one = norm("h", "i", 4, "bn1")
    second, two = norm("i", "y", 4, "bn2", epsilon=0.1)
    conv = N("Conv", ["x", "w"], ["h"], name="conv")
    return build([conv, first, second], {"w": weights(4, 4, 3, 3)} | one | two, IMAGE)


def in_front(kind: str, *, shift: bool = True, **attributes: object) -> Model:
    bn, constants = norm("r", "h", 4)
    if not shift:
        constants["bn.b"] = constants["bn.m"] * 0
        constants["bn.m"] = constants["bn.m"] * 0
    shapes = {"Conv": (6, 4, 3, 3), "depthwise": (8, 1, 3, 3), "ConvTranspose": (4, 6, 3, 3)}
    tensors = {"w": weights(*shapes[kind])}
    if kind == "depthwise":
        kind, attributes = "Conv", {**attributes, "group": 4}
    linear = N(kind, ["h", "w"], ["y"], name="lin", **attributes)
    return build([N("Relu", ["x"], ["r"]), bn, linear], tensors | constants, IMAGE)


def dense_in_front(op: str) -> Model:
    bn, constants = norm("r", "h", 4)
    linear = N(op, ["h", "w"], ["y"], name="lin")
    return build([N("Relu", ["x"], ["r"]), bn, linear], {"w": weights(4, 5)} | constants, (3, 4))


def two_readers_behind() -> Model:
    bn, constants = norm("r", "h", 4)
    nodes = [N("Relu", ["x"], ["r"]), bn]
    nodes += [N("Conv", ["h", w], [f"o{w}"], name=f"c{w}") for w in ("w", "v")]
    nodes.append(N("Add", ["ow", "ov"], ["y"]))
    tensors = {"w": weights(4, 4, 1, 1), "v": weights(4, 4, 1, 1)}
    return build(nodes, tensors | constants, IMAGE)


def shared_weights() -> Model:
    bn, constants = norm("h", "i", 4)
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="a"),
        bn,
        N("Conv", ["x", "w"], ["j"], name="b"),
        N("Add", ["i", "j"], ["y"]),
    ]
    return build(nodes, {"w": weights(4, 4, 3, 3)} | constants, IMAGE)


def caffe_scale() -> Model:
    bn, constants = norm("h", "i", 4)
    tensors = {"w": weights(4, 4, 3, 3), "s": weights(4, 1, 1), "t": weights(1, 4, 1, 1)}
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="conv"),
        bn,
        N("Mul", ["s", "i"], ["j"], name="scale"),
        N("Sub", ["t", "j"], ["y"], name="shift"),
    ]
    return build(nodes, tensors | constants, IMAGE)


def constant_nodes() -> Model:
    bn, constants = norm("h", "y", 4)
    nodes = [
        N("Constant", [], ["w0"], value=numpy_helper.from_array(weights(4, 3, 3, 4))),
        N("Transpose", ["w0"], ["w1"], perm=[0, 3, 1, 2]),
        N("Identity", ["w1"], ["w"]),
        N("Conv", ["x", "w"], ["h"], name="conv"),
    ]
    return build([*nodes, bn], constants, IMAGE)


FOLDS: dict[str, tuple[Callable[[], Model], list[str]]] = {
    "conv": (lambda: conv_behind(False, 1, pads=[1, 1, 1, 1]), ["Conv"]),
    "conv with bias": (lambda: conv_behind(True, 1, auto_pad="SAME_UPPER"), ["Conv"]),
    "grouped": (lambda: conv_behind(True, 2), ["Conv"]),
    "depthwise": (lambda: conv_behind(False, 4), ["Conv"]),
    "opset 9": (lambda: conv_behind(True, 1, opset=9), ["Conv"]),
    "conv transpose": (lambda: transpose_behind(1), ["ConvTranspose"]),
    "grouped conv transpose": (lambda: transpose_behind(2), ["ConvTranspose"]),
    "gemm": (lambda: gemm_behind(0, 1.0, 1.0, (5,)), ["Gemm"]),
    "gemm transB alpha beta": (lambda: gemm_behind(1, 0.5, 2.0, (1, 5)), ["Gemm"]),
    "gemm beta 0": (lambda: gemm_behind(1, 1.0, 0.0, (5,)), ["Gemm"]),
    "gemm scalar bias": (lambda: gemm_behind(0, 1.0, 1.0, (1,)), ["Gemm"]),
    "gemm without bias": (lambda: gemm_behind(0, 2.0, 1.0, None), ["Gemm"]),
    "matmul": (lambda: matmul_behind(False), ["MatMul", "Add"]),
    "matmul and add": (lambda: matmul_behind(True), ["MatMul", "Add"]),
    "chain": (chain, ["Conv"]),
    "in front of conv": (lambda: in_front("Conv"), ["Relu", "Conv"]),
    "in front of valid conv": (lambda: in_front("Conv", auto_pad="VALID"), ["Relu", "Conv"]),
    "in front of depthwise": (lambda: in_front("depthwise"), ["Relu", "Conv"]),
    "in front, padded, no shift": (
        lambda: in_front("Conv", shift=False, pads=[1, 1, 1, 1]),
        ["Relu", "Conv"],
    ),
    "in front of conv transpose, no shift": (
        lambda: in_front("ConvTranspose", shift=False),
        ["Relu", "ConvTranspose"],
    ),
    "in front of gemm": (lambda: dense_in_front("Gemm"), ["Relu", "Gemm"]),
    "in front of matmul": (lambda: dense_in_front("MatMul"), ["Relu", "MatMul", "Add"]),
    "in front of two": (two_readers_behind, ["Relu", "Conv", "Conv", "Add"]),
    "shared weights": (shared_weights, ["Conv", "Conv", "Add"]),
    "scale and shift": (caffe_scale, ["Conv"]),
    "constant nodes": (constant_nodes, ["Conv"]),
}


@pytest.mark.parametrize("name", FOLDS)
def test_folding_keeps_the_outputs(name: str) -> None:
    make, left = FOLDS[name]
    model = make()
    before = model.serialize()
    result = fold_batchnorm(model)
    assert ops(result.model) == left
    assert not result.refused and result.folded
    assert model.serialize() == before
    shape = [d if isinstance(d, int) else 3 for d in model.inputs[0].shape or ()]
    x = weights(*shape, scale=2)
    assert close(run(model, x)[0], run(result.model, x)[0], FOLDED_WEIGHTS)
    names = {tensor.name for tensor in result.model._proto.graph.initializer}
    read = {name for node in result.model._proto.graph.node for name in node.input}
    assert names <= read, "constants that nobody reads stay"


def refused(model: Model, reason: str) -> None:
    """Check that nothing is folded and why."""
    result = fold_batchnorm(model)
    assert not result.folded and ops(result.model) == ops(model)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(result.refused[0].reason)


def test_two_readers_in_front_are_refused() -> None:
    bn, constants = norm("h", "i", 4)
    nodes = [N("Conv", ["x", "w"], ["h"], name="c"), bn, N("Add", ["h", "i"], ["y"])]
    refused(
        build(nodes, {"w": weights(4, 4, 1, 1)} | constants, IMAGE),
        "other nodes or the caller read the output of 'c' too; 'y' behind it: Add is no linear",
    )


def test_an_output_of_the_model_in_front_is_refused() -> None:
    bn, constants = norm("h", "y", 4)
    nodes = [N("Conv", ["x", "w"], ["h"], name="c"), bn]
    model = build(nodes, {"w": weights(4, 4, 1, 1)} | constants, IMAGE, outputs=("y", "h"))
    refused(model, "the caller read the output of 'c' too; its output is the model's")


def test_training_mode_is_refused() -> None:
    bn, constants = norm("h", "y", 8, training_mode=1)
    bn.output.extend(["m", "v"])
    conv = N("Conv", ["x", "w"], ["h"], name="c")
    model = build([conv, bn], {"w": weights(8, 4, 3, 3)} | constants, IMAGE)
    refused(model, "normalises by the batch")


def test_a_normalisation_alone_stays() -> None:
    bn, constants = norm("x", "h", 4)
    refused(
        build([bn, N("Relu", ["h"], ["y"])], constants, IMAGE),
        "no node makes its input; 'y' behind it: Relu is no linear operator",
    )


def test_padding_with_zeros_behind_is_refused() -> None:
    refused(in_front("Conv", pads=[1, 1, 1, 1]), "'lin' behind it: it pads with zeros")
    refused(in_front("Conv", auto_pad="SAME_LOWER"), "it pads with zeros")


def test_a_shift_in_front_of_conv_transpose_is_refused() -> None:
    refused(in_front("ConvTranspose"), "a shift in front of a ConvTranspose differs")


def test_computed_parameters_are_refused() -> None:
    bn, constants = norm("h", "y", 4)
    mean = N("ReduceMean", ["x"], ["bn.m"], axes=[0, 2, 3], keepdims=0)
    conv = N("Conv", ["x", "w"], ["h"], name="c")
    del constants["bn.m"]
    model = build([mean, conv, bn], {"w": weights(4, 4, 1, 1)} | constants, IMAGE)
    refused(model, r"its 'bn\.m' is computed")


def test_computed_weights_are_refused() -> None:
    bn, constants = norm("h", "y", 2)
    make = N("Slice", ["x", "s", "e"], ["w"])
    conv = N("Conv", ["x", "w"], ["h"], name="c")
    cuts = {"s": np.zeros(4, np.int64), "e": np.array([2, 4, 1, 1])}
    refused(build([make, conv, bn], cuts | constants, IMAGE), "weights 'w' are computed")


def test_matmul_of_three_axes_is_refused() -> None:
    bn, constants = norm("h", "y", 6)
    nodes = [N("MatMul", ["x", "w"], ["h"], name="mm"), bn]
    model = build(nodes, {"w": weights(5, 5)} | constants, (2, 6, 5))
    refused(model, "the output of 'mm' is not known to have 2 axes")


def test_float16_that_would_overflow_is_refused() -> None:
    bn, constants = norm("h", "y", 4)
    constants["bn.s"] = constants["bn.s"] * 0 + np.float32(60000)
    conv = N("Conv", ["x", "w"], ["h"], name="c")
    tensors = {"w": weights(4, 4, 1, 1, scale=50)} | constants
    model = build([conv, bn], tensors, IMAGE, dtype=np.float16)
    refused(model, "the folded numbers do not fit into float16")


def test_float16_folds() -> None:
    bn, constants = norm("h", "y", 4)
    conv = N("Conv", ["x", "w"], ["h"], name="c")
    model = build([conv, bn], {"w": weights(4, 4, 1, 1)} | constants, IMAGE, dtype=np.float16)
    result = fold_batchnorm(model)
    assert ops(result.model) == ["Conv"]
    x = weights(*IMAGE).astype(np.float16)
    assert close(run(model, x)[0], run(result.model, x)[0], 2**-8)  # rounded at other places


def test_nodes_in_subgraphs_are_listed() -> None:
    bn, constants = norm("x", "t", 4)
    branch = helper.make_graph([bn], "then", [], [value("t")])
    other = helper.make_graph([N("Relu", ["x"], ["e"])], "else", [], [value("e")])
    node = N("If", ["c"], ["y"], then_branch=branch, else_branch=other)
    model = build([node], constants | {"c": np.array(True)}, IMAGE)
    result = fold_batchnorm(model)
    assert [r.reason for r in result.refused] == ["it stands in a subgraph (If, Loop or Scan)"]


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, IMAGE)


def test_external_weights_fold(tmp_path) -> None:
    model = conv_behind(True, 1)
    path = tmp_path / "m.onnx"
    onnx.save(load(model._proto)._proto, path, save_as_external_data=True, size_threshold=0)
    result = fold_batchnorm(load(path))
    x = weights(*IMAGE)
    assert ops(result.model) == ["Conv"]
    assert close(run(model, x)[0], run(result.model, x)[0], FOLDED_WEIGHTS)


@pytest.mark.parametrize("name", light_models.paths())
def test_the_light_models_keep_their_outputs(name: str) -> None:
    proto = light_models.with_random_weights(light_models.paths()[name])
    model, x = load(proto), light_models.random_input(proto)
    result = fold_batchnorm(model)
    norms = ops(model).count("BatchNormalization")
    left = 62 if name == "densenet121" else 0  # they follow a concatenation or a pooling
    assert len(result.refused) == left
    assert ops(result.model).count("BatchNormalization") == left
    assert sum(f.op == "BatchNormalization" for f in result.folded) == norms - left
    if not norms:
        assert not result.folded and result.model._proto.graph == model._proto.graph
        return
    before, after = (
        open_session(m, threads=2, optimisation="none").run(x)[0] for m in (model, result.model)
    )
    assert close(before, after, 1e-5)
