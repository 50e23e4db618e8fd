"""Values that do not depend on the input: initializers, Constant nodes and what is made of them."""

from __future__ import annotations

import numpy as np
from onnx import helper

from reluflow.graph.proto.external import elements, read_tensor
from reluflow.graph.view.index import UNKNOWN_VALUE, Constant, Node, Scope
from reluflow.graph.view.rules import MAX_ELEMENTS, RULES, apply_rule

_DEPTH = 16
"""Nodes on the longest way from a tensor to a constant. More find more values and take more work on
long chains; 16 was not measured."""


def constant(scope: Scope, tensor: str, depth: int = _DEPTH) -> np.ndarray | None:
    """Return a tensor's value where the graph alone decides it, else None.

    Args:
        scope: where the tensor is read.
        tensor: its name.
        depth: how many nodes to follow.

    Returns:
        The value; None for what depends on inputs and for more than 2^20 elements.
    """
    found = _find(scope, tensor, depth)
    return None if found is None else found.value


def _find(scope: Scope, tensor: str, depth: int) -> Constant | None:
    """Return what a tensor is; None where that lies deeper than `depth`.

    What was found is kept with its depth, and what was not with the depth that was looked at, so
    that no answer depends on the questions before it.
    """
    home = scope.home(tensor)
    if home is None or not tensor:
        return UNKNOWN_VALUE
    if tensor not in home.constants and home.looked.get(tensor, -1) < depth:
        found = _evaluate(home, tensor, depth)
        if found is None:
            home.looked[tensor] = depth
        else:
            home.constants[tensor] = found
    known = home.constants.get(tensor)
    return known if known is not None and known.depth <= depth else None


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


def _evaluate(home: Scope, tensor: str, depth: int) -> Constant | None:
    """Return a tensor's value and depth; None where `depth` is too small to tell."""
    stored = home.initializers.get(tensor)
    if stored is not None:
        small = elements(stored) <= MAX_ELEMENTS
        return Constant(read_tensor(stored, home.base_dir)) if small else UNKNOWN_VALUE
    node = home.producers.get(tensor)
    if node is None or node.domain:
        return UNKNOWN_VALUE
    if depth == 0:
        return None
    if node.op == "Constant":
        return Constant(_constant_node(node, home), 1)
    if node.op not in RULES or node.outputs[0] != tensor:
        return UNKNOWN_VALUE
    return _apply(home, node, depth)


def _apply(home: Scope, node: Node, depth: int) -> Constant | None:
    parts = {name: _find(home, name, depth - 1) for name in node.inputs if name}
    found = [part for part in parts.values() if part is not None]
    if any(part.value is None for part in found):
        return UNKNOWN_VALUE  # whatever the others are
    if len(found) < len(parts):
        return None
    values = [parts[name].value if name else None for name in node.inputs]  # type: ignore[union-attr]
    if sum(value.size for value in values if value is not None) > MAX_ELEMENTS:
        return UNKNOWN_VALUE
    result = apply_rule(node, values)
    if result is None or result.size > MAX_ELEMENTS:
        return UNKNOWN_VALUE
    return Constant(result, 1 + max((part.depth for part in found), default=0))


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
