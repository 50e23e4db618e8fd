"""Small networks for pictures and their converted forms, with floats, bytes and int16."""

from __future__ import annotations

import numpy as np
from chain_nets import PIXELS, conv, converted, network, ranged
from rewriting import N

from reluflow.graph import Model, chain_psb, chain_psb16

Shape = tuple[int | str, ...]
IMAGES = np.random.default_rng(5).random(PIXELS).astype(np.float32)


def stored(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {name: rng.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


def residual(x: Shape = PIXELS) -> Model:
    """Return a network whose sum reads further than its convolution."""
    return network(
        conv("x", "w", "a", "first", pads=[1, 1, 1, 1], strides=[2, 1]),
        N("Relu", ["a"], ["b"]),
        conv("b", "v", "c", "wide", pads=[2, 2, 2, 2], dilations=[2, 2]),
        N("Relu", ["c"], ["d"]),
        conv("d", "u", "e", "point"),
        N("Add", ["e", "b"], ["f"]),
        N("Relu", ["f"], ["g"]),
        conv("g", "u", "y", "last"),
        tensors=stored(w=(4, 3, 3, 3), wb=(4,), v=(4, 4, 3, 3), vb=(4,), u=(4, 4, 1, 1), ub=(4,)),
        x=x,
    )


def pooled(x: Shape = PIXELS) -> Model:
    """Return a network with poolings and an interpolation between its convolutions."""
    size = np.array([1, 1, 2, 2], np.float32)
    return network(
        conv("x", "w", "a", "first", pads=[1, 1, 1, 1]),
        N("Relu", ["a"], ["b"]),
        N("MaxPool", ["b"], ["p"], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0]),
        conv("p", "v", "c", "middle", pads=[1, 0, 1, 0]),
        N("Relu", ["c"], ["d"]),
        N("AveragePool", ["d"], ["q"], kernel_shape=[2, 2]),
        conv("q", "u", "e", "point"),
        N("Relu", ["e"], ["f"]),
        N("Resize", ["f", "", "size"], ["r"], mode="linear"),
        conv("r", "u", "y", "last"),
        tensors={
            **stored(w=(4, 3, 3, 3), wb=(4,), v=(4, 4, 3, 1), vb=(4,), u=(4, 4, 1, 1), ub=(4,)),
            "size": size,
        },
        opset=18,
        x=x,
    )


def gated(x: Shape = PIXELS) -> Model:
    """Return a network with a gate that depends on all pixels."""
    return network(
        conv("x", "w", "a", "first", pads=[1, 1, 1, 1]),
        N("Relu", ["a"], ["b"]),
        N("GlobalAveragePool", ["b"], ["m"]),
        conv("m", "u", "s", "squeeze"),
        N("Sigmoid", ["s"], ["t"]),
        N("Mul", ["b", "t"], ["g"]),
        conv("g", "u", "y", "last"),
        tensors=stored(w=(4, 3, 3, 3), wb=(4,), u=(4, 4, 1, 1), ub=(4,)),
        x=x,
    )


def as_floats(model: Model) -> Model:
    return converted(model)


def as_bytes(model: Model) -> Model:
    made = converted(model)
    return chain_psb(made, ranged(made, IMAGES)).model


def as_int16(model: Model) -> Model:
    made = converted(model)
    return chain_psb16(made, dict.fromkeys(ranged(made, IMAGES), 6)).model
