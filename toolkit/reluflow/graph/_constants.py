"""Values that do not depend on the input: initializers, Constant nodes and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from onnx import helper

from reluflow.graph._external import elements, read_tensor
from reluflow.graph._index import Node, Scope

MAX_ELEMENTS = 2**20
"""Larger constants are weights: nothing here needs their values."""

_Array = np.ndarray
_DEPTH = 16


def constant(scope: Scope, tensor: str, depth: int = _DEPTH) -> np.ndarray | None:
    """Return a tensor's value where the graph alone decides it, else None.

    Args:
        scope: where the tensor is read.
        tensor: its name.
        depth: how many nodes to follow.

    Returns:
        The value; None for what depends on inputs and for more than 2^20 elements.
    """
    home = scope.home(tensor)
    if home is None or not tensor:
        return None
    if tensor not in home.constants:
        home.constants[tensor] = _evaluate(home, tensor, depth)
    return home.constants[tensor]


def scalar(scope: Scope, tensor: str, depth: int = _DEPTH) -> float | None:
    """Return the one value that all elements of a tensor have, else None.

    A constant spread to the size of a tensor that only a run knows (`zeros_like`) counts.
    """
    value = constant(scope, tensor)
    if value is None:
        return _spread(scope, tensor, depth)
    if value.size == 0 or value.dtype.kind in "OSU":
        return None
    numbers = value.astype(np.float64).ravel()
    return float(numbers[0]) if bool(np.all(numbers == numbers[0])) else None


def is_constant(scope: Scope, tensor: str) -> bool:
    """Tell whether the graph alone decides a tensor's values."""
    return constant(scope, tensor) is not None or _spread(scope, tensor, _DEPTH) is not None


def _spread(scope: Scope, tensor: str, depth: int) -> float | None:
    """Follow ConstantOfShape and Expand whose size only a run knows."""
    node = scope.producer(tensor)
    if node is None or node.domain or depth == 0:
        return None
    if node.op == "ConstantOfShape":
        attribute = node.attribute("value")
        return float(read_tensor(attribute.t, None).ravel()[0]) if attribute else 0.0
    if node.op in ("Expand", "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "CastLike"):
        return scalar(scope, node.inputs[0], depth - 1)
    return None


def _evaluate(home: Scope, tensor: str, depth: int) -> np.ndarray | None:
    stored = home.initializers.get(tensor)
    if stored is not None:
        return read_tensor(stored, home.base_dir) if elements(stored) <= MAX_ELEMENTS else None
    node = home.producers.get(tensor)
    if node is None or node.domain or depth == 0:
        return None
    if node.op == "Constant":
        return _constant_node(node, home)
    if node.op not in _RULES:
        return None
    values = [constant(home, name, depth - 1) for name in node.inputs if name]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or sum(value.size for value in known) > MAX_ELEMENTS:
        return None
    result = apply_rule(node, known)
    return result if result is None or result.size <= MAX_ELEMENTS else None


def has_rule(op: str) -> bool:
    """Tell whether `apply_rule` knows an operator of ONNX's own domain."""
    return op in _RULES


def apply_rule(node: Node, values: list[_Array]) -> _Array | None:
    """Return what a node of ONNX's own domain makes of known inputs, None where no rule tells."""
    rule = _RULES.get(node.op)
    if rule is None:
        return None
    try:
        with np.errstate(all="ignore"):
            result: _Array | None = rule(node, values)
            return result
    except (ValueError, TypeError, IndexError, KeyError, OverflowError):
        return None


def _constant_node(node: Node, home: Scope) -> np.ndarray | None:
    for attribute in node.proto.attribute:
        if attribute.name == "value":
            small = elements(attribute.t) <= MAX_ELEMENTS
            return read_tensor(attribute.t, home.base_dir) if small else None
        if attribute.name in ("value_float", "value_floats"):
            return np.asarray(helper.get_attribute_value(attribute), np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.asarray(helper.get_attribute_value(attribute), np.int64)
    return None


def _cast(node: Node, values: list[_Array]) -> _Array:
    return np.asarray(values[0], helper.tensor_dtype_to_np_dtype(int(node.number("to", 1))))


def _axes(node: Node, values: list[_Array]) -> tuple[int, ...]:
    if len(values) > 1:
        return tuple(int(axis) for axis in values[1].ravel())
    return node.integers("axes") or ()


def _transpose(node: Node, values: list[_Array]) -> _Array:
    return np.asarray(np.transpose(values[0], node.integers("perm")))


def _squeeze(node: Node, values: list[_Array]) -> _Array:
    return np.asarray(np.squeeze(values[0], axis=_axes(node, values) or None))


def _unsqueeze(node: Node, values: list[_Array]) -> _Array:
    return np.expand_dims(values[0], axis=_axes(node, values))


def _reshape(node: Node, values: list[_Array]) -> _Array:
    shape = values[1].ravel() if len(values) > 1 else node.integers("shape") or ()
    source = values[0].shape
    sizes = [int(s) or source[i] for i, s in enumerate(shape)]
    return values[0].reshape(sizes)


def _filled(node: Node, values: list[_Array]) -> _Array | None:
    shape = tuple(int(size) for size in values[0].ravel())
    if math.prod(shape) > MAX_ELEMENTS:
        return None
    attribute = node.attribute("value")
    fill = read_tensor(attribute.t, None).ravel()[0] if attribute else np.float32(0)
    return np.full(shape, fill)


def _expand(node: Node, values: list[_Array]) -> _Array | None:
    shape = np.broadcast_shapes(values[0].shape, tuple(int(size) for size in values[1].ravel()))
    return np.broadcast_to(values[0], shape) if math.prod(shape) <= MAX_ELEMENTS else None


def _dequantize(node: Node, values: list[_Array]) -> _Array | None:
    if values[1].size != 1:
        return None
    zero = values[2].astype(np.float64).ravel()[0] if len(values) > 2 else 0.0
    return (values[0].astype(np.float64) - zero) * float(values[1].ravel()[0])


def _binary(function: Callable[[_Array, _Array], _Array]) -> Callable[[Node, list[_Array]], _Array]:
    return lambda node, values: np.asarray(function(values[0], values[1]))


def _unary(function: Callable[[_Array], _Array]) -> Callable[[Node, list[_Array]], _Array]:
    return lambda node, values: np.asarray(function(values[0]))


def _divide(left: _Array, right: _Array) -> _Array:
    return np.asarray(left / right if left.dtype.kind == "f" else left // right)


_RULES: dict[str, Callable[[Node, list[_Array]], _Array | None]] = {
    "Identity": _unary(lambda value: value),
    "Dropout": _unary(lambda value: value),
    "Cast": _cast,
    "CastLike": lambda node, values: np.asarray(values[0], values[1].dtype),
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _filled,
    "DequantizeLinear": _dequantize,
    "Neg": _unary(np.negative),
    "Sqrt": _unary(np.sqrt),
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(_divide),
    "Concat": lambda node, values: np.concatenate(values, axis=int(node.number("axis", 0))),
    "Max": lambda node, values: np.asarray(np.maximum.reduce(np.broadcast_arrays(*values))),
    "Min": lambda node, values: np.asarray(np.minimum.reduce(np.broadcast_arrays(*values))),
}
