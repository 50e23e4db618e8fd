"""Values that do not depend on the input: initializers, Constant nodes and what is made of them."""

from __future__ import annotations

import numpy as np
from onnx import helper

from reluflow.graph.proto.external import elements, read_tensor
from reluflow.graph.view.index import Node, Scope
from reluflow.graph.view.rules import MAX_ELEMENTS, RULES, apply_rule

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
    if node.op not in RULES or node.outputs[0] != tensor:
        return None
    values = [constant(home, name, depth - 1) if name else None for name in node.inputs]
    known = [value for value in values if value is not None]
    if len(known) < sum(map(bool, node.inputs)) or sum(v.size for v in known) > MAX_ELEMENTS:
        return None
    result = apply_rule(node, values)
    return result if result is None or result.size <= MAX_ELEMENTS else None


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
