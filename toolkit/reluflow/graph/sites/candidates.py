"""Sorting the nodes of a model: switches, other folds, and nodes left out with reasons."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from onnx import TensorProto

from reluflow.graph.sites.forms.idioms import IDIOMS
from reluflow.graph.sites.forms.matches import Match
from reluflow.graph.sites.forms.ops import DIRECT, SEVERAL, clip_lower, fused
from reluflow.graph.sites.forms.piecewise import Kind
from reluflow.graph.sites.forms.quantised import QUANTISED
from reluflow.graph.sites.forms.smooth import SMOOTH
from reluflow.graph.sites.forms.spelled import spelled
from reluflow.graph.sites.reasons import is_candidate, why_not
from reluflow.graph.sites.site import Fold, LeftOut
from reluflow.graph.view.dataflow import FIXED, dependence, depends
from reluflow.graph.view.index import Node, Scope
from reluflow.graph.view.structure import Structure

_NOT_NUMBERS = {TensorProto.BOOL, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128}


@dataclass(frozen=True, slots=True)
class Found:
    """A switch and its location."""

    match: Match
    node: Node
    scope: Scope


def collect(
    structure: Structure, own: Collection[str] = ()
) -> tuple[list[Found], tuple[LeftOut, ...], tuple[Fold, ...]]:
    """Sort the nodes of a model.

    Args:
        structure: the flat view.
        own: names of the model's functions that spell out operators of our own domain.

    Returns:
        Switches, candidates left out and other folds, each in graph order.
    """
    sorter = _Sorter(structure, tuple(f":{name}" for name in own))
    for scope, node in structure.main.walk():
        sorter.sort(scope, node)
    return sorter.result()


class _Sorter:
    """Sorts node by node; the role of nodes that later ones change is resolved at the end."""

    def __init__(self, structure: Structure, own: tuple[str, ...]) -> None:
        self.structure = structure
        self.own = own
        self.flags = dependence(structure.main)
        self.found: list[Found] = []
        self.known: set[int] = set()
        self.left: list[tuple[Node, Scope, str]] = []
        self.folds: list[tuple[Node, str]] = []

    def sort(self, scope: Scope, node: Node) -> None:
        """Add a node to its list."""
        if self._is_arithmetic(scope, node):
            if is_candidate(node):
                self.left.append((node, scope, _ARITHMETIC))
            return
        # Earlier nodes are known by now, so that a written-out form is not read through a switch.
        matches, fold = _read(node, scope, self.known)
        reasons = [self._refused(scope, match) for match in matches]
        accepted = [m for m, reason in zip(matches, reasons, strict=True) if not reason]
        if accepted:
            self.found.extend(Found(match, node, scope) for match in accepted)
            self.known.add(id(node))
        elif fold is not None and not (reason := self._refused(scope, fold)):
            self.folds.append((node, fold.tensor))
        elif is_candidate(node):
            reason = next(iter(reasons), "") or (self._refused(scope, fold) if fold else "")
            self.left.append((node, scope, reason or self._fixed(scope, node)))

    def _is_arithmetic(self, scope: Scope, node: Node) -> bool:
        """Separate the body of one of our operators from the activation at its end."""
        if not self.own or not any(part.endswith(self.own) for part in node.scope.split("/")):
            return False
        return node.op != "Clip" or clip_lower(node, scope) != 0

    def _refused(self, scope: Scope, match: Match) -> str:
        """Tell why a comparison does not count, "" where it does."""
        if scope.type_of(match.tensor).elem_type in _NOT_NUMBERS:
            return "what it reads are no numbers"
        if depends(self.flags, scope, match.tensor) == FIXED:
            return _FIXED
        return ""

    def _fixed(self, scope: Scope, node: Node) -> str:
        read = [depends(self.flags, scope, name) for name in node.inputs if name]
        return _FIXED if read and not any(read) else why_not(node, scope)

    def result(self) -> tuple[list[Found], tuple[LeftOut, ...], tuple[Fold, ...]]:
        """Move the parts of a larger form to the nodes left out, with that reason."""
        # Only now: the node that ends a form comes after the nodes that it absorbs.
        parts = {id(inner): each.node for each in self.found for inner in each.match.absorbs}
        kept = [each for each in self.found if id(each.node) not in parts]
        own = {id(each.node) for each in kept}
        moved = [(e.node, e.scope, "") for e in self.found if id(e.node) in parts]
        moved += [(node, self.structure.main, "") for node, _ in self.folds if id(node) in parts]
        left = [
            (node, f"it is part of {parts[id(node)].name}" if id(node) in parts else reason)
            for node, _, reason in [*self.left, *moved]
            if id(node) not in own
        ]
        return (
            kept,
            tuple(LeftOut(n.name, n.op, n.scope, reason) for n, reason in _in_order(left)),
            tuple(
                Fold(n.name, n.op, self.structure.names.get((n.scope, tensor), tensor), n.scope)
                for n, tensor in self.folds
                if id(n) not in parts
            ),
        )


def _read(node: Node, scope: Scope, known: set[int]) -> tuple[list[Match], Match | None]:
    """Show a node to the matchers: its switches, else its fold."""
    if not node.inputs or not any(node.inputs[:1]):
        return [], None
    key = (node.domain, node.op)
    if key in SEVERAL:
        return SEVERAL[key](node, scope), None
    # Operators that are switches before forms that spell one out: the first is certain and cheap,
    # and arithmetic is read last, as nearly every node has some.
    matcher = DIRECT.get(key) or QUANTISED.get(key)
    if matcher is None and node.domain:
        matcher = fused
    if matcher is None:
        matcher = IDIOMS.get(node.op) or SMOOTH.get(node.op)
    match = matcher(node, scope) if matcher is not None else None
    if match is not None:
        return [match], None
    form = None if node.domain else spelled(node, scope, known)
    if form is None:
        return [], None
    return ([form.match], None) if form.kind is Kind.SWITCH else ([], form.match)


def _in_order(left: list[tuple[Node, str]]) -> list[tuple[Node, str]]:
    """Each node once; a node that turned out to be part of a form has that reason."""
    seen: dict[int, tuple[Node, str]] = {}
    for node, reason in left:
        if id(node) not in seen:
            seen[id(node)] = (node, reason)
    return list(seen.values())


_ARITHMETIC = "it is part of the fixed-point arithmetic of a converted layer"
_FIXED = "it is made of sizes and single constants alone"
