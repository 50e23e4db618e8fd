"""Small networks for chains, and formats from the ranges of their tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import NodeProto
from rewriting import N, build, weights

from reluflow.graph import Model, PsbOptions, expose, psb_inputs, to_psb
from reluflow.psb.fixed import FixedFormat
from reluflow.sessions import open_session

PIXELS = (2, 3, 9, 8)
_ROOM = {0: 255.0, 128: 127.0}


def network(
    *nodes: NodeProto,
    tensors: Mapping[str, np.ndarray],
    x: tuple[int | str, ...] = PIXELS,
    **options: Any,
) -> Model:
    """Return a float model from x to y."""
    return build(list(nodes), tensors, x, **options)


def converted(model: Model, **options: Any) -> Model:
    """Return the model of `to_psb`."""
    return to_psb(model, PsbOptions(**options)).model


def ranged(model: Model, *feeds: np.ndarray) -> dict[str, FixedFormat]:
    """Return a format that holds every float tensor of a converted model, on some inputs."""
    names = [name for node in model._proto.graph.node for name in node.output if name]
    session = open_session(expose(model, names).model, threads=1)
    zeros = dict.fromkeys(psb_inputs(model), np.array(0, np.int64))
    found: dict[str, FixedFormat] = {}
    ends: dict[str, tuple[float, float]] = {}
    for x in feeds:
        values = dict(zip(session.outputs, session.run({"x": x, **zeros}), strict=True))
        for name, value in {"x": x, **values}.items():
            if value.dtype == np.float32:
                low, high = ends.get(name, (0.0, 0.0))
                ends[name] = min(low, float(value.min())), max(high, float(value.max()))
    for name, (low, high) in ends.items():
        zero = 0 if low >= 0 else 128
        most = max(high, -low, 2.0**-20)
        found[name] = FixedFormat(math.floor(math.log2(_ROOM[zero] / most)), zero)
    return found


def conv(x: str, w: str, y: str, name: str, **attributes: Any) -> NodeProto:
    """Return a convolution with a bias of its own."""
    return N("Conv", [x, w, f"{w}b"], [y], name=name, **attributes)


def kernels(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return weights and biases by the name of the weights."""
    found = {name: weights(*shape, scale=0.4) for name, shape in shapes.items()}
    return found | {f"{name}b": weights(shape[0]) for name, shape in shapes.items()}


def numbers(*values: int) -> np.ndarray:
    """Return int64."""
    return np.array(values, np.int64)


def single(value: float) -> np.ndarray:
    """Return a float32 scalar."""
    return np.array(value, np.float32)
