"""Small float models for rewrites, and how to run the results without optimisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike
from onnx import helper, numpy_helper

from reluflow.graph import Model
from reluflow.sessions import open_session

N = helper.make_node
RNG = np.random.default_rng(3)


def weights(*shape: int, scale: float = 0.5) -> np.ndarray:
    """Return normal float32 numbers, the same for one order of calls."""
    return (scale * RNG.standard_normal(shape)).astype(np.float32)


def norm(x: str, y: str, channels: int, name: str = "bn", **attributes: Any) -> tuple[Any, ...]:
    """Return a BatchNormalization and its tensors, factor and shift far from 1 and 0."""
    tensors = {
        f"{name}.s": 1 + weights(channels),
        f"{name}.b": weights(channels, scale=1),
        f"{name}.m": weights(channels, scale=1),
        f"{name}.v": np.abs(weights(channels)) + np.float32(0.3),
    }
    node = N("BatchNormalization", [x, *tensors], [y], name=name, **attributes)
    return node, tensors


def build(
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, Any],
    x: tuple[int | str, ...],
    rank: int | None = None,
    *,
    opset: int = 17,
    ir: int = 8,
    outputs: tuple[str, ...] = ("y",),
    dtype: DTypeLike = np.float32,
) -> Model:
    """Return a checked model of one input `x`."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    shape = [None] * (rank or len(x))
    initializers = [
        numpy_helper.from_array(a.astype(dtype) if a.dtype == np.float32 else a, name)
        for name, a in constants.items()
    ]
    given = [helper.make_tensor_value_info("x", kind, x)]
    if ir < 4:
        given += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in initializers]
    graph = helper.make_graph(
        nodes,
        "g",
        given,
        [helper.make_tensor_value_info(name, kind, shape) for name in outputs],
        initializers,
    )
    imports = [helper.make_opsetid("", opset)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=ir)
    onnx.checker.check_model(proto)
    return Model(proto)


def run(model: Model, x: np.ndarray, **more: np.ndarray) -> list[np.ndarray]:
    """Run a model with graph optimisation disabled and without the native library."""
    onnx.checker.check_model(model._proto)
    session = open_session(model, threads=1, optimisation="none", library=False)
    return session.run({"x": x, **more})


def ops(model: Model) -> list[str]:
    """Return the operators of the main graph, in order."""
    return [node.op_type for node in model._proto.graph.node]


def close(left: np.ndarray, right: np.ndarray, tolerance: float = 2e-6) -> bool:
    """Tell whether two results differ by at most a share of the largest magnitude."""
    assert left.shape == right.shape and left.dtype == right.dtype
    difference = np.abs(left.astype(np.float64) - right.astype(np.float64)).max()
    return bool(difference <= tolerance * np.abs(left.astype(np.float64)).max())


SHAPE = (4, 12, 12)
"""Of one input of `every_layer`."""


def every_layer() -> Model:
    """Return strides, depthwise, a skip connection, dilations, MatMul and Gemm in one network."""
    first_norm, tensors = norm("h", "n", 8)
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first", pads=[1, 1, 1, 1]),
        first_norm,
        N("Relu", ["n"], ["r"]),
        N("Conv", ["r", "w2", "b2"], ["d"], name="depthwise", group=8, pads=[1, 1, 1, 1]),
        N("Relu", ["d"], ["e"]),
        N("Conv", ["e", "w3"], ["c"], name="pointwise"),
        N("Add", ["c", "r"], ["s"]),
        N("Conv", ["s", "w4"], ["q"], name="dilated", dilations=[2, 2], strides=[2, 2]),
        N("Relu", ["q"], ["t"]),
        N("GlobalAveragePool", ["t"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("MatMul", ["f", "w5"], ["m"], name="matrix"),
        N("Relu", ["m"], ["o"]),
        N("Gemm", ["o", "w6", "b6"], ["y"], name="last", alpha=0.5, transB=1),
    ]
    tensors |= {
        "w1": weights(8, 4, 3, 3),
        "w2": weights(8, 1, 3, 3),
        "b2": weights(8),
        "w3": weights(8, 8, 1, 1),
        "w4": weights(16, 8, 3, 3),
        "w5": weights(16, 10),
        "w6": weights(5, 10),
        "b6": weights(5),
    }
    return build(nodes, tensors, ("N", *SHAPE), 2)
