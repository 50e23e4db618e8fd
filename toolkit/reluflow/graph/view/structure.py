"""The flat view of a model: local functions inlined, shapes inferred, scopes indexed.

Every node of the file (functions and subgraphs included) gets a number, written into a copy
without weights as node metadata. ONNX's inliner keeps metadata, so each flat node tells which
node of the file it came from; walking the calls in order tells through which call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

from reluflow.graph.proto.external import graphs_of
from reluflow.graph.proto.inline import domain_of, inline_functions
from reluflow.graph.proto.skeleton import Skeleton, make_skeleton
from reluflow.graph.view.index import Node, Scope
from reluflow.graph.view.shapes import infer, symbols, types_of

_TAG = "reluflow.tag"
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Structure:
    """The view that the rewrites share.

    Attributes:
        main: the main graph's scope; subgraphs hang below it.
        names: (scope path, flat tensor) -> the tensor's name in the file.
    """

    main: Scope
    names: dict[tuple[str, str], str]


def walk_nodes(proto: ModelProto) -> Iterator[NodeProto]:
    """Yield every node of a file in a fixed order: main graph, functions; subgraphs inside."""
    yield from _nested(proto.graph.node)
    for function in proto.functions:
        yield from _nested(function.node)


def _nested(nodes: Sequence[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in graphs_of(attribute):
                yield from _nested(graph.node)


def build_structure(proto: ModelProto, base_dir: Path | None) -> Structure:
    """Build the flat view of a model.

    Args:
        proto: the model, not changed.
        base_dir: folder of its external data.
    """
    skeleton = make_skeleton(proto, base_dir)
    tagged = skeleton.proto
    originals = list(walk_nodes(proto))
    for tag, node in enumerate(walk_nodes(tagged)):
        entry = node.metadata_props.add()
        entry.key, entry.value = _TAG, str(tag)
    try:
        return _aligned(inline_functions(_copied(tagged)), skeleton, proto, originals, base_dir)
    except _MisalignedError:  # never observed; functions would then be visible but not tappable
        return _aligned(tagged, skeleton, proto, originals, base_dir)


class _MisalignedError(Exception):
    """The inlined nodes do not follow the calls."""


def _aligned(
    flat: ModelProto,
    skeleton: Skeleton,
    proto: ModelProto,
    originals: list[NodeProto],
    base_dir: Path | None,
) -> Structure:
    builder = _Builder(skeleton.proto, originals, base_dir, symbols(flat))
    if skeleton.exact:
        flat = infer(flat)
    main = builder.scope(flat.graph, skeleton.proto.graph.node, "", None)
    main.initializers = {tensor.name: tensor for tensor in proto.graph.initializer}
    return Structure(main, builder.names)


def _copied(proto: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(proto)
    return copy


def _tag(node: NodeProto) -> int:
    return next((int(p.value) for p in reversed(node.metadata_props) if p.key == _TAG), -1)


class _Builder:
    """Matches flat nodes with the nodes of the file while building scopes."""

    def __init__(
        self,
        tagged: ModelProto,
        originals: list[NodeProto],
        base_dir: Path | None,
        declared: frozenset[str],
    ) -> None:
        self.originals = originals
        self.base_dir = base_dir
        self.declared = declared
        self.names: dict[tuple[str, str], str] = {}
        self.functions: dict[_Key, FunctionProto] = {
            (domain_of(f.domain), f.name, getattr(f, "overload", "")): f for f in tagged.functions
        }

    def scope(
        self,
        graph: GraphProto,
        source: Sequence[NodeProto],
        path: str,
        parent: Scope | None,
        in_function: bool = False,
    ) -> Scope:
        """Make the scope of a flat graph whose tagged source nodes are given."""
        flat = deque(graph.node)
        pairs = list(self._pair(flat, source, path, in_function))
        if flat:
            raise _MisalignedError
        given = frozenset(value.name for value in graph.input)
        scope = Scope(
            nodes=[node for node, _ in pairs],
            types=types_of(graph, self.declared),
            parent=parent,
            base_dir=self.base_dir,
            initializers={tensor.name: tensor for tensor in graph.initializer},
            inputs=given | {sparse.values.name for sparse in graph.sparse_initializer},
        )
        for node, tagged in pairs:
            self._inner_scopes(scope, node, tagged)
        return scope

    def _pair(
        self, flat: deque[NodeProto], source: Sequence[NodeProto], path: str, inside: bool
    ) -> Iterator[tuple[Node, NodeProto]]:
        """Follow the calls in order and give each flat node its place in the file."""
        for tagged in source:
            while flat and _tag(flat[0]) < 0:  # added by the inliner itself
                made = flat.popleft()
                yield Node.made(made, path, inside), made
            function = self._called(tagged)
            if function is not None and not function.node:
                continue
            if not flat:
                raise _MisalignedError
            if _tag(flat[0]) == _tag(tagged):  # a plain node, or a call that was not inlined
                yield self._node(flat.popleft(), tagged, path, inside), tagged
            elif function is not None:
                below = _join(path, f"{_label(self.originals[_tag(tagged)])}:{function.name}")
                yield from self._pair(flat, function.node, below, True)
            else:
                raise _MisalignedError
        while flat and _tag(flat[0]) < 0:
            made = flat.popleft()
            yield Node.made(made, path, inside), made

    def _called(self, node: NodeProto) -> FunctionProto | None:
        key = (domain_of(node.domain), node.op_type, getattr(node, "overload", ""))
        return self.functions.get(key)

    def _node(self, proto: NodeProto, tagged: NodeProto, path: str, inside: bool) -> Node:
        tag = _tag(tagged)
        original = self.originals[tag]
        pairs = [*zip(proto.input, original.input, strict=False)]
        pairs += [*zip(proto.output, original.output, strict=False)]
        for name, shown in pairs:
            self.names.setdefault((path, name), shown)
        return Node(
            proto=proto,
            op=original.op_type,
            domain=domain_of(original.domain),
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            original=original,
            scope=path,
            tag=tag,
            in_function=inside,
        )

    def _inner_scopes(self, scope: Scope, node: Node, tagged: NodeProto) -> None:
        """Build the scopes of a node's subgraphs, or of the function that it still calls."""
        sources = {a.name: graphs_of(a) for a in tagged.attribute}
        for attribute in node.proto.attribute:
            pairs = zip(graphs_of(attribute), sources.get(attribute.name, []), strict=False)
            for number, (graph, source) in enumerate(pairs):
                branch = attribute.name + (f"[{number}]" if number else "")
                path = _join(node.scope, f"{node.name}/{branch}")
                inner = self.scope(graph, source.node, path, scope, node.in_function)
                inner.owner, inner.branch = node, branch
                scope.inner.setdefault(id(node), []).append(inner)
        function = self._called(tagged)
        if function is not None:
            scope.inner.setdefault(id(node), []).append(self._body(scope, node, function))

    def _body(self, scope: Scope, node: Node, function: FunctionProto) -> Scope:
        """Build the scope of a function that could not be inlined: visible, but not tappable."""
        path = _join(node.scope, f"{node.name}:{function.name}")
        nodes = [self._node(inner, inner, path, True) for inner in function.node]
        body = Scope(
            nodes=nodes, types={}, base_dir=self.base_dir, inputs=frozenset(function.input)
        )
        body.owner, body.branch = node, ":"
        body.blocked = (
            f"the function {function.name!r} imports another opset than the model, "
            "so it cannot be inlined"
        )
        for inner, proto in zip(nodes, function.node, strict=True):
            self._inner_scopes(body, inner, proto)
        return body


def _label(node: NodeProto) -> str:
    return node.name or next(filter(None, node.output), node.op_type)


def _join(path: str, part: str) -> str:
    return f"{path}/{part}" if path else part
