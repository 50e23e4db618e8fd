"""Tensors of a chain of int16 that share one exponent, and means over all pixels."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.own_domain import ADDEND_PLACE, PSB_CONV
from reluflow.graph.psb.chain.resize import Linear, read_linear
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute
from reluflow.psb import activation_exponent

MOST_STEPS = 14
"""Between the exponents of what a convolution adds and makes, at most."""
_MOST_APART = 3
"""Between the exponents of what a Concat joins: the larger ones lose so many bits at most."""
_SPATIAL = 2
"""Number of the first spatial axis."""


def is_max_pool(node: NodeProto) -> bool:
    """Tell whether a node is a MaxPool that int16 have an operator for."""
    if domain_of(node.domain) or node.op_type != "MaxPool":
        return False
    return not attribute(node, "ceil_mode", 0) and not any(node.output[1:])


def keeps_axes_of_mean(editor: Editor, node: NodeProto) -> bool | None:
    """Return whether a mean over all pixels keeps their axes; None: the node is no such mean."""
    if domain_of(node.domain):
        return None
    if node.op_type == "GlobalAveragePool":
        return True
    known = editor.types.get(node.input[0]) if node.input else None
    if known is None or known.shape is None:
        return None
    if node.op_type == "ReduceMean":
        axes, rank = _axes(editor, node), len(known.shape)
        every = axes is not None and sorted(a % rank for a in axes) == list(range(_SPATIAL, rank))
        return bool(attribute(node, "keepdims", 1)) if every else None
    if node.op_type != "AveragePool" or attribute(node, "auto_pad", "NOTSET") != "NOTSET":
        return None
    pads, kernel = attribute(node, "pads"), attribute(node, "kernel_shape")
    padded = any(each != 0 for each in pads or [])  # type: ignore[attr-defined]
    whole = not padded and tuple(known.shape[_SPATIAL:]) == tuple(kernel)  # type: ignore[arg-type]
    return True if whole else None


def _axes(editor: Editor, node: NodeProto) -> list[int] | None:
    given = attribute(node, "axes")
    if given is not None:
        return [int(axis) for axis in given]  # type: ignore[attr-defined]
    value = editor.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    return None if value is None else [int(axis) for axis in value.reshape(-1)]


class SharedExponents:
    """Finds which Concats and Resizes can join, and gives what they and MaxPools link one exponent.

    The exponent is the smallest of those that are linked, so that nothing saturates that did not.

    Args:
        editor: of the converted model.
        exponents: tensor -> f.
        convs: the convolutions that join.
        bits: of a value.

    Attributes:
        exponents: tensor -> f, shared where it has to be.
        concats: identities of the Concats that join.
        resizes: identity of each Resize that joins -> how it interpolates.
        left: identity of each Resize between values of a chain that cannot join -> why.
    """

    def __init__(
        self,
        editor: Editor,
        exponents: Mapping[str, int],
        convs: Collection[NodeProto],
        bits: int,
    ) -> None:
        self.exponents = dict(exponents)
        self._own = dict(exponents)  # as they would be without links
        self.concats: set[int] = set()
        self.resizes: dict[int, Linear] = {}
        self.left: dict[int, Reason] = {}
        self._editor, self._bits = editor, bits
        self._joined = set(map(id, convs))
        self._made = {node.output[0] for node in convs}
        self._group: dict[str, list[str]] = {}
        for node in editor.nodes:
            if (is_max_pool(node) and node.input[0] in self._made) or self._resizes(node):
                self._made.add(node.output[0])
                self._own[node.output[0]] = self._own[node.input[0]]
                self.exponents[node.output[0]] = self.exponents[node.input[0]]
                self._link([node.input[0], node.output[0]], [])
            elif node.op_type == "Concat" and not domain_of(node.domain) and self._fits(node):
                self.concats.add(id(node))
                self._made.add(node.output[0])
                self._own[node.output[0]] = self.exponents[node.output[0]]
        if any(map(self._too_far, convs)):
            self.exponents, self.concats = dict(exponents), set()

    def _fits(self, node: NodeProto) -> bool:
        """Link what a Concat joins, if it can join."""
        parts = {name: self._editor.constant(name) for name in node.input}
        computed = [name for name, value in parts.items() if value is None]
        known = all(name in self.exponents for name in computed)
        ranks = {self._editor.rank(name) for name in computed}
        if not known or len(ranks) != 1 or None in ranks or self._made.isdisjoint(computed):
            return False
        if not any(map(self._takes, self._editor.readers(node.output[0]))):
            return False
        bounds = [
            activation_exponent(np.asarray(value, np.float32), self._bits)
            for value in parts.values()
            if value is not None and np.any(value)
        ]
        return self._link([*computed, node.output[0]], bounds)

    def _resizes(self, node: NodeProto) -> bool:
        """Take in a Resize between values of a chain, if chains have a rule for it."""
        if domain_of(node.domain) or node.op_type != "Resize" or node.input[0] not in self._made:
            return False
        rank = self._editor.rank(node.input[0])
        if rank is None or not any(map(self._takes, self._editor.readers(node.output[0]))):
            return False
        how = read_linear(self._editor, node, rank, self._editor.types[node.input[0]].shape)
        if isinstance(how, Reason):
            self.left[id(node)] = how
            return False
        self.resizes[id(node)] = how
        return True

    def _takes(self, node: NodeProto) -> bool:
        own = id(node) in self._joined
        return own or is_max_pool(node) or node.op_type == "Concat"

    def _link(self, tensors: list[str], bounds: list[int]) -> bool:
        """Give tensors and all they are linked to one exponent, unless theirs are too far apart."""
        members = list(dict.fromkeys(t for name in tensors for t in self._group.get(name, [name])))
        # What a Concat makes has no exponent of its own: it holds what it joins.
        found = [*bounds, *(self._own[t] for t in members if t in self._sources(tensors))]
        least = min(*found, *(self.exponents[t] for t in self._sources(tensors)))
        if max(found) - least > _MOST_APART:
            return False
        for member in members:
            self._group[member] = members
            self.exponents[member] = least
        return True

    def _sources(self, tensors: list[str]) -> set[str]:
        made = tensors[-1]
        return {t for name in tensors[:-1] for t in self._group.get(name, [name])} - {made}

    def _too_far(self, node: NodeProto) -> bool:
        place = ADDEND_PLACE[PSB_CONV]
        z = node.input[place] if len(node.input) > place else ""
        if z not in self.exponents:
            return False
        return abs(self.exponents[z] - self.exponents[node.output[0]]) > MOST_STEPS
