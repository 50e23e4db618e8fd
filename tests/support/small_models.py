"""Networks small enough to check by hand; integer weights keep every sum exact."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9


def model(
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
) -> onnx.ModelProto:
    """Return a checked model with float inputs and outputs."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(proto)
    return proto


def dense(seed: int = 0, units: int = 6, features: int = 4, shift: int = 0) -> onnx.ModelProto:
    """Return Gemm, Relu, Gemm, Relu, Gemm with integer weights."""
    rng = np.random.default_rng(seed)
    sizes = [features, units, units, 3]
    nodes, weights = [], {}
    last = "x"
    for layer in range(3):
        weights[f"w{layer}"] = rng.integers(-3, 4, (sizes[layer], sizes[layer + 1])).astype("f4")
        weights[f"b{layer}"] = rng.integers(-2, 3, sizes[layer + 1]).astype("f4") + shift
        nodes.append(
            helper.make_node(
                "Gemm", [last, f"w{layer}", f"b{layer}"], [f"pre{layer}"], name=f"gemm{layer}"
            )
        )
        last = f"pre{layer}"
        if layer < 2:
            nodes.append(helper.make_node("Relu", [last], [f"act{layer}"], name=f"relu{layer}"))
            last = f"act{layer}"
    return model(nodes, weights, {"x": ["N", features]}, {"pre2": ["N", 3]})


def convolutional(seed: int = 0, size: int | str = 5) -> onnx.ModelProto:
    """Return Conv, Relu, Conv, Relu over [N, 2, size, size] with integer weights."""
    rng = np.random.default_rng(seed)
    weights = {
        "w0": rng.integers(-2, 3, (5, 2, 3, 3)).astype("f4"),
        "w1": rng.integers(-2, 3, (7, 5, 3, 3)).astype("f4"),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["pre0"], name="conv0", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["pre0"], ["act0"], name="relu0"),
        helper.make_node("Conv", ["act0", "w1"], ["pre1"], name="conv1", strides=[2, 2]),
        helper.make_node("Relu", ["pre1"], ["y"], name="relu1"),
    ]
    return model(nodes, weights, {"x": ["N", 2, size, size]}, {"y": ["N", 7, "A", "B"]})


def integers(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return small integers as float32."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)
