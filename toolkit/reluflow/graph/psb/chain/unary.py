"""Functions of one tensor, element by element: what a table of 256 bytes can stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import Reader, attribute

F64 = NDArray[np.float64]
Function = Callable[[F64], F64]
"""Values in, values out, in double precision."""
_Operands = Sequence[F64]
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""The defaults of ONNX's Selu."""
_GELU_CUBE = 0.044715
"""Of the tanh form of Gelu, as ONNX defines it."""


def _number(node: NodeProto, name: str, default: float) -> float:
    return float(str(attribute(node, name, default)))


def _clip(node: NodeProto, x: _Operands) -> F64:
    low = x[1] if len(x) > 1 and x[1].size else np.float64(_number(node, "min", -math.inf))
    high = x[2] if len(x) > 2 and x[2].size else np.float64(_number(node, "max", math.inf))
    return np.minimum(np.maximum(x[0], low), high)


def _sigmoid(x: F64) -> F64:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _hard_sigmoid(x: F64, alpha: float, beta: float) -> F64:
    return np.clip(alpha * x + beta, 0.0, 1.0)


def _elu(x: F64, alpha: float) -> F64:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def _selu(node: NodeProto, x: F64) -> F64:
    return _number(node, "gamma", _SELU_GAMMA) * _elu(x, _number(node, "alpha", _SELU_ALPHA))


def _celu(x: F64, alpha: float) -> F64:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0) / alpha), x)


def _erf(x: F64) -> F64:
    return np.array([math.erf(each) for each in x.reshape(-1)]).reshape(x.shape)


def _gelu(node: NodeProto, x: F64) -> F64:
    if attribute(node, "approximate", "none") == "tanh":
        inner: F64 = math.sqrt(2 / math.pi) * (x + _GELU_CUBE * x**3)
        gate: F64 = 0.5 * (1 + np.tanh(inner))
        return x * gate
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _softplus(x: F64) -> F64:
    return np.logaddexp(0.0, x)


_FUNCTIONS: dict[str, Callable[[NodeProto, _Operands], F64]] = {
    "Identity": lambda n, x: x[0],
    "Dropout": lambda n, x: x[0],
    "Relu": lambda n, x: np.maximum(x[0], 0),
    "LeakyRelu": lambda n, x: np.where(x[0] < 0, _number(n, "alpha", 0.01) * x[0], x[0]),
    "PRelu": lambda n, x: np.where(x[0] < 0, x[1] * x[0], x[0]),
    "ThresholdedRelu": lambda n, x: np.where(x[0] > _number(n, "alpha", 1.0), x[0], 0),
    "Clip": _clip,
    "Sigmoid": lambda n, x: _sigmoid(x[0]),
    "HardSigmoid": lambda n, x: _hard_sigmoid(
        x[0], _number(n, "alpha", 0.2), _number(n, "beta", 0.5)
    ),
    "HardSwish": lambda n, x: x[0] * _hard_sigmoid(x[0], 1 / 6, 0.5),
    "Tanh": lambda n, x: np.tanh(x[0]),
    "Elu": lambda n, x: _elu(x[0], _number(n, "alpha", 1.0)),
    "Selu": lambda n, x: _selu(n, x[0]),
    "Celu": lambda n, x: _celu(x[0], _number(n, "alpha", 1.0)),
    "Gelu": lambda n, x: _gelu(n, x[0]),
    "Mish": lambda n, x: x[0] * np.tanh(_softplus(x[0])),
    "Softplus": lambda n, x: _softplus(x[0]),
    "Softsign": lambda n, x: x[0] / (1 + np.abs(x[0])),
    "Erf": lambda n, x: _erf(x[0]),
    "Exp": lambda n, x: np.exp(x[0]),
    "Abs": lambda n, x: np.abs(x[0]),
    "Neg": lambda n, x: -x[0],
    "Sqrt": lambda n, x: np.sqrt(x[0]),
    "Add": lambda n, x: x[0] + x[1],
    "Sub": lambda n, x: x[0] - x[1],
    "Mul": lambda n, x: x[0] * x[1],
    "Div": lambda n, x: x[0] / x[1],
    "Pow": lambda n, x: np.power(x[0], x[1]),
    "Min": lambda n, x: np.minimum.reduce(np.broadcast_arrays(*x)),
    "Max": lambda n, x: np.maximum.reduce(np.broadcast_arrays(*x)),
}
"""Operator -> its function, of the node and the values of its inputs, broadcast to one shape."""
_CLAMPS = ("Relu", "Clip")
_NUMPY_BROADCASTING = 7
"""The opset from which on operands are broadcast by shape alone."""


def is_elementwise(node: NodeProto) -> bool:
    """Tell by its operator whether a node may be a function of one tensor."""
    return not domain_of(node.domain) and node.op_type in _FUNCTIONS


def read_function(
    reader: Reader, node: NodeProto, known: dict[str, Function], rank: int
) -> Function | Reason:
    """Return what a node computes of one tensor, or why it is no function of that alone.

    Args:
        reader: the model.
        node: one that `is_elementwise`.
        known: tensor -> function, for all inputs that depend on the one tensor.
        rank: axes of that tensor.
    """
    if any(name for name in node.output[1:] if reader.readers(name) or reader.is_output(name)):
        return Reason("its second output is read, which bytes have no operator for")
    if reader.opset < _NUMPY_BROADCASTING:
        return Reason(f"opset {reader.opset} broadcasts by attributes")
    operands: list[Function] = []
    for place, name in enumerate(node.input):
        if node.op_type == "Dropout" and place > 0:
            break
        if not name or name in known:
            operands.append(known[name] if name else _nothing)
            continue
        value = reader.constant(name)
        if value is None:
            return Reason(f"its operand {name!r} is another computed tensor")
        if value.size != 1 or value.ndim > rank:
            return Reason(f"its constant {name!r} has shape {list(value.shape)}, not one number")
        operands.append(_constant(float(value.reshape(-1)[0])))
    compute = _FUNCTIONS[node.op_type]

    def function(x: F64) -> F64:
        with np.errstate(all="ignore"):
            return np.asarray(compute(node, [operand(x) for operand in operands]), np.float64)

    return function


def _nothing(x: F64) -> F64:
    return np.zeros(0)


def _constant(value: float) -> Function:
    return lambda x: np.asarray(value, np.float64)


def read_clamp(reader: Reader, node: NodeProto) -> tuple[float, float] | None:
    """Return the bounds of a Relu or of a Clip with constant ones, None for any other node."""
    if domain_of(node.domain) or node.op_type not in _CLAMPS:
        return None
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = []
    for place, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), start=1):
        given = node.input[place] if len(node.input) > place else ""
        value = reader.constant(given) if given else np.array(_number(node, name, default))
        if value is None or value.size != 1 or np.isnan(value).any():
            return None
        bounds.append(float(value.reshape(-1)[0]))
    return (bounds[0], bounds[1]) if bounds[0] <= bounds[1] else None
