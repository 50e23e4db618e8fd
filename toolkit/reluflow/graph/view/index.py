"""Which nodes produce and read a tensor: nodes and scopes with fast look-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper

from reluflow.data import Dim
from reluflow.graph.proto.inline import domain_of


@dataclass(frozen=True, slots=True)
class TensorType:
    """What is known about a tensor.

    Attributes:
        elem_type: `TensorProto.DataType`, 0 where unknown.
        shape: a size, a name or None per dimension; None where the rank is unknown.
    """

    elem_type: int
    shape: tuple[Dim, ...] | None


UNKNOWN = TensorType(0, None)


@dataclass(eq=False, slots=True)
class Node:
    """One node of the flat graph (local functions inlined), and its place in the file.

    Attributes:
        proto: the flat node.
        op: operator name.
        domain: operator domain, "" for ONNX's own.
        inputs: flat tensor names, "" for an input left out.
        outputs: flat tensor names.
        original: the node in the file: itself, or the body node of a function.
        scope: public path of its scope, "" in the main graph.
        tag: number of `original` in the file's node list.
        in_function: whether it is in a local function.
    """

    proto: NodeProto
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    original: NodeProto
    scope: str
    tag: int
    in_function: bool

    @classmethod
    def made(cls, proto: NodeProto, scope: str = "", in_function: bool = False) -> Node:
        """Return a node made by a rewrite: it is not in any file and is its own original."""
        return cls(
            proto=proto,
            op=proto.op_type,
            domain=domain_of(proto.domain),
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            original=proto,
            scope=scope,
            tag=-1,
            in_function=in_function,
        )

    @property
    def name(self) -> str:
        """The node's own name, else its first output's, as written in the file."""
        return self.original.name or next(filter(None, self.original.output), "")

    def attribute(self, name: str) -> AttributeProto | None:
        """Return an attribute, None where it is not set."""
        return next((a for a in self.proto.attribute if a.name == name), None)

    def number(self, name: str, default: float) -> float:
        """Return a float or integer attribute."""
        found = self.attribute(name)
        return default if found is None else float(helper.get_attribute_value(found))

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return a list attribute of integers, None where it is not set."""
        found = self.attribute(name)
        return None if found is None else tuple(found.ints)

    def text(self, name: str, default: str) -> str:
        """Return a string attribute."""
        found = self.attribute(name)
        return default if found is None else found.s.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """What the graph alone says about a tensor.

    Attributes:
        value: None where it says nothing, however far one looks.
        depth: nodes on the longest path to the constants that it is made of.
    """

    value: np.ndarray | None
    depth: int = 0


UNKNOWN_VALUE = Constant(None)


@dataclass(eq=False, slots=True)
class Constants:
    """What is known so far about the constants of a graph.

    Values that were found are kept with their depth, and others with the depth of the search, so
    that no answer depends on earlier queries.

    Attributes:
        found: values, and tensors known to have none.
        looked: tensor -> depth down to which neither was established.
    """

    found: dict[str, Constant] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=dict)

    def find(self, tensor: str, depth: int, look: Find) -> Constant | None:
        """Return the value of a tensor; None where finding it needs more than `depth` nodes.

        Args:
            tensor: its name.
            depth: how many nodes to follow.
            look: finds values that are not known yet.
        """
        if tensor not in self.found and self.looked.get(tensor, -1) < depth:
            answer = look(tensor, depth)
            if answer is None:
                self.looked[tensor] = depth
            else:
                self.found[tensor] = answer
        known = self.found.get(tensor)
        return known if known is not None and known.depth <= depth else None


Find = Callable[[str, int], Constant | None]
"""Returns the value of a tensor, following at most so many nodes; None if that is not enough."""


@dataclass(eq=False)
class Scope:
    """One graph: the main one, a subgraph, or the body of a function that remained a call.

    Attributes:
        nodes: in graph order.
        types: tensor -> type, of this graph's tensors only.
        parent: the graph around it.
        owner: the parent's node that holds it.
        branch: the attribute that holds it ("then_branch", "body").
        blocked: why nothing inside can be tapped, "" where it can.
        base_dir: folder of external data.
        initializers: name -> tensor; for the main graph including the large ones.
        inputs: names supplied from outside.
        inner: id of a node -> the scopes of its subgraphs.
        constants: what is known so far about those that this graph defines.
        origins: unit axes and units; found for all tensors together.
        producers: tensor -> node.
        readers: tensor -> nodes of this graph.
    """

    nodes: list[Node]
    types: dict[str, TensorType]
    parent: Scope | None = None
    owner: Node | None = None
    branch: str = ""
    blocked: str = ""
    base_dir: Path | None = None
    initializers: dict[str, TensorProto] = field(default_factory=dict)
    inputs: frozenset[str] = frozenset()
    inner: dict[int, list[Scope]] = field(default_factory=dict)
    constants: Constants = field(default_factory=Constants)
    origins: dict[str, tuple[int, int | None] | None] = field(default_factory=dict)
    producers: dict[str, Node] = field(default_factory=dict)
    readers: dict[str, list[Node]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.nodes:
            self.producers.update((name, node) for name in node.outputs if name)
            for name in dict.fromkeys(node.inputs):
                self.readers.setdefault(name, []).append(node)

    def home(self, tensor: str) -> Scope | None:
        """Return the scope that defines a tensor: this one or one around it."""
        scope: Scope | None = self
        while scope is not None:
            if tensor in scope.producers or tensor in scope.inputs or tensor in scope.initializers:
                return scope
            scope = scope.parent
        return None

    def producer(self, tensor: str) -> Node | None:
        """Return the node that produces a tensor, None for inputs and initializers."""
        home = self.home(tensor)
        return home.producers.get(tensor) if home else None

    def consumers(self, tensor: str) -> list[Node]:
        """Return the nodes of this graph that read a tensor."""
        return self.readers.get(tensor, [])

    def type_of(self, tensor: str) -> TensorType:
        """Return what is known about a tensor."""
        home = self.home(tensor)
        return home.types.get(tensor, UNKNOWN) if home else UNKNOWN

    def walk(self) -> Iterator[tuple[Scope, Node]]:
        """Yield every node in graph order, a node's subgraphs directly after it."""
        for node in self.nodes:
            yield self, node
            for scope in self.inner.get(id(node), []):
                yield from scope.walk()
