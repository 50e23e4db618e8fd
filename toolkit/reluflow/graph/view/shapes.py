"""Types and shapes, as far as the graph gives them; never an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
    helper,
    shape_inference,
)

from reluflow.data import Dim
from reluflow.graph.proto.external import elements, graphs_of, walk_graphs
from reluflow.graph.proto.inline import inline_functions
from reluflow.graph.proto.skeleton import make_skeleton
from reluflow.graph.view.index import UNKNOWN, TensorType

_SAME_SHAPE = ("", "Identity")
_LIKE = {
    ("com.microsoft", "FusedConv"): ("", "Conv"),
    ("com.microsoft", "FusedGemm"): ("", "Gemm"),
    ("com.microsoft", "FusedMatMul"): ("", "MatMul"),
    **{
        ("com.microsoft", op): _SAME_SHAPE
        for op in ("Gelu", "QuickGelu", "FastGelu", "BiasGelu", "QLinearAdd", "QLinearLeakyRelu")
    },
}
_PROPAGATED = {"Concat", "Identity", "Cast", "Squeeze", "Unsqueeze", "Add", "Sub", "Mul", "Gather"}
_USUAL_RANK = 8
_LONGEST_SHAPE = 2**16
_LONGEST_VECTOR = 2**20
_LARGEST_TENSOR = 2**28
_FLOAT_OUT = {"Scaler", "Normalizer", "Imputer", "Binarizer"}


@dataclass(frozen=True)
class TypedGraph:
    """What is known about the tensors of a graph.

    Attributes:
        types: tensor -> type, of this graph's tensors only.
        graph: after inference, without weights, its calls inlined.
        declared: names of sizes that count; others are unknown sizes.
    """

    types: dict[str, TensorType]
    graph: GraphProto
    declared: frozenset[str]

    def body(self, outputs: Sequence[str], branch: str) -> TypedGraph | None:
        """Return the subgraph that the node with these outputs holds; None where there is none."""
        for node in self.graph.node:
            if list(node.output) == list(outputs):
                held = [g for a in node.attribute if a.name == branch for g in graphs_of(a)]
                return _typed(held[0], self.declared) if held else None
        return None


def read_types(proto: ModelProto, base_dir: Path | None) -> TypedGraph:
    """Return the types that `build_structure` finds, without the places of the nodes.

    Args:
        proto: the model, not changed.
        base_dir: folder of its external data.
    """
    skeleton = make_skeleton(proto, base_dir)
    flat = inline_functions(skeleton.proto)
    declared = symbols(flat)
    return _typed((infer(flat) if skeleton.exact else flat).graph, declared)


def _typed(graph: GraphProto, declared: frozenset[str]) -> TypedGraph:
    return TypedGraph(types_of(graph, declared), graph, declared)


def infer(proto: ModelProto) -> ModelProto:
    """Return the model with inferred types and shapes; unchanged where inference fails.

    Operators without inference of their own (ONNX Runtime's fused ones, scalers of ai.onnx.ml)
    are read as ONNX operators with the same shapes.

    Args:
        proto: a model without large weights, changed in place.
    """
    for graph in walk_graphs(proto):
        for node in graph.node:
            _read_as_known(node)
    _forget_long_indices(proto)
    try:
        if _floods(proto) or _is_long(shape_inference.infer_shapes(proto)):
            return shape_inference.infer_shapes(proto)
        return shape_inference.infer_shapes(proto, data_prop=True)
    except Exception:  # of several types; unknown shapes are not an error, only less information
        try:
            return shape_inference.infer_shapes(proto)
        except Exception:
            return proto


def _read_as_known(node: NodeProto) -> None:
    like = _LIKE.get((node.domain, node.op_type))
    if node.domain == "ai.onnx.ml" and node.op_type in _FLOAT_OUT:
        like = ("", "Cast")
        node.attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
    if like is not None:
        node.domain, node.op_type = like


def _floods(proto: ModelProto) -> bool:
    """Tell whether concatenated shapes, which data propagation copies, may grow without bound."""
    for graph in walk_graphs(proto):
        sizes = {t.name: elements(t) for t in graph.initializer if len(t.dims) == 1}
        for node in graph.node:
            known = [sizes.get(name, _USUAL_RANK) for name in node.input]
            if node.op_type in _PROPAGATED and known and node.output:
                join = sum if node.op_type == "Concat" else max
                sizes[node.output[0]] = join(known)
                if sizes[node.output[0]] > _LONGEST_SHAPE:
                    return True
    return False


def _is_long(known: ModelProto) -> bool:
    """Tell whether data propagation, which keeps a record per element, would use up all memory.

    A declared size is enough for that; no real shape or index list is so long. Tensors of more axes
    may become lists of their elements.
    """
    shapes = (
        [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        for graph in walk_graphs(known)
        for value in (*graph.value_info, *graph.input, *graph.output)
    )
    return any(
        math.prod(sizes) > (_LONGEST_VECTOR if len(sizes) == 1 else _LARGEST_TENSOR)
        for sizes in shapes
    )


def _forget_long_indices(proto: ModelProto) -> None:
    """Remove declared sizes of vectors of integers that are too long to be a shape.

    Inference makes a tensor of as many axes as the vector that holds its shape has elements.
    """
    for graph in walk_graphs(proto):
        for value in (*graph.value_info, *graph.input, *graph.output):
            tensor = value.type.tensor_type
            if tensor.elem_type in (TensorProto.INT64, TensorProto.INT32, 0):
                if len(tensor.shape.dim) == 1 and tensor.shape.dim[0].dim_value > _LONGEST_VECTOR:
                    tensor.shape.dim[0].ClearField("dim_value")


def symbols(proto: ModelProto) -> frozenset[str]:
    """Return the names of sizes that the model itself gives; inference invents others."""
    return frozenset(
        dim.dim_param
        for graph in walk_graphs(proto)
        for value in (*graph.input, *graph.output, *graph.value_info)
        for dim in value.type.tensor_type.shape.dim
        if dim.dim_param
    )


def types_of(graph: GraphProto, declared: frozenset[str]) -> dict[str, TensorType]:
    """Collect what a graph says about its tensors.

    Args:
        graph: after inference.
        declared: names of sizes that count; others are unknown sizes.
    """
    known = {t.name: TensorType(t.data_type, tuple(t.dims)) for t in graph.initializer}
    for sparse in graph.sparse_initializer:
        known[sparse.values.name] = TensorType(sparse.values.data_type, tuple(sparse.dims))
    for value in [*graph.value_info, *graph.output, *graph.input]:
        known.setdefault(value.name, tensor_type(value.type, declared))
    return known


def tensor_type(proto: TypeProto, declared: frozenset[str]) -> TensorType:
    """Translate a type; anything but a tensor is unknown."""
    if not proto.HasField("tensor_type"):
        return UNKNOWN
    tensor = proto.tensor_type
    if not tensor.HasField("shape"):
        return TensorType(tensor.elem_type, None)
    dims: list[Dim] = []
    for dim in tensor.shape.dim:
        if dim.HasField("dim_value"):
            dims.append(dim.dim_value if dim.dim_value >= 0 else None)
        else:
            dims.append(dim.dim_param if dim.dim_param in declared else None)
    return TensorType(tensor.elem_type, tuple(dims))
