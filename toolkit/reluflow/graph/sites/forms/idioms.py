"""Spelled-out switches: what exporters write where the operator set lacks the activation."""

from __future__ import annotations

import numpy as np

from reluflow.graph.sites.forms.matches import Match
from reluflow.graph.view.constants import constant, is_constant, scalar
from reluflow.graph.view.index import Node, Scope

_GREATER = {"Greater", "GreaterOrEqual"}
_LESS = {"Less", "LessOrEqual"}
_PASSING = {"Identity", "Cast", "CastLike", "Dropout"}

# Bounds of the walks below. They are guards: a file may hold a chain, or a circle, as long as its
# author likes, and every node of a model is shown to these matchers. The longest walks met in 131
# models (exporters of six frameworks, classification, detection, audio) stand behind each.
_MOST_PASSED = 16  # Identity and Cast one behind the other; 2
_MOST_NOTS = 16  # Not in front of a comparison; 1
_MOST_ZEROS_ADDED = 4  # `+ 0` around a product; 1
_MOST_STEPS_TO_EXP = 8  # from constant * (exp(x) - 1) back to exp; the tests have 2, those models 0
_MOST_CAPS = 4  # Min, Max or Clip behind a Relu; 2
_MOST_SCALES = 3  # Mul and Neg behind the mirrored Relu of a PRelu; 2


def through(scope: Scope, tensor: str) -> str:
    """Follow Identity and Cast backwards."""
    for _ in range(_MOST_PASSED):
        node = scope.producer(tensor)
        if node is None or node.domain or node.op not in _PASSING:
            break
        tensor = node.inputs[0]
    return tensor


def same(scope: Scope, left: str, right: str) -> bool:
    """Tell whether two names have the same value, ignoring Identity and Cast."""
    return bool(left) and (left == right or through(scope, left) == through(scope, right))


def produced_by(scope: Scope, tensor: str, *ops: str) -> Node | None:
    """Return the producer where it is one of these ONNX operators."""
    node = scope.producer(tensor)
    return node if node is not None and not node.domain and node.op in ops else None


def split_constant(node: Node, scope: Scope) -> tuple[str, str] | None:
    """Split a binary node's inputs into (variable, constant); None where it has no such pair."""
    if len(node.inputs) != 2:
        return None
    left, right = node.inputs
    left_known, right_known = is_constant(scope, left), is_constant(scope, right)
    if left_known == right_known:
        return None
    return (right, left) if left_known else (left, right)


def slope(scope: Scope, tensor: str, x: str) -> tuple[float, float] | None:
    """Return the range of a where tensor is a * x, None where it is not a multiple of x."""
    for _ in range(_MOST_ZEROS_ADDED):
        if same(scope, tensor, x):
            return (1.0, 1.0)
        tensor = through(scope, tensor)
        added = produced_by(scope, tensor, "Add")  # of zero: paddle's scale
        pair = split_constant(added, scope) if added else None
        if pair is None or scalar(scope, pair[1]) != 0:
            break
        tensor = pair[0]
    return _factor(scope, tensor, x)


def _factor(scope: Scope, tensor: str, x: str) -> tuple[float, float] | None:
    """Return the range of a where one node makes tensor = a * x."""
    node = produced_by(scope, tensor, "Mul", "Div", "Neg", "LeakyRelu")
    if node is None:
        return None
    if node.op == "Neg":
        return (-1.0, -1.0) if same(scope, node.inputs[0], x) else None
    pair = split_constant(node, scope)
    if pair is None or not same(scope, pair[0], x):
        return None
    if node.op == "Div" and pair[0] != node.inputs[0]:
        return None  # c / x is no multiple of x
    limits = bounds(scope, pair[1])
    if limits is None or node.op != "Div":
        return limits
    # A divisor a channel gives a range of slopes; it turns round in 1 / c, and across 0 it is none.
    return (1 / limits[1], 1 / limits[0]) if limits[0] > 0 else None


def bounds(scope: Scope, tensor: str) -> tuple[float, float] | None:
    """Return the smallest and the largest value of a constant, None for a computed tensor."""
    values = constant(scope, tensor)
    if values is None:
        single = scalar(scope, tensor)
        return None if single is None else (single, single)
    if values.size == 0 or values.dtype.kind in "OSU":
        return None
    numbers = values.astype(np.float64)
    return float(numbers.min()), float(numbers.max())


def comparison(scope: Scope, condition: str) -> tuple[str, float, bool] | None:
    """Read a condition as x > c or x < c.

    Returns:
        (x, c, True where it is x > c); None where it is not such a comparison.
    """
    is_negated = False
    for _ in range(_MOST_NOTS):
        node = produced_by(scope, through(scope, condition), "Not", *_GREATER, *_LESS)
        if node is None or node.op != "Not":
            break
        is_negated, condition = not is_negated, node.inputs[0]
    if node is None or node.op == "Not":
        return None
    pair = split_constant(node, scope)
    threshold = scalar(scope, pair[1]) if pair else None
    if pair is None or threshold is None:
        return None
    # c < x says x > c: the side that the constant stands on turns the comparison round
    above = (node.op in _GREATER) == (pair[0] == node.inputs[0])
    return pair[0], threshold, above != is_negated


def where(node: Node, scope: Scope) -> Match | None:
    """`Where(x > c, x, a * x)`, `Where(x < c, constant, x)` and their relatives."""
    compared = comparison(scope, node.inputs[0])
    if compared is None:
        return None
    x, threshold, above = compared
    upper, lower = node.inputs[1:] if above else node.inputs[:0:-1]
    passed = slope(scope, upper, x)
    if passed is None:
        return None
    cut = slope(scope, lower, x)
    if cut in (passed, (-passed[1], -passed[0])) and threshold == 0:
        return None  # x itself, or its absolute value
    # Of two names of one value the one that is passed on: a Cast may stand before the comparison.
    x = upper if same(scope, upper, x) else x
    if cut is not None or is_constant(scope, lower):
        return Match("Where", x, threshold)
    if threshold == 0 and _leads_to_exp(scope, lower, x):
        return Match("Elu", x, smooth=True)
    return None


