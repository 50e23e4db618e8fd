"""Small networks for chains of int16, and exponents from the ranges of their tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from chain_nets import conv, kernels, network, single
from rewriting import N

from reluflow.graph import Model, expose, psb_inputs
from reluflow.sessions import open_session


def pooled() -> Model:
    """A stem with pooling, a residual block, a mean and floats at the end."""
    return network(
        conv("x", "w", "h", "stem", pads=[1, 1, 1, 1]),
        N("Relu", ["h"], ["r"], name="act"),
        N("MaxPool", ["r"], ["m"], name="pool", kernel_shape=[2, 2]),
        conv("m", "v", "k", "inner", pads=[1, 1, 1, 1]),
        N("Add", ["k", "m"], ["s"], name="add"),
        N("Relu", ["s"], ["t"], name="act2"),
        N("GlobalAveragePool", ["t"], ["y"], name="mean"),
        tensors=kernels(w=(8, 3, 3, 3), v=(8, 8, 3, 3)),
    )


def mobile() -> Model:
    """Depthwise, with bounds on both sides, and a float operator in between."""
    return network(
        conv("x", "w", "h", "expand"),
        N("Clip", ["h", "zero", "six"], ["r"], name="bounds"),
        conv("r", "v", "k", "depthwise", group=12, pads=[1, 0, 1, 1]),
        N("Sigmoid", ["k"], ["g"], name="gate"),
        conv("g", "u", "y", "project"),
        tensors=kernels(w=(12, 3, 1, 1), v=(12, 1, 3, 3), u=(5, 12, 1, 1))
        | {"zero": single(0), "six": single(0.75)},
    )


def interpolated(**how: Any) -> Model:
    """Linear Resizes by scales and to the size of another tensor, joined with what is as large."""
    linear: dict[str, Any] = {"mode": "linear", **how}
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        N("Resize", ["r", "", "twice"], ["a"], name="up", **linear),
        conv("a", "v", "k", "second", strides=[2, 1]),
        N("Shape", ["r"], ["s"]),
        N("Resize", ["k", "", "", "s"], ["b"], name="like", **linear),
        N("Concat", ["b", "r"], ["c"], axis=1, name="join"),
        conv("c", "u", "y", "last"),
        tensors=kernels(w=(4, 3, 2, 1), v=(4, 4, 1, 1), u=(3, 8, 1, 2))
        | {"twice": np.array([1, 1, 2, 2], np.float32)},
        opset=18,
    )


def largest_exponents(model: Model, x: np.ndarray, bits: int = 12) -> dict[str, int]:
    """Return for every tensor the largest exponent that holds its values."""
    names = [name for node in model._proto.graph.node for name in node.output if name]
    zeros = dict.fromkeys(psb_inputs(model), np.array(0, np.int64))
    session = open_session(expose(model, names).model, threads=1)
    values = dict(zip(session.outputs, session.run({"x": x} | zeros), strict=True)) | {"x": x}
    most = 2 ** (bits - 1) - 1
    return {
        name: math.floor(math.log2(most / np.abs(value).max()))
        for name, value in values.items()
        if value.dtype == np.float32 and value.any()
    }
