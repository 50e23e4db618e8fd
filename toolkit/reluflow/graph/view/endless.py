"""Loops that never end, as far as the graph alone shows."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto, NodeProto

from reluflow.graph.proto.external import elements, graphs_of, read_tensor
from reluflow.graph.proto.model import Model

MAX_TRIPS = 2**31 - 1
"""Nobody waits for this many iterations: at a microsecond each they take an hour per run, and
gigabytes where each iteration keeps a tensor. Exporters write this, or 2^63 - 1, to mean "until the
condition is false"."""


def endless_loop(model: Model) -> str:
    """Return why a model never ends, a clause that names the node; "" if nothing shows that.

    A Loop never ends where its number of iterations is left out or at least 2^31 - 1, and its
    condition is left out or starts true, and every iteration passes it on unchanged or sets it to
    true.

    Args:
        model: as loaded; nodes inside functions are not examined.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N] x) => (float[N] y) { y = Relu(x) }''')
        >>> endless_loop(load(proto))
        ''
    """
    for node, graph in _loops(model._proto.graph):
        name = node.name or next(filter(None, node.output), "")
        trips = _integer(graph, node.input[0], model) if node.input and node.input[0] else MAX_TRIPS
        body = next((g for a in node.attribute for g in graphs_of(a)), None)
        if trips is None or trips < MAX_TRIPS or body is None or len(body.input) < 2:
            continue
        starts = len(node.input) < 2 or not node.input[1] or _integer(graph, node.input[1], model)
        # Only what is certain: a condition that is computed may become false, and a run that takes
        # long can be interrupted.
        if starts and _stays_true(body, model):
            return (
                f"its Loop {name!r} never ends: no round makes its condition false, and its "
                "number of rounds has no bound below 2^31 - 1"
            )
    return ""


def _loops(graph: GraphProto) -> Iterator[tuple[NodeProto, GraphProto]]:
    for node in graph.node:
        if node.op_type == "Loop" and node.domain in ("", "ai.onnx"):
            yield node, graph
        for attribute in node.attribute:
            for inner in graphs_of(attribute):
                yield from _loops(inner)


def _stays_true(body: GraphProto, model: Model) -> bool:
    tensor = _through_identity(body, body.output[0].name) if body.output else ""
    return tensor == body.input[1].name or bool(_integer(body, tensor, model))


def _through_identity(graph: GraphProto, tensor: str) -> str:
    makers = {name: node for node in graph.node for name in node.output if name}
    # At most once for each node, as a damaged graph may hold a circle.
    for _ in range(len(graph.node)):
        node = makers.get(tensor)
        if node is None or node.op_type != "Identity" or not node.input:
            break
        tensor = node.input[0]
    return tensor


def _integer(graph: GraphProto, tensor: str, model: Model) -> int | None:
    """Return the one number of a constant of this graph, None where it is none."""
    source = _through_identity(graph, tensor)
    found = [entry for entry in graph.initializer if entry.name == source]
    for node in graph.node:
        if node.op_type == "Constant" and source in node.output:
            found += [a.t for a in node.attribute if a.name == "value"]
    if len(found) != 1 or elements(found[0]) != 1:
        return None
    if any(value.name == source for value in graph.input):
        return None  # a default that callers may replace
    return int(read_tensor(found[0], model.base_dir).ravel()[0])
