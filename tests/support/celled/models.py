"""Small networks for the tests of cells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from reluflow.graph import Model, load


def mlp(weights: Sequence[Any], biases: Sequence[Any]) -> Model:
    """Return Gemm, Relu, ..., Gemm; the switches are r0, r1, ..."""
    nodes, constants, value = [], [], "x"
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        for name, array in ((f"w{i}", w), (f"b{i}", b)):
            constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        made = "y" if i == len(weights) - 1 else f"z{i}"
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [made], name=f"g{i}"))
        if made != "y":
            value = f"a{i}"
            nodes.append(helper.make_node("Relu", [made], [value], name=f"r{i}"))
    shape = np.asarray(weights[0]).shape[0], np.asarray(weights[-1]).shape[1]
    return graph(nodes, constants, [shape[0]], [shape[1]])


def random_mlp(widths: Sequence[int], seed: int, scale: float = 0.3) -> Model:
    """Return a network of these widths with normal weights and biases."""
    draw = np.random.default_rng(seed)
    pairs = list(pairwise(widths))
    weights = [draw.standard_normal((a, b)) * np.sqrt(2 / a) for a, b in pairs]
    return mlp(weights, [draw.standard_normal(b) * scale for _, b in pairs])


def graph(
    nodes: Sequence[Any],
    constants: Sequence[Any],
    inputs: Sequence[int],
    outputs: Sequence[int | str],
) -> Model:
    """Return a model from x to y."""
    made = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", *inputs])],
        [helper.make_tensor_value_info("y", 1, ["N", *outputs])],
        list(constants),
    )
    opset = [helper.make_opsetid("", 17)]
    return load(helper.make_model(made, opset_imports=opset, ir_version=8))


def image_model(middle: Sequence[Any], constants: dict[str, NDArray[Any]], seed: int = 0) -> Model:
    """Return x -> an image `h` of 2 x 6 x 6, the given nodes from h to t, then y of 3 numbers."""
    draw = np.random.default_rng(seed)
    own: dict[str, NDArray[Any]] = {
        "w_in": draw.standard_normal((2, 72)).astype(np.float32),
        "b_in": draw.standard_normal(72).astype(np.float32),
        "to_image": np.array([-1, 2, 6, 6], np.int64),
        **constants,
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w_in", "b_in"], ["flat"], name="in"),
        helper.make_node("Reshape", ["flat", "to_image"], ["h"], name="image"),
        *middle,
        helper.make_node("GlobalAveragePool", ["t"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["y"], name="out"),
    ]
    return graph(nodes, [numpy_helper.from_array(v, k) for k, v in own.items()], [2], ["k"])
