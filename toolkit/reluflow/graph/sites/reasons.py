"""Why a candidate is not a switch: one clause per node."""

from __future__ import annotations

from reluflow.graph.sites.forms.ops import CONTRIB, DIRECT, SEVERAL, activation_of, clip_lower
from reluflow.graph.sites.forms.recurrent import activations
from reluflow.graph.view.constants import is_constant, scalar
from reluflow.graph.view.index import Node, Scope

FOLDING = {"Abs", "Sign", "Min"}
"""ONNX operators that fold at 0 without being switches."""
_QUANTISED = {(CONTRIB, "QLinearLeakyRelu")}


def is_candidate(node: Node) -> bool:
    """Tell by its operator or an attribute whether a node could be a switch or a fold.

    A node that is a switch only together with its neighbours (a masked product, a sum with |x|, a
    quantiser that clips at zero) is not a candidate; where it is found, it is a site.
    """
    key = (node.domain, node.op)
    if key in DIRECT or key in SEVERAL or key in _QUANTISED:
        return True
    if not node.domain:
        return node.op in FOLDING | {"Max", "Where"}
    return bool(activation_of(node))


def why_not(node: Node, scope: Scope) -> str:
    """Say why a candidate was not matched."""
    if not node.inputs or not node.inputs[0]:
        return "it reads nothing"
    if not node.domain and node.op in _BY_OP:
        return _BY_OP[node.op](node, scope)
    if (node.domain, node.op) in SEVERAL:
        names = activations(node) if node.op not in ("MoE", "QMoE") else [activation_of(node)]
        return f"its activations ({', '.join(dict.fromkeys(names))}) have no knee"
    if activation_of(node):
        return f"its activation {activation_of(node)!r} does not switch at a known value"
    return "it does not switch at a known value"


def _clip(node: Node, scope: Scope) -> str:
    low = clip_lower(node, scope)
    if low is None:
        told = node.attribute("min") is not None or (len(node.inputs) > 1 and node.inputs[1])
        return "its lower bounds differ" if told else "it has no lower bound"
    return f"its lower bound is {low:g}, not 0" if low != 0 else _AGAIN


def _extreme(node: Node, scope: Scope) -> str:
    varying = [name for name in node.inputs if not is_constant(scope, name)]
    if len(varying) != 1 or len(node.inputs) < 2:
        which = "larger" if node.op == "Max" else "smaller"
        return f"it takes the {which} of computed values that are no multiples of one another"
    limits = [scalar(scope, name) for name in node.inputs if name != varying[0]]
    known = [limit for limit in limits if limit is not None]
    if len(known) < len(limits):
        return "its bounds differ from unit to unit"
    limit = max(known) if node.op == "Max" else min(known)
    if limit != 0:
        return f"its bound is {limit:g}, not 0"
    return _AGAIN


def _where(node: Node, scope: Scope) -> str:
    return "it does not choose between multiples of a value that it compares with a constant"


def _leaky(node: Node, scope: Scope) -> str:
    return "its slope is 1, so nothing is switched"


def _hard_sigmoid(node: Node, scope: Scope) -> str:
    return f"its alpha is {node.number('alpha', 0.2):g}, so it does not rise"


def _folding(node: Node, scope: Scope) -> str:
    return "it is no function of one tensor with a fold at 0"


_AGAIN = "it cuts off at 0 what a Relu has cut off already"
_BY_OP = {
    "Clip": _clip,
    "Max": _extreme,
    "Min": _extreme,
    "Where": _where,
    "LeakyRelu": _leaky,
    "PRelu": _leaky,
    "HardSigmoid": _hard_sigmoid,
    "Abs": _folding,
    "Sign": _folding,
}
