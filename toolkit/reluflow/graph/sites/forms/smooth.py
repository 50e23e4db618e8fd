"""Smooth activations written out of simpler operators: Silu, Gelu, Mish, Softplus."""

from __future__ import annotations

from reluflow.graph.sites.forms.idioms import produced_by, same, split_constant, through
from reluflow.graph.sites.forms.matches import Match
from reluflow.graph.view.constants import is_constant, scalar
from reluflow.graph.view.index import Node, Scope

_ELEMENTWISE = {"Add", "Sub", "Mul", "Div", "Pow", "Softplus", "Cast", "Identity", "Sqrt", "Neg"}
_PASSING = ("Cast", "Identity")
_GATES = {"Sigmoid": "Silu", "Erf": "Gelu", "Tanh": "Gelu"}

# Guards against long chains, each with the longest walk met in the same models as in idioms.py.
_MOST_GATE_STEPS = 8  # from the gate to the product x g(x): 3, for 0.5 x (1 + erf(...))
_MOST_FACTORS = 4  # products by constants between x and the gate; 1
_MOST_ELEMENTWISE = 8  # from x to the gate's argument: 5, for Gelu's x + 0.044715 x ** 3


def gate(node: Node, scope: Scope) -> Match | None:
    """`x * g(x)` with g made of Sigmoid, Erf or Tanh: starts at g and walks to the product.

    Silu is x * sigmoid(x), Gelu x * (1 + erf(x / sqrt 2)) / 2 or its tanh form, Mish
    x * tanh(softplus(x)).
    """
    current = node.outputs[0]
    for _ in range(_MOST_GATE_STEPS):
        step = _next(scope, current)
        if step is None:
            return None
        if step.op in _PASSING:
            current = step.outputs[0]
            continue
        other = _other(step, current)
        # Constants scale or shift the gate; the first operand that varies must be x itself.
        if not is_constant(scope, other):
            return _product(node, scope, other) if step.op == "Mul" else None
        current = step.outputs[0]
    return None


def _product(node: Node, scope: Scope, other: str) -> Match | None:
    """Judge the product of g, which `node` starts, and another tensor."""
    x = _argument(node, scope, other)
    if not x:
        return None
    softplus = produced_by(scope, through(scope, node.inputs[0]), "Softplus")
    if node.op != "Tanh":
        return Match(_GATES[node.op], x, smooth=True)
    if softplus:
        return Match("Mish", x, smooth=True, absorbs=(softplus,))
    # x tanh(x) is even, a smooth |x|: it bends, but neither side is switched off
    return None if same(scope, x, node.inputs[0]) else Match("Gelu", x, smooth=True)


def _next(scope: Scope, tensor: str) -> Node | None:
    """Return the only reader of a tensor if it adds, multiplies, or passes it on."""
    readers = [n for n in scope.consumers(tensor) if not n.domain]
    fitting = [
        n
        for n in readers
        if n.op in _PASSING or (n.op in ("Mul", "Add", "Div") and len(n.inputs) == 2)
    ]
    return fitting[0] if len(fitting) == 1 == len(readers) else None


def _other(node: Node, tensor: str) -> str:
    return node.inputs[1] if node.inputs[0] == tensor else node.inputs[0]


def _argument(node: Node, scope: Scope, other: str) -> str:
    """Return the x that `other` is a multiple of and that alone determines `node`, else ""."""
    for _ in range(_MOST_FACTORS):
        if _depends_only_on(scope, node.inputs[0], other):
            return other
        scaled = produced_by(scope, other, "Mul", "Div", "Cast", "Identity")
        if scaled is None:
            return ""
        pair = split_constant(scaled, scope)
        other = pair[0] if pair else scaled.inputs[0] if len(scaled.inputs) == 1 else ""
    return ""


def _depends_only_on(scope: Scope, tensor: str, x: str, depth: int = _MOST_ELEMENTWISE) -> bool:
    """Tell whether only elementwise operators and constants lead from x to a tensor."""
    if not x or depth == 0:
        return False
    if same(scope, tensor, x):
        return True
    node = produced_by(scope, tensor, *_ELEMENTWISE)
    if node is None:
        return False
    varying = [name for name in node.inputs if name and not is_constant(scope, name)]
    return bool(varying) and all(_depends_only_on(scope, n, x, depth - 1) for n in varying)


def log_exp(node: Node, scope: Scope) -> Match | None:
    """`Log(Exp(x) + 1)`: Softplus."""
    add = produced_by(scope, node.inputs[0], "Add")
    pair = split_constant(add, scope) if add else None
    exp = produced_by(scope, pair[0], "Exp") if pair else None
    if exp is None or pair is None or scalar(scope, pair[1]) != 1:
        return None
    return Match("Softplus", exp.inputs[0], smooth=True)


SMOOTH = {"Sigmoid": gate, "Erf": gate, "Tanh": gate, "Log": log_exp}
"""ONNX operator that starts the form -> matcher."""
