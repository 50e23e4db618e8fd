"""Switches written out of arithmetic: (x + |x|) / 2, x - min(x, 0), x (sign(x) + 1) / 2, ..."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from math import isfinite

from reluflow.graph.sites.forms import piecewise
from reluflow.graph.sites.forms.idioms import bounds, same, split_constant, through
from reluflow.graph.sites.forms.matches import Match
from reluflow.graph.sites.forms.piecewise import Kind, Piecewise
from reluflow.graph.view.constants import is_constant
from reluflow.graph.view.index import Node, Scope

_ARITHMETIC = {"Add", "Sub", "Sum", "Mean", "Mul", "Div", "Neg"}
_BENDING = {"Abs", "Sign", "Min", "Max", "Where", "Clip", "Greater", "GreaterOrEqual", "Less",
            "LessOrEqual"}  # fmt: skip
_BARE = {"Abs", "Sign", "Min", "Clip"}

# How far back the arithmetic of one switch is read. The deepest of the forms that the tests hold,
# (sign(x) + 1) / 2 * x, needs 4 nodes, and 4 tensors to try as x; 131 models of exporters held
# none that needs more. The rest is room, and it is bounded because the products and sums of a model
# near any bending operator are all read this way, once for each base.
_DEPTH = 6
_MOST_BASES = 12
_MOST_OPERANDS = 8
"""Operands of a Sum, Mean or Where; the forms of the tests have up to 3."""
_WHERE_OPERANDS = 3


@dataclass(frozen=True, slots=True)
class Spelled:
    """The function of one tensor that a node computes.

    Attributes:
        match: its switch or fold.
        kind: which of the two.
    """

    match: Match
    kind: Kind


def spelled(node: Node, scope: Scope, known: Set[int]) -> Spelled | None:
    """Read a node as the last one of a written-out switch or fold.

    Args:
        node: any node of ONNX's own domain.
        scope: its scope.
        known: ids of the nodes that are already switches: the walk does not pass them.

    Returns:
        The nearest tensor of which the node is a switch, or else one of which it is a fold at 0;
        None where it is neither, or where an operand already is one.
    """
    if node.op not in _ARITHMETIC | _BENDING or not _bends(scope, node):
        return None
    if node.op == "Max" and split_constant(node, scope):
        return None  # a site, or the second cut at zero
    fold = None
    # The nearest base that makes the node a switch wins: of relu(a + b) it is a + b, not a. A fold
    # is only remembered, as a base further back may still show a switch.
    for x in _bases(node, scope):
        reader = _Reader(scope, x, known)
        found = reader.node(node, _DEPTH)
        if found is None or found.knee is None:
            continue
        kind = found.kind
        if kind not in (Kind.SWITCH, Kind.FOLD) and not (node.op == "Sign" and kind is Kind.STEP):
            continue
        if kind is Kind.SWITCH:
            if node.op in ("Max", "Min") and found.knee != 0:
                continue  # a bound other than 0 limits values but switches nothing off
            if reader.operands & {Kind.SWITCH}:
                return None  # an operand is already the switch; this node only uses it
            parts = tuple(reader.parts)
            return Spelled(Match(node.op, x, found.knee, absorbs=parts), kind)
        is_new = not reader.parts and not reader.operands & {Kind.SWITCH, Kind.FOLD}
        if fold is None and found.knee == 0 and is_new:
            fold = Spelled(Match(node.op, x), Kind.FOLD)
    return fold


def _bends(scope: Scope, node: Node) -> bool:
    """Tell whether an operator with a knee is near: most sums and products have none."""
    level, seen = [node], set[str]()
    for _ in range(_DEPTH + 1):
        if any(each.op in _BENDING for each in level):
            return True
        names = {name for each in level if each.op in _ARITHMETIC for name in each.inputs if name}
        producers = [scope.producer(through(scope, name)) for name in names - seen]
        level = [each for each in producers if each is not None and not each.domain]
        seen |= names
    return False


def _bases(node: Node, scope: Scope) -> Iterator[str]:
    """Yield the tensors that a node may be a function of, the nearest first."""
    level, seen = [node], set[str]()
    for _ in range(_DEPTH):
        above: list[Node] = []
        for each in level:
            for name in each.inputs:
                if not name or name in seen or is_constant(scope, name):
                    continue
                seen.add(name)
                # breadth first, so the limit leaves out what is furthest back
                if len(seen) > _MOST_BASES:
                    return
                yield name
                producer = scope.producer(through(scope, name))
                if producer is not None and not producer.domain:
                    if producer.op in _ARITHMETIC | _BENDING:
                        above.append(producer)
        level = above


@dataclass(slots=True)
class _Reader:
    """Reads tensors as functions of x.

    Attributes:
        scope: where they are read.
        x: the tensor.
        known: nodes that the walk does not pass.
        parts: bare folds found on the way.
        operands: kinds of the operands of the node that was read first.
    """

    scope: Scope
    x: str
    known: Set[int]
    parts: list[Node] = field(default_factory=list)
    operands: set[Kind] = field(default_factory=set)
    _read: dict[tuple[str, int], Piecewise | None] = field(default_factory=dict)

    def node(self, node: Node, depth: int) -> Piecewise | None:
        """Read the result of a node."""
        if node.op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
            return self._compared(node, depth)
        if node.op == "Clip":
            return self._clipped(node, depth)
        if len(node.inputs) > _MOST_OPERANDS:
            return None
        operands = [self.tensor(name, depth - 1) for name in node.inputs]
        known = [each for each in operands if each is not None]
        if len(known) < len(operands) or not known:
            return None
        if depth == _DEPTH:
            self.operands = {each.kind for each in known}
        return _applied(node.op, known)

    def tensor(self, name: str, depth: int) -> Piecewise | None:
        """Read a tensor, once."""
        if (name, depth) not in self._read:
            self._read[name, depth] = self._tensor(name, depth)
        return self._read[name, depth]

    def _tensor(self, name: str, depth: int) -> Piecewise | None:
        if same(self.scope, name, self.x):
            return piecewise.IDENTITY
        limits = bounds(self.scope, name)
        if limits is not None:
            return piecewise.constant(*limits) if all(map(isfinite, limits)) else None
        node = self.scope.producer(through(self.scope, name))
        if node is None or node.domain or depth <= 0 or id(node) in self.known:
            return None
        if node.op not in _ARITHMETIC | _BENDING | {"Not"}:
            return None
        if node.op == "Not":
            inner = self.tensor(node.inputs[0], depth - 1)
            return None if inner is None else piecewise.add(_ONE, piecewise.negate(inner))
        found = self.node(node, depth)
        if found is not None and node.op in _BARE:
            self.parts.append(node)
        return found

    def _compared(self, node: Node, depth: int) -> Piecewise | None:
        left, right = (self.tensor(name, depth - 1) for name in node.inputs)
        if left is None or right is None:
            return None
        if node.op.startswith("Less"):
            left, right = right, left
        difference = piecewise.add(left, piecewise.negate(right))
        return None if difference is None else piecewise.positive(difference)

    def _clipped(self, node: Node, depth: int) -> Piecewise | None:
        """Only an upper bound: min(x, c); with a lower one the Clip may be a site itself."""
        if node.attribute("min") is not None or (len(node.inputs) > 1 and node.inputs[1]):
            return None
        if node.attribute("max") is not None:
            limits: tuple[float, float] | None = (node.number("max", 0.0),) * 2
        else:
            limits = bounds(self.scope, node.inputs[2]) if len(node.inputs) > 2 else None
        inner = self.tensor(node.inputs[0], depth - 1)
        if limits is None or inner is None:
            return None
        return piecewise.minimum(inner, piecewise.constant(*limits))


_ONE = piecewise.constant(1.0)


def _summed(given: list[Piecewise], share: float) -> Piecewise | None:
    """Return a share of the sum of functions."""
    found: Piecewise | None = given[0]
    for each in given[1:]:
        found = None if found is None else piecewise.add(found, each)
    return None if found is None else piecewise.multiply(found, piecewise.constant(share))


def _applied(op: str, given: list[Piecewise]) -> Piecewise | None:
    """Apply an operator to functions."""
    if op in ("Sum", "Mean"):
        return _summed(given, 1 / len(given) if op == "Mean" else 1.0)
    if len(given) == 1:
        f = given[0]
        if op == "Neg":
            return piecewise.negate(f)
        return piecewise.absolute(f) if op == "Abs" else piecewise.sign(f) if op == "Sign" else None
    if op == "Where" and len(given) == _WHERE_OPERANDS:
        return piecewise.choose(*given)
    if len(given) != 2:
        return None
    f, g = given
    if op == "Sub":
        return piecewise.add(f, piecewise.negate(g))
    rules = {
        "Add": piecewise.add,
        "Mul": piecewise.multiply,
        "Div": piecewise.divide,
        "Max": piecewise.maximum,
        "Min": piecewise.minimum,
    }
    return rules[op](f, g) if op in rules else None
