"""Small models of every kind of output, with data whose correct answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

N_INPUTS = 400
Array = NDArray[np.float32]


def node(op: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs, [output], f"{output}_node", domain=domain, **attributes)


def model(
    nodes: list[NodeProto],
    weights: dict[str, np.ndarray],
    shape: list[int | str],
    outputs: dict[str, tuple[int, list[int | str]]],
) -> ModelProto:
    """Return a model with one input x, `(N, *shape)`."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value("x", TensorProto.FLOAT, ["N", *shape])],
        [value(name, kind, ["N", *rest]) for name, (kind, rest) in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


@dataclass(frozen=True)
class Case:
    """A model, its data and the correct answers."""

    proto: ModelProto
    x: Array
    labels: np.ndarray


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def one_value(sigmoid: bool = False, noise: float = 0.0) -> Case:
    """A linear net with one output; bits of its sign, or the value with noise as targets."""
    w, x = random(8, 1), random(N_INPUTS, 8, seed=1)
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        node("Sigmoid" if sigmoid else "Identity", ["h"], "y"),
    ]
    proto = model(nodes, {"w": w}, [8], {"y": (TensorProto.FLOAT, [1])})
    value = (x @ w)[:, 0]
    if noise:
        return Case(proto, x, value + noise * random(N_INPUTS, seed=2))
    return Case(proto, x, (value > 0).astype(np.int64))


def scikit_mlp(zipmap: bool, values: tuple[int, ...] = (3, 5, 9)) -> Case:
    """What skl2onnx writes for an MLPClassifier: class labels and probabilities.

    The second layer is fitted to the class of the nearest of three centres.
    """
    classes = len(values)
    centres, x = 2 * random(classes, 6), random(N_INPUTS, 6, seed=3)
    x += centres[np.arange(N_INPUTS) % classes]
    truth = np.arange(N_INPUTS) % classes
    w1 = random(6, 24, seed=4) / 2
    hidden = np.maximum(x @ w1, 0)
    w2 = np.linalg.lstsq(hidden, np.eye(classes, dtype=np.float32)[truth], rcond=None)[0]
    nodes = [
        node("Cast", ["x"], "cast", to=TensorProto.FLOAT),
        node("MatMul", ["cast", "w1"], "a"),
        node("Relu", ["a"], "h"),
        node("MatMul", ["h", "w2"], "scores"),
        node("Softmax", ["scores"], "p", axis=1),
        node("ArgMax", ["p"], "place", axis=1),
        node("ArrayFeatureExtractor", ["values", "place"], "found", domain="ai.onnx.ml"),
        node("Reshape", ["found", "flat"], "output_label"),
    ]
    outputs: dict[str, tuple[int, list[int | str]]] = {
        "output_label": (TensorProto.INT64, []),
        "p": (TensorProto.FLOAT, [classes]),
    }
    weights: dict[str, np.ndarray] = {"w1": w1, "w2": w2.astype(np.float32)}
    weights |= {"values": np.array(values), "flat": np.array([-1])}
    proto = model(nodes, weights, [6], outputs)
    if zipmap:
        proto.graph.node.append(
            node(
                "ZipMap",
                ["p"],
                "output_probability",
                domain="ai.onnx.ml",
                classlabels_int64s=values,
            )
        )
        del proto.graph.output[1]
        kind = helper.make_sequence_type_proto(
            helper.make_map_type_proto(
                TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
            )
        )
        proto.graph.output.append(helper.make_value_info("output_probability", kind))
        onnx.checker.check_model(proto)
    return Case(proto, x, np.array(values)[truth])


def dense_map(channels: int, tail: str = "Identity", squeezed: bool = False) -> Case:
    """One convolution; the truth of a pixel is its largest channel, or the sign of the only one."""
    k, x = random(channels, 2, 3, 3), random(30, 2, 12, 12, seed=5)
    nodes = [node("Conv", ["x", "k"], "c", pads=[1] * 4), node(tail, ["c"], "t")]
    weights: dict[str, np.ndarray] = {"k": k}
    shape: list[int | str] = [12, 12] if squeezed else [channels, 12, 12]
    if squeezed:
        nodes.append(node("Squeeze", ["t", "one"], "y"))
        weights["one"] = np.array([1])
    else:
        nodes.append(node("Identity", ["t"], "y"))
    proto = model(nodes, weights, [2, 12, 12], {"y": (TensorProto.FLOAT, shape)})
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    values = np.einsum("nchwij,ocij->nohw", windows, k, optimize=True)
    truth = values.argmax(axis=1) if channels > 1 else values[:, 0] > 0
    return Case(proto, x, truth.astype(np.uint8))


def loud_channel(times: float, x_shape: tuple[int, ...] = (30, 2, 12, 12)) -> Case:
    """Two convolutions; one channel between them is `times` as loud, and weighted so much less."""
    k1, k2 = random(8, 2, 3, 3), random(4, 8, 3, 3, seed=6)
    k1[5] *= times
    k2[:, 5] /= times
    nodes = [
        node("Conv", ["x", "k1"], "a", pads=[1] * 4),
        node("Relu", ["a"], "h"),
        node("Conv", ["h", "k2"], "y", pads=[1] * 4),
    ]
    output: dict[str, tuple[int, list[int | str]]] = {"y": (TensorProto.FLOAT, [4, *x_shape[2:]])}
    proto = model(nodes, {"k1": k1, "k2": k2}, list(x_shape[1:]), output)
    return Case(proto, random(*x_shape, seed=7), np.zeros(0))


def loud_output(times: float, x_shape: tuple[int, ...] = (20, 2, 12, 12)) -> Case:
    """Two convolutions and a pool; the second one makes a channel `times` as loud as the others."""
    k1, k2 = random(8, 2, 3, 3), random(4, 8, 3, 3, seed=6)
    k2[2] *= times
    nodes = [
        node("Conv", ["x", "k1"], "a", pads=[1] * 4),
        node("Relu", ["a"], "h"),
        node("Conv", ["h", "k2"], "c", pads=[1] * 4),
        node("MaxPool", ["c"], "y", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    output: dict[str, tuple[int, list[int | str]]] = {"y": (TensorProto.FLOAT, [4, 6, 6])}
    proto = model(nodes, {"k1": k1, "k2": k2}, list(x_shape[1:]), output)
    return Case(proto, random(*x_shape, seed=7), np.zeros(0))
