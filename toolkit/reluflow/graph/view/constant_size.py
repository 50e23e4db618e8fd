"""Constants that a tiny graph computes and that take gigabytes once it is opened."""

from __future__ import annotations

import math

from onnx import ModelProto, NodeProto, TensorProto

from reluflow.graph.proto.external import byte_size, graphs_of, walk_graphs
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.skeleton import make_skeleton
from reluflow.graph.view.shapes import infer

MAX_BYTES = 2**28
"""Bytes that one tensor may take which the graph computes from constants alone."""

_MADE_BY_CHANCE = {"RandomNormal", "RandomUniform", "Multinomial", "Bernoulli"}


def oversized_constant(model: Model) -> str:
    """Return a clause on a tensor that depends on no input but takes more than 256 MiB, else "".

    Such a file may be a few bytes long; ONNX Runtime would compute the tensor twice when a session
    opens. Stored weights are exempt, and so are tensors no larger than one of them.

    Args:
        model: as loaded or rewritten.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> oversized_constant(load(onnx.parser.parse_model('''
        ...     <ir_version: 8, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,4] y)
        ...     <int64[3] s = {1000,1000,1000}> { w = ConstantOfShape(s) y = Add(x, w) }''')))
        "its tensor 'w' depends on no input and takes 4,000,000,000 bytes ([1000, 1000, 1000])"
    """
    proto = model._proto
    computed = _computed(proto)
    if not computed:
        return ""
    stored = max((byte_size(t) or 0 for g in walk_graphs(proto) for t in g.initializer), default=0)
    known = infer(make_skeleton(proto, model.base_dir).proto)
    for value in (*known.graph.value_info, *known.graph.output):
        shape = value.type.tensor_type.shape.dim
        if value.name not in computed or not all(dim.HasField("dim_value") for dim in shape):
            continue
        dims = [dim.dim_value for dim in shape]
        size = _bytes(value.type.tensor_type.elem_type, dims)
        if size > max(MAX_BYTES, stored):
            return (
                f"its tensor {value.name!r} depends on no input and takes {size:,} bytes ({dims})"
            )
    return ""


def _computed(proto: ModelProto) -> set[str]:
    """Return the tensors of the main graph that are computed from constants alone."""
    known = {tensor.name for tensor in proto.graph.initializer}
    computed: set[str] = set()
    for node in proto.graph.node:
        if domain_of(node.domain) or not known.issuperset(filter(None, node.input)):
            continue
        if node.op_type in _MADE_BY_CHANCE or _has_graphs(node):
            continue
        known.update(node.output)
        if node.op_type != "Constant":
            computed.update(node.output)
    return computed - {""}


def _has_graphs(node: NodeProto) -> bool:
    return any(graphs_of(attribute) for attribute in node.attribute)


def _bytes(elem_type: int, dims: list[int]) -> int:
    if any(dim < 0 for dim in dims):
        return 0
    return byte_size(TensorProto(data_type=elem_type, dims=dims)) or math.prod(dims)
