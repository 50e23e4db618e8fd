"""Folding: every placement preserves the outputs; what cannot be folded has a reason."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from networks import light
from onnx import TensorProto, helper, numpy_helper
from rewriting import N, build, close, norm, ops, run, weights

from reluflow.graph import Model, fold_batchnorm, load
from reluflow.sessions import open_session

IMAGE = (2, 4, 6, 5)
FOLDED_WEIGHTS = 4e-6
"""Largest difference, as a share of the largest output: some tens of float32 roundings."""


def conv_behind(bias: bool, group: int, opset: int = 17, **attributes: Any) -> Model:
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


def in_front(kind: str, *, shift: bool = True, **attributes: Any) -> Model:
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


def seen_through(*between: onnx.NodeProto, **constants: np.ndarray) -> Model:
    """A convolution, nodes that do nothing from "h" to "i", a normalisation, more of them."""
    bn, tensors = norm("i", "j", 4)
    conv = N("Conv", ["x", "w"], ["h"], name="conv")
    nodes = [conv, *between, bn, N("Dropout", ["j"], ["y"])]
    return build(nodes, {"w": weights(4, 4, 1, 1)} | tensors | constants, IMAGE)


def seen_through_ahead() -> Model:
    bn, constants = norm("r", "h", 4)
    nodes = [N("Relu", ["x"], ["r"]), bn, N("Dropout", ["h"], ["d"]), N("Identity", ["d"], ["i"])]
    nodes += [N("Gemm", ["i", "w"], ["a"], name="a"), N("Gemm", ["d", "w"], ["b"], name="b")]
    nodes.append(N("Add", ["a", "b"], ["y"]))
    return build(nodes, {"w": weights(4, 5)} | constants, (3, 4))


def seen_through_ahead_transposed() -> Model:
    bn, constants = norm("r", "h", 4)
    nodes = [N("Relu", ["x"], ["r"]), bn, N("Transpose", ["h"], ["t"], perm=[0, 2, 3, 1])]
    nodes += [N("Transpose", ["t"], ["u"], perm=[0, 3, 1, 2]), N("Conv", ["u", "w"], ["y"])]
    return build(nodes, {"w": weights(4, 4, 1, 1)} | constants, IMAGE)


def seen_through_to_a_sum() -> Model:
    bn, constants = norm("h", "y", 5)
    nodes = [N("MatMul", ["x", "w"], ["p"], name="mm"), N("Identity", ["p"], ["q"])]
    nodes += [N("Add", ["q", "c"], ["s"], name="add"), N("Identity", ["s"], ["h"]), bn]
    tensors = {"w": weights(4, 5), "c": weights(5)}
    return build(nodes, tensors | constants, ("N", 4))


def behind_dequantised(axis: int | None) -> Model:
    bn, constants = norm("h", "y", 5)
    scale = np.array(0.1, np.float32) if axis is None else np.abs(weights(5 if axis else 4)) + 0.1
    more: dict[str, Any] = {} if axis is None else {"axis": axis}
    q = (weights(4, 5) * 40).astype(np.int8)
    nodes = [N("DequantizeLinear", ["q", "qs"], ["w"], **more), N("Gemm", ["x", "w"], ["h"]), bn]
    return build(nodes, {"q": q, "qs": scale.astype(np.float32)} | constants, ("N", 4))


SHAPE = np.array([0, 4, -1, 5], np.int64)
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
    "behind Identity": (lambda: seen_through(N("Identity", ["h"], ["i"])), ["Conv", "Dropout"]),
    "behind Dropout": (lambda: seen_through(N("Dropout", ["h"], ["i"])), ["Conv", "Dropout"]),
    "behind Cast": (lambda: seen_through(N("Cast", ["h"], ["i"], to=1)), ["Conv", "Dropout"]),
    "behind Reshape": (
        lambda: seen_through(N("Reshape", ["h", "shape"], ["i"]), shape=SHAPE),
        ["Conv", "Dropout"],
    ),
    "behind Pad": (
        lambda: seen_through(N("Pad", ["h", "p"], ["i"]), p=np.zeros(8, np.int64)),
        ["Conv", "Dropout"],
    ),
    "behind Transpose twice": (
        lambda: seen_through(
            N("Transpose", ["h"], ["t"], perm=[0, 2, 3, 1]),
            N("Identity", ["t"], ["u"]),
            N("Transpose", ["u"], ["i"], perm=[0, 3, 1, 2]),
        ),
        ["Conv", "Dropout"],
    ),
    "behind several": (
        lambda: seen_through(N("Sum", ["h"], ["t"]), N("Identity", ["t"], ["i"])),
        ["Conv", "Dropout"],
    ),
    "in front of Dropout": (seen_through_ahead, ["Relu", "Gemm", "Gemm", "Add"]),
    "in front of Transpose twice": (seen_through_ahead_transposed, ["Relu", "Conv"]),
    "behind Identity and Add": (seen_through_to_a_sum, ["MatMul", "Add"]),
    "dequantised": (lambda: behind_dequantised(None), ["Gemm"]),
    "dequantised along outputs": (lambda: behind_dequantised(1), ["Gemm"]),
    "dequantised along inputs": (lambda: behind_dequantised(0), ["Gemm"]),
}


@pytest.mark.parametrize("name", FOLDS)
def test_folding_keeps_the_outputs(name: str) -> None:
    make, left = FOLDS[name]
    model = make()
    before = model.serialize()
    result = fold_batchnorm(model)
    assert ops(result.model) == left
    assert not result.refused and result.done
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
    assert not result.done and ops(result.model) == ops(model)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(result.refused[0].reason)


BETWEEN = {
    "a shape that changes": (N("Reshape", ["h", "s"], ["i"]), np.array([1, 4, 12, 5], np.int64)),
    "a type that changes": (N("Cast", ["h"], ["i"], to=11), None),
    "one transposition": (N("Transpose", ["h"], ["i"], perm=[0, 1, 3, 2]), None),
    "padding": (N("Pad", ["h", "s"], ["i"]), np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int64)),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_what_does_something_is_not_seen_through(name: str) -> None:
    node, constant = BETWEEN[name]
    result = fold_batchnorm(seen_through(node, **({} if constant is None else {"s": constant})))
    assert not result.done and node.op_type in ops(result.model)
    assert f"'i' in front of it: {node.op_type} is no linear operator" in result.refused[0].reason


def test_an_active_dropout_is_not_seen_through() -> None:
    node = N("Dropout", ["h", "r", "t"], ["i"])
    constants = {"r": np.array(0.5, np.float32), "t": np.array(True)}
    assert not fold_batchnorm(seen_through(node, **constants)).done


def replaceable(*extra: onnx.NodeProto, ir: int = 8) -> onnx.ModelProto:
    """A folding model whose weights are inputs with defaults; "w" may have other readers."""
    model = build(
        [*conv_behind(False, 1)._proto.graph.node, *extra],
        {"w": weights(8, 4, 3, 3)} | norm("h", "y", 8)[1],
        IMAGE,
        outputs=("y", *(node.output[0] for node in extra)),
        ir=ir,
    )
    proto = model._proto
    listed = {value.name for value in proto.graph.input}
    for tensor in proto.graph.initializer:
        if tensor.name not in listed:
            given = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            proto.graph.input.append(given)
    return proto


def test_folded_defaults_are_no_inputs_any_more() -> None:
    model = load(replaceable())
    result = fold_batchnorm(model)
    assert [value.name for value in result.model._proto.graph.input] == ["x"]
    assert result.notes == result.model.notes
    assert "Defaults of inputs became constants" in result.notes[0] and "'w'" in result.notes[0]
    x = weights(*IMAGE)
    assert close(run(model, x)[0], run(result.model, x)[0], FOLDED_WEIGHTS)


def test_a_default_that_is_half_folded_is_no_input_either() -> None:
    model = load(replaceable(N("Conv", ["x", "w"], ["z"], name="other")))
    result = fold_batchnorm(model)
    assert [value.name for value in result.model._proto.graph.input] == ["x"]
    x = weights(*IMAGE)
    for before, after in zip(run(model, x), run(result.model, x), strict=True):
        assert close(before, after, FOLDED_WEIGHTS)


def test_defaults_that_were_not_folded_stay_inputs() -> None:
    bn, constants = norm("x", "h", 4)
    proto = build([bn, N("Relu", ["h"], ["y"])], constants, IMAGE)._proto
    value = helper.make_tensor_value_info("bn.s", TensorProto.FLOAT, [4])
    proto.graph.input.append(value)
    result = fold_batchnorm(load(proto))
    assert [each.name for each in result.model._proto.graph.input] == ["x", "bn.s"]
    assert not result.notes


def test_old_models_that_must_list_weights_fold_under_new_names() -> None:
    proto = replaceable(ir=3)
    proto.opset_import[0].version = 9
    result = fold_batchnorm(load(proto))
    held = {tensor.name for tensor in result.model._proto.graph.initializer}
    assert ops(result.model) == ["Conv"] and "w" not in held
    assert {value.name for value in result.model._proto.graph.input} == {"x", *held}
    x = weights(*IMAGE)
    assert close(run(load(proto), x)[0], run(result.model, x)[0], FOLDED_WEIGHTS)


def test_bfloat16_folds() -> None:
    bfloat16 = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
    bn, constants = norm("h", "y", 4)
    conv = N("Conv", ["x", "w"], ["h"], name="c")
    tensors = {"w": weights(4, 4, 1, 1)} | constants
    model = build([conv, bn], tensors, IMAGE, dtype=bfloat16)
    result = fold_batchnorm(model)
    assert ops(result.model) == ["Conv"]
    w = numpy_helper.to_array(result.model._proto.graph.initializer[0])
    scale = constants["bn.s"] / np.sqrt(constants["bn.v"] + 1e-5)
    wanted = tensors["w"] * scale.reshape(4, 1, 1, 1)
    assert w.dtype == bfloat16 and np.allclose(w.astype(np.float32), wanted, rtol=2**-6)


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


@pytest.mark.parametrize("name", light.paths())
def test_the_light_models_keep_their_outputs(name: str) -> None:
    model = load(light.paths()[name])
    norms = ops(model).count("BatchNormalization")
    if norms:  # where there is nothing to fold, hundreds of megabytes would not matter
        model = load(light.with_random_weights(light.paths()[name]))
    result = fold_batchnorm(model)
    left = 62 if name == "densenet121" else 0  # they follow a concatenation or a pooling
    assert len(result.refused) == left
    assert ops(result.model).count("BatchNormalization") == left
    assert sum(f.op == "BatchNormalization" for f in result.done) == norms - left
    if not norms:
        assert not result.done and result.model._proto.graph == model._proto.graph
        return
    x = light.random_input(model._proto)
    before, after = (
        open_session(m, threads=2, optimisation="none").run(x)[0] for m in (model, result.model)
    )
    assert close(before, after, 1e-5)
