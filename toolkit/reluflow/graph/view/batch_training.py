"""Whether a graph normalises by the current batch instead of by stored statistics."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto, NodeProto

from reluflow.graph.proto.external import walk_graphs
from reluflow.graph.proto.model import Model


def normalises_by_batch(model: Model) -> bool:
    """Tell whether a BatchNormalization of a model is in training mode.

    Subgraphs and model-local functions count; a mode that a caller of a function chooses counts
    as training.

    Args:
        model: the model.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x, float[2] s) => (float[N,2] y)
        ...     { y, m, v = BatchNormalization <training_mode = 1> (x, s, s, s, s) }''')
        >>> normalises_by_batch(load(proto))
        True
    """
    return any(_trains(node) for node in _nodes(model._proto))


def _nodes(proto: ModelProto) -> Iterator[NodeProto]:
    for graph in walk_graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node


def _trains(node: NodeProto) -> bool:
    if node.op_type != "BatchNormalization" or node.domain not in ("", "ai.onnx"):
        return False
    modes = [a for a in node.attribute if a.name == "training_mode"]
    return any(mode.i or mode.ref_attr_name for mode in modes)
