"""The index of a main graph: which nodes produce and read a tensor, and what is constant."""

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
from reluflow.graph.view.structure import build_structure


class Reader:
    """The index of a main graph without local functions other than those of PSB operators.

    Attributes:
        proto: the model, which a reader does not change.
        base_dir: folder of external data.
        nodes: of the main graph, in order.
    """

    def __init__(self, proto: ModelProto, base_dir: Path | None) -> None:
        self.proto = proto
        self.base_dir = base_dir
        self.reload()

    def reload(self) -> None:
        """Index the graph again."""
        self.nodes = list(self.proto.graph.node)
        self._given = {t.name: t for t in self.proto.graph.initializer}
        self._read: set[str] = set()
        self._outputs = {value.name for value in self.proto.graph.output}
        self._producers: dict[str, NodeProto] = {}
        self._readers: dict[str, list[NodeProto]] = {}
        self.__dict__.pop("types", None)
        for node in self.nodes:
            self._enter(node)

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        found = (e.version for e in self.proto.opset_import if not domain_of(e.domain))
        return next(found, 1)

    @cached_property
    def types(self) -> dict[str, TensorType]:
        """Types of the main graph's tensors as they were before the rewrite."""
        return build_structure(self.proto, self.base_dir).main.types

    def rank(self, tensor: str) -> int | None:
        """Return the number of axes of a tensor, None where the graph does not tell."""
        known = self.types.get(tensor)
        return None if known is None or known.shape is None else len(known.shape)

    def producer(self, tensor: str) -> NodeProto | None:
        """Return the node of the main graph that produces a tensor."""
        return self._producers.get(tensor)

    def readers(self, tensor: str) -> list[NodeProto]:
        """Return the nodes of the main graph that read a tensor, directly or in a subgraph."""
        return self._readers.get(tensor, [])

    def is_output(self, tensor: str) -> bool:
        """Tell whether a tensor is an output of the model."""
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
            made = None if node is None else Node.made(node)
            return evaluate(made, name, depth, find, self.base_dir, ANY_SIZE)

        found = find(tensor, depth)
        return None if found is None else found.value

    def _enter(self, node: NodeProto) -> None:
        self._producers.update((name, node) for name in node.output if name)
        for name in dict.fromkeys(reads(node)):
            self._readers.setdefault(name, []).append(node)


def read_graph(model: Model) -> Reader:
    """Return the index of a model, which is copied only where functions have to be inlined."""
    if all(function.domain == OWN_DOMAIN for function in model._proto.functions):
        return Reader(model._proto, model.base_dir)
    return Reader(copy_proto(model, inline=True, keep_domain=OWN_DOMAIN), model.base_dir)


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