def _leads_to_exp(scope: Scope, tensor: str, x: str) -> bool:
    """Tell whether a tensor is constant * (exp(x) - 1), however it is written."""
    for _ in range(_MOST_STEPS_TO_EXP):
        node = produced_by(scope, tensor, "Mul", "Sub", "Add", "Div", "Exp", "Elu", *_PASSING)
        if node is None:
            return False
        if node.op in ("Exp", "Elu"):
            source = produced_by(scope, node.inputs[0], "Min", "Mul", "Div", "Where")
            names = [node.inputs[0], *(source.inputs if source else ())]
            return any(same(scope, name, x) for name in names)
        if node.op in _PASSING:
            tensor = node.inputs[0]
            continue
        pair = split_constant(node, scope)
        if pair is None:
            return False
        tensor = pair[0]
    return False


def masked(node: Node, scope: Scope) -> Match | None:
    """`Mul(x, Cast(x > c))`."""
    if len(node.inputs) != 2:
        return None
    for mask, value in (node.inputs, node.inputs[::-1]):
        # a mask is cast to numbers to be multiplied; a bare comparison cannot be an operand
        compared = comparison(scope, mask) if produced_by(scope, mask, *_PASSING) else None
        if compared and compared[2] and slope(scope, value, compared[0]):
            return Match("Mul", compared[0], compared[1])
    return None


def maximum(node: Node, scope: Scope) -> Match | None:
    """`Max(x, 0)` in either order, and `Max(x, a * x)` with 0 <= a < 1."""
    varying = [name for name in node.inputs if not is_constant(scope, name)]
    if len(varying) == 1 and len(node.inputs) >= 2:
        bounds = [scalar(scope, name) for name in node.inputs if name != varying[0]]
        if None in bounds or max(b for b in bounds if b is not None) != 0:
            return None
        x = _below_minimum(scope, varying[0])
        # Max(Relu(x), 0) passes on what it is given: the Relu is the site, this would count twice
        return None if after_switch(scope, x) else Match("Max", x)
    if len(varying) == 2 == len(node.inputs):
        for x, other in (varying, varying[::-1]):
            found = slope(scope, other, x)
            # a = 1 is x itself; a slope outside [0, 1) is left to the arithmetic of spelled.py
            if found is not None and 0 <= found[0] and found[1] < 1:
                return Match("Max", x)
    return None


def _below_minimum(scope: Scope, tensor: str) -> str:
    """See through `Min(x, c)` with c > 0: x > 0 exactly where min(x, c) > 0."""
    node = produced_by(scope, tensor, "Min")
    pair = split_constant(node, scope) if node else None
    bound = scalar(scope, pair[1]) if pair else None
    return pair[0] if pair and bound is not None and bound > 0 else tensor


def negated_minimum(node: Node, scope: Scope) -> Match | None:
    """`Neg(Min(Neg(x), 0))`."""
    inner = produced_by(scope, node.inputs[0], "Min")
    pair = split_constant(inner, scope) if inner else None
    if pair is None or scalar(scope, pair[1]) != 0:
        return None
    outer = produced_by(scope, pair[0], "Neg")
    return Match("Min", outer.inputs[0], absorbs=(inner,)) if outer and inner else None


def after_switch(scope: Scope, tensor: str) -> bool:
    """Tell whether a tensor is the result of a Relu: clipping it at zero again changes nothing."""
    return produced_by(scope, through(scope, tensor), "Relu") is not None


def split_relu(node: Node, scope: Scope) -> Match | None:
    """`Relu(x) + a * Relu(-x)`: one switch made of two Relu; the first may have an upper bound."""
    if len(node.inputs) != 2:
        return None
    for first, second in (node.inputs, node.inputs[::-1]):
        relu, mirrored = _capped_relu(scope, first), _scaled_relu(scope, second)
        if relu is None or mirrored is None or mirrored is relu:
            continue
        # PRelu is written with the mirror image -x; a knee elsewhere would make it two switches.
        if slope(scope, mirrored.inputs[0], relu.inputs[0]) == (-1.0, -1.0):
            return Match("PRelu", relu.inputs[0], absorbs=(relu, mirrored))
    return None


def _capped_relu(scope: Scope, tensor: str) -> Node | None:
    """Follow Min, Max and Clip with constants back to a Relu."""
    for _ in range(_MOST_CAPS):
        node = produced_by(scope, through(scope, tensor), "Relu", "Min", "Max", "Clip")
        if node is None or node.op == "Relu":
            return node
        pair = split_constant(node, scope) if node.op != "Clip" else (node.inputs[0], "")
        if pair is None:
            return None
        tensor = pair[0]
    return None


def _scaled_relu(scope: Scope, tensor: str) -> Node | None:
    """Follow Mul with anything and Neg back to a Relu."""
    for _ in range(_MOST_SCALES):
        node = produced_by(scope, through(scope, tensor), "Relu", "Mul", "Neg")
        if node is None or node.op == "Relu":
            return node
        if node.op == "Neg":
            tensor = node.inputs[0]
            continue
        tensor = next((name for name in node.inputs if not is_constant(scope, name)), "")
    return None


IDIOMS = {
    "Where": where,
    "Mul": masked,
    "Max": maximum,
    "Neg": negated_minimum,
    "Add": split_relu,
    "Sub": split_relu,
}
"""ONNX operator that ends the idiom -> matcher."""
