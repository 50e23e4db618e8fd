"""Leaving out what comes after the tensors that are needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from reluflow.errors import OptionError
from reluflow.graph.proto.check import reads
from reluflow.graph.proto.external import walk_graphs
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.draft import Draft, retain


@dataclass(frozen=True, slots=True)
class CutOff:
    """What was removed from a model; part of what `cut_tail` returns.

    Attributes:
        outputs: names of the removed outputs.
        nodes: removed nodes of the main graph.
    """

    outputs: tuple[str, ...]
    nodes: tuple[str, ...]


def cut_tail(model: Model, keep: Collection[str]) -> Rewritten[CutOff]:
    """Return a copy of a model that computes only some of its outputs.

    Nodes that none of them needs are removed, and the operator sets that are no longer used.

    Args:
        model: the model, not changed.
        keep: outputs that stay, at least one.

    Raises:
        OptionError: a name is not that of an output of the model.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x) => (float[N,4] y, float[N,4] z) { y = Relu(x) z = Exp(y) }''')
        >>> cut_tail(load(proto), ["y"]).done.outputs
        ('z',)
    """
    for name in keep:
        if name not in model.outputs:
            raise OptionError(
                f"keep names {name!r}, which is no output of the model; give some of "
                f"{', '.join(map(repr, model.outputs))}."
            )
    draft = Draft(model)
    graph = draft.proto.graph
    needed = set(keep)
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(reads(node))
    gone = [n for n in graph.node if not needed.intersection(n.output)]
    nodes = tuple(node.name or node.output[0] for node in gone if node.name or node.output)
    retain(graph.node, lambda node: bool(needed.intersection(node.output)))
    retain(graph.output, lambda value: value.name in keep)
    _drop_domains(draft.proto)
    return draft.finish(CutOff(tuple(name for name in model.outputs if name not in keep), nodes))


def _drop_domains(proto: ModelProto) -> None:
    used = {node.domain for node in _nodes(proto)} | {"", "ai.onnx"}
    retain(proto.opset_import, lambda entry: entry.domain in used)


def _nodes(proto: ModelProto) -> Iterator[NodeProto]:
    for graph in walk_graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node
