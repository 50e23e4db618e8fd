"""Values that do not depend on the input: initializers, Constant nodes and results of these."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from reluflow.graph.proto.external import elements, read_tensor
from reluflow.graph.view.growth import MAX_COMPUTED
from reluflow.graph.view.index import UNKNOWN_VALUE, Constant, Find, Node, Scope
from reluflow.graph.view.rules import MAX_ELEMENTS, RULES, SPLIT, apply_rule, filled

_COMPLEX = (TensorProto.COMPLEX64, TensorProto.COMPLEX128)

DEPTH = 16
"""Nodes on the longest way from a tensor to a constant. More find more values and take more work on
long chains; 16 was not measured."""
ANY_SIZE = math.inf
"""No limit for values stored in the graph, as rewrites need."""


def constant(scope: Scope, tensor: str, depth: int = DEPTH) -> np.ndarray | None:
    """Return a tensor's value where the graph alone determines it, else None.

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
    home = scope.home(tensor)
    if home is None or not tensor:
        return UNKNOWN_VALUE
    return home.constants.find(tensor, depth, partial(_look, home))


def _look(home: Scope, tensor: str, depth: int) -> Constant | None:
    stored = home.initializers.get(tensor)
    if stored is not None:
        return Constant(stored_value(stored, home.base_dir, MAX_ELEMENTS))
    node = home.producers.get(tensor)
    return evaluate(node, tensor, depth, partial(_find, home), home.base_dir, MAX_ELEMENTS)


def scalar(scope: Scope, tensor: str, depth: int = DEPTH) -> float | None:
    """Return the value that all elements of a tensor share, else None.

    A constant expanded to a size that is known only at run time (`zeros_like`) counts.
    """
    value = constant(scope, tensor)
    if value is None:
        return _spread(scope, tensor, depth)
    if value.size == 0 or value.dtype.kind in "OSU":
        return None
    numbers = value.astype(np.float64).ravel()
    return float(numbers[0]) if bool(np.all(numbers == numbers[0])) else None


def is_constant(scope: Scope, tensor: str) -> bool:
    """Tell whether the graph alone determines a tensor's values."""
    return constant(scope, tensor) is not None or _spread(scope, tensor, DEPTH) is not None


def _spread(scope: Scope, tensor: str, depth: int) -> float | None:
    """Follow ConstantOfShape and Expand whose size is known only at run time."""
    node = scope.producer(tensor)
    if node is None or node.domain or depth == 0:
        return None
    if node.op == "ConstantOfShape":
        attribute = node.attribute("value")
        return float(read_tensor(attribute.t, None).ravel()[0]) if attribute else 0.0
    if node.op in ("Expand", "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "CastLike"):
        return scalar(scope, node.inputs[0], depth - 1)
    return None


def evaluate(
    node: Node | None, tensor: str, depth: int, find: Find, base_dir: Path | None, limit: float
) -> Constant | None:
    """Return what a node computes from constants; None where `depth` is too small to know.

    This is the only place where values of a graph are computed; the caller decides how values of
    other tensors are found and kept, and how large they may be.

    Args:
        node: produces the tensor; None: it is an input.
        tensor: one of its outputs.
        depth: how many nodes to follow, this one among them.
        find: returns the values of the tensors that it reads.
        base_dir: folder of external data.
        limit: of elements, both of everything that is read and of the result; with `ANY_SIZE`,
            results made from sizes alone have a limit of their own.
    """
    if node is None or node.domain:
        return UNKNOWN_VALUE
    if depth == 0:
        return None
    if node.op == "Constant":
        return Constant(constant_node(node, base_dir, limit), 1)
    place = node.outputs.index(tensor)
    if node.op not in RULES or (place and node.op != SPLIT):
        return UNKNOWN_VALUE
    parts = {name: find(name, depth - 1) for name in node.inputs if name}
    found = [part for part in parts.values() if part is not None]
    if any(part.value is None for part in found):
        return UNKNOWN_VALUE  # whatever the others are
    if len(found) < len(parts):
        return None
    values = [parts[name].value if name else None for name in node.inputs]  # type: ignore[union-attr]
    result = _apply(node, values, limit, place)
    if result is None:
        return UNKNOWN_VALUE
    return Constant(result, 1 + max((part.depth for part in found), default=0))


def _apply(
    node: Node, values: list[np.ndarray | None], limit: float, place: int
) -> np.ndarray | None:
    if sum(value.size for value in values if value is not None) > limit:
        return None
    if node.op == "ConstantOfShape" and limit > MAX_COMPUTED:
        return filled(node, values, limit=MAX_COMPUTED)
    result = apply_rule(node, values, place)
    return result if result is None or result.size <= limit else None


def stored_value(tensor: TensorProto, base_dir: Path | None, limit: float) -> np.ndarray | None:
    """Return the value of an initializer, None beyond a number of elements.

    Complex numbers are none that are followed: numpy would drop half of them with a warning.
    """
    if elements(tensor) > limit or tensor.data_type in _COMPLEX:
        return None
    return read_tensor(tensor, base_dir)


def constant_node(node: Node, base_dir: Path | None, limit: float) -> np.ndarray | None:
    """Return the value of a Constant node, None for text and beyond a number of elements."""
    for attribute in node.proto.attribute:
        if attribute.name == "value":
            return stored_value(attribute.t, base_dir, limit)
        if attribute.name in ("value_float", "value_floats"):
            return np.asarray(helper.get_attribute_value(attribute), np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.asarray(helper.get_attribute_value(attribute), np.int64)
    return None
