"""Types and shapes, as far as the graph tells them; never an error."""

from __future__ import annotations

from onnx import GraphProto, ModelProto, TypeProto, shape_inference

from reluflow.data import Dim
from reluflow.graph._index import UNKNOWN, TensorType


def infer(proto: ModelProto) -> ModelProto:
    """Return the model with inferred types and shapes; as it is where inference fails.

    Args:
        proto: a model without large weights.
    """
    try:
        return shape_inference.infer_shapes(proto, data_prop=True)
    except Exception:  # of several types; unknown shapes are no error, only less knowledge
        try:
            return shape_inference.infer_shapes(proto)
        except Exception:
            return proto


def types_of(graph: GraphProto) -> dict[str, TensorType]:
    """Collect what a graph says of its tensors."""
    known = {t.name: TensorType(t.data_type, tuple(t.dims)) for t in graph.initializer}
    for sparse in graph.sparse_initializer:
        known[sparse.values.name] = TensorType(sparse.values.data_type, tuple(sparse.dims))
    for value in [*graph.value_info, *graph.output, *graph.input]:
        known.setdefault(value.name, tensor_type(value.type))
    return known


def tensor_type(proto: TypeProto) -> TensorType:
    """Translate a type; what is no tensor is unknown."""
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
            dims.append(dim.dim_param or None)
    return TensorType(tensor.elem_type, tuple(dims))
