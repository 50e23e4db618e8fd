"""A model without its weights: small enough to check, infer and inline at any model size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto, NodeProto, TensorProto, helper

from reluflow.graph.proto.external import (
    SMALL_ELEMENTS,
    attribute_tensors,
    elements,
    is_external,
    walk_graphs,
    with_data,
)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A model whose large initializers became inputs of the same name, type and shape.

    Attributes:
        proto: the model; node order and names are those of the original.
        exact: False where weights inside a subgraph had to be emptied, so that shapes
            inferred from it would be wrong.
    """

    proto: ModelProto
    exact: bool


def make_skeleton(proto: ModelProto, base_dir: Path | None) -> Skeleton:
    """Copy a model without weights; tensors of at most 1024 elements keep their values.

    Args:
        proto: the model, not changed.
        base_dir: folder of its external data.

    Returns:
        The copy. Small external tensors are read in, so that shapes that depend on them
        are known.
    """
    out = ModelProto(ir_version=proto.ir_version, producer_name=proto.producer_name)
    out.opset_import.extend(proto.opset_import)
    out.functions.extend(proto.functions)
    graph, source = out.graph, proto.graph
    graph.name = source.name
    graph.node.extend(source.node)
    graph.input.extend(source.input)
    graph.output.extend(source.output)
    graph.value_info.extend(source.value_info)
    graph.sparse_initializer.extend(source.sparse_initializer)
    named = {value.name for value in source.input}
    for tensor in source.initializer:
        if elements(tensor) <= SMALL_ELEMENTS:
            graph.initializer.append(with_data(tensor, base_dir) if is_external(tensor) else tensor)
        elif tensor.name not in named:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
            named.add(tensor.name)
    return Skeleton(out, exact=_resolve_inner_tensors(out, base_dir))


def _resolve_inner_tensors(proto: ModelProto, base_dir: Path | None) -> bool:
    """Read the data of external tensors in attributes and subgraphs, or empty the large ones."""
    exact = True
    holders: list[TensorProto] = []
    for graph in walk_graphs(proto):
        holders += [*graph.initializer, *attribute_tensors(graph.node)]
    for function in proto.functions:
        holders += attribute_tensors(function.node)
    for tensor in holders:
        if not is_external(tensor):
            continue
        if elements(tensor) <= SMALL_ELEMENTS:
            tensor.CopyFrom(with_data(tensor, base_dir))
        else:
            name, data_type = tensor.name, tensor.data_type
            tensor.Clear()
            tensor.name, tensor.data_type = name, data_type
            tensor.dims.append(0)
            tensor.raw_data = b""
            exact = False
    return exact


def describe(node: NodeProto) -> str:
    """Name a node in a sentence."""
    name = node.name or (node.output[0] if node.output else "")
    return f"node {name!r} ({node.op_type})"
