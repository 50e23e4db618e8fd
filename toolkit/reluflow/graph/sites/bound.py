"""Site shapes for one input of a known size."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto, ValueInfoProto

from reluflow.data import Dim
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.skeleton import make_skeleton
from reluflow.graph.sites.find import find_sites


def bound_shapes(
    model: Model, inputs: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[Dim, ...] | None]:
    """Return the pre-activation shape of every site when inputs of these shapes are fed.

    Args:
        model: the model, not changed; weights are not read.
        inputs: input name -> shape, the batch axis included; others stay as they are.

    Returns:
        Site name -> shape, as far as the graph tells; None where not even the rank is known.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2,H,W] x) => (float[N,2,A,B] y) { p = MaxPool <kernel_shape = [2,2]> (x)
        ...     y = Relu(p) }''')
        >>> list(bound_shapes(load(proto), {"x": (1, 2, 9, 8)}).values())
        [(1, 2, 8, 7)]
    """
    proto = bind(model, inputs)
    sites = find_sites(Model(proto, base_dir=model.base_dir), smooth=True)
    return {site.name: site.shape for site in sites}


def bind(model: Model, inputs: Mapping[str, tuple[int, ...]]) -> ModelProto:
    """Return a model without large weights whose inputs have these shapes, and no other claims.

    Args:
        model: the model, not changed; weights are not read.
        inputs: input name -> shape; others stay as they are.
    """
    proto = make_skeleton(model._proto, model.base_dir).proto
    for value in proto.graph.input:
        if value.name in inputs and value.type.HasField("tensor_type"):
            shape = value.type.tensor_type.shape
            shape.ClearField("dim")
            for size in inputs[value.name]:
                shape.dim.add().dim_value = size
    for value in proto.graph.output:
        if not _is_known(value):
            value.type.tensor_type.ClearField("shape")
    known = [v.SerializeToString() for v in proto.graph.value_info if _is_known(v)]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(map(ValueInfoProto.FromString, known))
    return proto


def _is_known(value: ValueInfoProto) -> bool:
    """Tell whether all sizes of a tensor are numbers: symbols may clash with the bound ones."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return True
    return all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
