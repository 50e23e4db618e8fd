"""The index of a graph: which nodes produce and read a tensor, and what is constant."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper

from reluflow.graph.proto.copy import copy_proto
from reluflow.graph.proto.external import graphs_of
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.view.constants import ANY_SIZE, DEPTH, evaluate, stored_value
from reluflow.graph.view.index import Constant, Constants, Node, TensorType
from reluflow.graph.view.shapes import TypedGraph, read_types

WITH_BODIES = ("If", "Loop", "Scan")
"""Operators whose subgraphs read the graph around them."""


class Reader:
    """The index of a graph without local functions other than those of PSB operators.

    It is the main graph's; `bodies` gives those of the subgraphs of If, Loop and Scan, whose
    constants may come from the graphs around them.

    Attributes:
        proto: the model, which a reader does not change.
        base_dir: folder of external data.
        graph: what is indexed.
        parent: the index of the graph around it, None for the main graph.
        owner: the parent's node that holds the graph, None for the main graph.
        branch: the attribute of the owner that holds it, "" for the main graph.
        nodes: of the graph, in order.
    """

    parent: Reader | None = None
    owner: NodeProto | None = None
    branch: str = ""

    def __init__(self, proto: ModelProto, base_dir: Path | None) -> None:
        self.proto = proto
        self.base_dir = base_dir
        self.graph = proto.graph
        self.reload()

    def reload(self) -> None:
        """Index the graph again."""
        self.nodes = list(self.graph.node)
        self._given = {t.name: t for t in self.graph.initializer}
        self._inputs = {value.name for value in self.graph.input}
        self._read: set[str] = set()
        self._outputs = {value.name for value in self.graph.output}
        self._producers: dict[str, NodeProto] = {}
        self._readers: dict[str, list[NodeProto]] = {}
        for known in ("types", "_typed", "bodies"):
            self.__dict__.pop(known, None)
        for node in self.nodes:
            self._enter(node)

    @cached_property
    def bodies(self) -> tuple[Reader, ...]:
        """The indices of the subgraphs of the graph's own nodes, in graph order."""
        return tuple(_BodyReader(self, *found) for found in self._held_graphs())

    def everywhere(self) -> tuple[Reader, ...]:
        """Return this index and those of all subgraphs, the outer ones first."""
        return (self, *(inner for body in self.bodies for inner in body.everywhere()))

    def _held_graphs(self) -> Iterator[tuple[NodeProto, str, GraphProto]]:
        for node in self.nodes:
            if node.op_type in WITH_BODIES and not domain_of(node.domain):
                for entry in node.attribute:
                    for graph in graphs_of(entry):
                        yield node, entry.name, graph

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        found = (e.version for e in self.proto.opset_import if not domain_of(e.domain))
        return next(found, 1)

    @cached_property
    def types(self) -> dict[str, TensorType]:
        """Types of the tensors that the graph knows as they were before the rewrite."""
        outer = {} if self.parent is None else self.parent.types
        own = {} if self._typed is None else self._typed.types
        return {**outer, **own}

    @cached_property
    def _typed(self) -> TypedGraph | None:
        """The graph's types; None where inference does not show it."""
        if self.parent is None or self.owner is None:
            return read_types(self.proto, self.base_dir)
        around = self.parent._typed
        return None if around is None else around.body(self.owner.output, self.branch)

    def rank(self, tensor: str) -> int | None:
        """Return the number of axes of a tensor, None where the graph does not tell."""
        known = self.types.get(tensor)
        return None if known is None or known.shape is None else len(known.shape)

    def producer(self, tensor: str) -> NodeProto | None:
        """Return the node of the graph that produces a tensor."""
        return self._producers.get(tensor)

    def home(self, tensor: str) -> Reader:
        """Return the index of the graph, this one or one around it, to which a tensor belongs."""
        own = tensor in self._inputs or tensor in self._given or tensor in self._producers
        return self if own or self.parent is None else self.parent.home(tensor)

    def readers(self, tensor: str) -> list[NodeProto]:
        """Return the nodes of the graph that read a tensor, directly or in a subgraph."""
        return self._readers.get(tensor, [])

    def is_output(self, tensor: str) -> bool:
        """Tell whether a tensor is an output of the graph."""
        return tensor in self._outputs

    def sole_reader(self, tensor: str) -> NodeProto | None:
        """Return the only node that reads a tensor, None where there are other readers."""
        readers = self.readers(tensor)
        if len(readers) != 1 or self.is_output(tensor):
            return None
        return readers[0] if list(reads(readers[0])).count(tensor) == 1 else None

    def constant(self, tensor: str, depth: int = DEPTH) -> np.ndarray | None:
        """Return a tensor's value where the graph alone determines it, at any size."""
        known = Constants()  # valid for this query only: the graph may change before the next

        def find(name: str, depth: int) -> Constant | None:
            return known.find(name, depth, look)

        def look(name: str, depth: int) -> Constant | None:
            if name in self._given:
                self._read.add(name)
                return Constant(stored_value(self._given[name], self.base_dir, ANY_SIZE))
            node = self._producers.get(name)
            if node is None and self.parent is not None and name not in self._inputs:
                return Constant(self.parent.constant(name, depth))
            made = None if node is None else Node.made(node)
            return evaluate(made, name, depth, find, self.base_dir, ANY_SIZE)

        found = find(tensor, depth)
        return None if found is None else found.value

    def _enter(self, node: NodeProto) -> None:
        self._producers.update((name, node) for name in node.output if name)
        for name in dict.fromkeys(reads(node)):
            self._readers.setdefault(name, []).append(node)


class _BodyReader(Reader):
    """The index of a subgraph."""

    def __init__(self, parent: Reader, owner: NodeProto, branch: str, graph: GraphProto) -> None:
        self.proto, self.base_dir, self.graph = parent.proto, parent.base_dir, graph
        self.parent, self.owner, self.branch = parent, owner, branch
        self.reload()


def read_graph(model: Model) -> Reader:
    """Return the index of a model, which is copied only where functions have to be inlined.

    It is made once, since models do not change, and must not be changed either.
    """
    if model._reader is None:
        own = all(function.domain == OWN_DOMAIN for function in model._proto.functions)
        proto = model._proto if own else copy_proto(model, inline=True, keep_domain=OWN_DOMAIN)
        model._reader = Reader(proto, model.base_dir)
    found: Reader = model._reader
    return found


def reads(node: NodeProto) -> Iterator[str]:
    """Yield the tensors that a node reads, including those that its subgraphs capture."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in graphs_of(attribute):
            yield from _graph_reads(graph)


def _graph_reads(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from reads(node)
    yield from (value.name for value in graph.output)


def name_of(node: NodeProto) -> str:
    """Return a node's name, else its first output's."""
    return node.name or next(filter(None, node.output), node.op_type)


def attribute(node: NodeProto, name: str, default: object = None) -> object:
    """Return the value of an attribute, text as str."""
    for entry in node.attribute:
        if entry.name == name:
            value = helper.get_attribute_value(entry)
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return default
