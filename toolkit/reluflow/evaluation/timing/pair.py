"""Which kernels of two sessions do the same work.

A kernel stands for the nodes of its model that ONNX Runtime made it from. A converted model keeps
the names of what it was made from, so nodes of one name belong together. A float node whose name
the converted model no longer has was taken over: it counts with the node before it, the last one
where it reads several. Where one kernel of either model does the work of several nodes, they are
one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from reluflow.graph import LabelledNode, find_label
from reluflow.sessions import KernelTime

Nodes = Sequence[LabelledNode]
_FUSED = ("Fused", "NhwcFused")
"""What ONNX Runtime puts before the name of an operator that took over an activation."""
_OWN_STEPS = 3
"""Nodes that ONNX Runtime fuses behind an operator: a bias, an addition, an activation."""


@dataclass(eq=False)
class Work:
    """The kernels of both models that do the same work.

    Attributes:
        places: of its nodes in the converted model, ascending; empty: only the float model has it.
        name: of its first node.
        these: kernels of the converted model.
        floats: kernels of the float model.
    """

    places: list[int]
    name: str
    these: list[KernelTime] = field(default_factory=list)
    floats: list[KernelTime] = field(default_factory=list)


def pair_kernels(
    nodes: Nodes,
    kernels: Sequence[KernelTime],
    float_nodes: Nodes,
    float_kernels: Sequence[KernelTime],
) -> list[Work]:
    """Sort the kernels of a converted and of a float model by the work that they do.

    Args:
        nodes: of the labelled converted model.
        kernels: that ran for it.
        float_nodes: of the labelled float model.
        float_kernels: that ran for it.

    Returns:
        Everything that ran. What ONNX Runtime added itself has no place, and its operator in
        brackets as name.
    """
    groups = _Groups()
    place = {name: at for at, name in reversed(list(enumerate(_names(nodes))))}
    keys = [f"this {at}" for at in range(len(nodes))]
    float_keys = _float_keys(float_nodes, place)
    sides = [(nodes, keys, kernels), (float_nodes, float_keys, float_kernels)]
    covered = [[_covered(each[0], kernel) for kernel in each[2]] for each in sides]
    for (_, names, _), found in zip(sides, covered, strict=True):
        for group in found:
            for one, other in pairwise(group):
                groups.join(names[one], names[other])
    made: dict[str, Work] = {}
    for side, ((those, names, ran), found) in enumerate(zip(sides, covered, strict=True)):
        for kernel, group in zip(ran, found, strict=True):
            key = groups.root(names[group[0]]) if group else f"own {kernel.op}"
            name = those[group[-1]].name if group else f"({kernel.op})"
            work = made.setdefault(key, Work([], name))
            (work.floats if side else work.these).append(kernel)
    for at, key in enumerate(keys):
        if groups.root(key) in made:
            made[groups.root(key)].places.append(at)
    for work in made.values():
        if work.places:
            work.name = nodes[work.places[0]].name
    return list(made.values())


def n_paired(nodes: Nodes, float_nodes: Nodes) -> int:
    """Return how many nodes of two models have the same name."""
    return len(set(_names(nodes)) & set(_names(float_nodes)))


def _names(nodes: Nodes) -> Iterator[str]:
    return (node.name for node in nodes)


def _float_keys(nodes: Nodes, place: dict[str, int]) -> list[str]:
    """Return for each float node the key of the node that does its work in the converted model."""
    keys: list[str] = []
    maker = {tensor: at for at, node in enumerate(nodes) for tensor in node.outputs}
    for at, node in enumerate(nodes):
        before = [maker[tensor] for tensor in node.inputs if tensor in maker]
        own = [each for each in before if each < at]
        if node.name in place:
            keys.append(f"this {place[node.name]}")
        else:
            keys.append(keys[max(own)] if own else f"float {at}")
    return keys


def _covered(nodes: Nodes, kernel: KernelTime) -> list[int]:
    """Return the nodes that a kernel stands for, from the last to the first; none: it was added.

    ONNX Runtime names a kernel that took over an activation by the tensor of that; the operator
    tells how far back it began.
    """
    at = find_label(nodes, kernel.name)
    if at is None:
        return []
    maker = {tensor: n for n, node in enumerate(nodes) for tensor in node.outputs}
    found = [at]
    for _ in range(_OWN_STEPS):
        if _ran_as(nodes[found[-1]].op, kernel.op):
            return found
        before = [maker[tensor] for tensor in nodes[found[-1]].inputs if tensor in maker]
        if not before:
            break
        found.append(max(before))
    return found if _ran_as(nodes[found[-1]].op, kernel.op) else [at]


def _ran_as(op: str, kernel: str) -> bool:
    return kernel == op or any(kernel == fused + op for fused in _FUSED)


class _Groups:
    """Names that belong together, joined two by two."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, name: str) -> str:
        """Return the name that stands for a group."""
        while name in self._parent:
            name = self._parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        """Make one group of two."""
        first, second = self.root(one), self.root(other)
        if first != second:
            self._parent[first] = second
