"""Raising a model's opset to the one that a rewrite needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto

from reluflow.errors import ModelError
from reluflow.graph.proto.external import SMALL_ELEMENTS, walk_graphs
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.opset.before_7 import raise_old_node
from reluflow.graph.rewrite.opset.rules import TARGET, Raising, raise_new_node
from reluflow.graph.view.constants import constant_node, stored_value
from reluflow.graph.view.index import UNKNOWN, Node, Scope, TensorType
from reluflow.graph.view.structure import build_structure

_NAMED_AXES_FROM = 7


def raise_opset(editor: Editor, needed_by: str = "PSB operators") -> tuple[int, int] | None:
    """Raise a model to opset 13 where it is older, and say so in a note.

    Names, metadata, documentation and quantisation annotations stay: each node is rewritten by
    a rule of its own, in subgraphs too. ONNX's own converter is not used: it drops metadata,
    keeps the names of operators whose meaning changed, and mistakes the axes of old broadcasts.

    Args:
        editor: the model, whose earlier steps are committed.
        needed_by: what needs it, for error messages.

    Returns:
        The old and the new opset, None where it was new enough.

    Raises:
        ModelError: a node has no equivalent in opset 13.
    """
    old, proto = editor.opset, editor.proto
    if old >= TARGET:
        return None
    main = build_structure(proto, editor.base_dir).main
    raising = Raising(
        old,
        _types(main),
        dict(_constants(proto, editor.base_dir)),
        {name for graph in walk_graphs(proto) for name in _read(graph)},
        editor.names,
    )
    for graph in list(walk_graphs(proto)):
        _raise_graph(graph, raising, old, needed_by)
    _import(proto, TARGET)
    editor.notes += (f"The opset was raised from {old} to {TARGET}, which {needed_by} need.",)
    editor.reload()
    return old, TARGET


def _raise_graph(graph: GraphProto, raising: Raising, old: int, needed_by: str) -> None:
    """Rewrite the nodes of one graph; its subgraphs are handled separately."""
    written: list[NodeProto] = []
    for node in graph.node:
        done = [node] if domain_of(node.domain) else _raised(node, raising)
        if isinstance(done, Reason):
            raise ModelError(
                f"the model has opset {old} and cannot be raised to {TARGET}, which {needed_by} "
                f"need: of node {node.name or node.output[0]!r} ({node.op_type}) {done}; export "
                f"it again with opset {TARGET} or newer."
            )
        written += done
    if len(written) == len(graph.node) and all(
        new is kept for new, kept in zip(written, graph.node, strict=True)
    ):
        return
    copies = [NodeProto.FromString(node.SerializeToString()) for node in written]
    del graph.node[:]
    graph.node.extend(copies)


def _raised(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    """Raise one node, over version 7 where it is older; nodes made on the way are raised too."""
    if raising.opset >= _NAMED_AXES_FROM:
        return raise_new_node(node, raising)
    older = raise_old_node(node, raising)
    if isinstance(older, Reason):
        return older
    written: list[NodeProto] = []
    for each in older:
        newer = raise_new_node(each, raising)
        if isinstance(newer, Reason):
            return newer
        written += newer
    return written


def _read(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
    yield from (value.name for value in graph.output)


def _types(scope: Scope) -> dict[str, TensorType]:
    """Return the types of all graphs; names that mean several things are unknown."""
    found: dict[str, TensorType] = {}
    scopes = [scope]
    while scopes:
        each = scopes.pop()
        for name, known in each.types.items():
            found[name] = known if found.get(name, known) == known else UNKNOWN
        scopes += [inner for group in each.inner.values() for inner in group]
    return found


def _constants(proto: ModelProto, base_dir: Path | None) -> Iterator[tuple[str, np.ndarray]]:
    for graph in walk_graphs(proto):
        for tensor in graph.initializer:
            found = stored_value(tensor, base_dir, SMALL_ELEMENTS)
            if found is not None:
                yield tensor.name, found
        for node in map(Node.made, graph.node):
            found = constant_node(node, base_dir, SMALL_ELEMENTS) if _is_constant(node) else None
            if found is not None:
                yield node.outputs[0], found


def _is_constant(node: Node) -> bool:
    return node.op == "Constant" and not node.domain


def _import(proto: ModelProto, version: int) -> None:
    for entry in proto.opset_import:
        if not domain_of(entry.domain):
            entry.version = version
