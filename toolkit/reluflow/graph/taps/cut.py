"""Leaving out what comes behind the tensors that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto

from reluflow.errors import OptionError
from reluflow.graph.proto.check import reads
from reluflow.graph.proto.external import walk_graphs
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Rewritten


@dataclass(frozen=True, slots=True)
class CutOff:
    """What a model is without; part of what `cut_tail` returns.

    Attributes:
        outputs: names of the outputs that went.
        nodes: nodes of the main graph that went.
    """

    outputs: tuple[str, ...]
    nodes: tuple[str, ...]


def cut_tail(model: Model, keep: Collection[str]) -> Rewritten[CutOff]:
    """Return a copy of a model that computes some of its outputs only.

    Nodes that none of them needs go, and the operator sets that no node is left of.

    Args:
        model: the model, not changed.
        keep: outputs that stay, one at least.

    Raises:
        OptionError: a name that is no output of the model.

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
    proto = ModelProto()
    proto.CopyFrom(model._proto)
    graph = proto.graph
    needed = set(keep)
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(reads(node))
    kept = [n.SerializeToString() for n in graph.node if needed.intersection(n.output)]
    gone = [n for n in graph.node if not needed.intersection(n.output)]
    nodes = tuple(node.name or node.output[0] for node in gone if node.name or node.output)
    _replace_nodes(graph, kept)
    values = [v.SerializeToString() for v in graph.output if v.name in keep]
    del graph.output[:]
    graph.output.extend(map(ValueInfoProto.FromString, values))
    _drop_domains(proto)
    cut = Model(proto, base_dir=model.base_dir, notes=model.notes)
    gone_outputs = tuple(name for name in model.outputs if name not in keep)
    return Rewritten(cut, CutOff(gone_outputs, nodes))


def _replace_nodes(graph: GraphProto, nodes: list[bytes]) -> None:
    del graph.node[:]
    graph.node.extend(map(NodeProto.FromString, nodes))


def _drop_domains(proto: ModelProto) -> None:
    used = {node.domain for node in _nodes(proto)} | {"", "ai.onnx"}
    kept = [e.SerializeToString() for e in proto.opset_import if e.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(map(OperatorSetIdProto.FromString, kept))


def _nodes(proto: ModelProto) -> Iterator[NodeProto]:
    for graph in walk_graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node
