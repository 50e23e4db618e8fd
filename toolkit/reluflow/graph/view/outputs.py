"""What produces the outputs of a model: the last operator that does more than reshape."""

from __future__ import annotations

from collections.abc import Container

from onnx import NodeProto

from reluflow.data import Dim
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    FIXED_CONV,
    FIXED_TABLE,
    FROM_FIXED,
    FROM_FIXED_16,
    OWN_DOMAIN,
    FixedPlace,
)

_FORM = {
    *("Identity", "Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
    *("Dropout", "ZipMap"),
}
_DOMAINS = ("", "ai.onnx.ml")


def output_makers(model: Model) -> dict[str, str]:
    """Return each output's name and the operator that computes its values.

    Operators that only change the form (Identity, Cast, Reshape, ZipMap, ...) are skipped. An
    output that is an input or a constant has the operator "".

    Args:
        model: any model.

    Example:
        >>> import onnx
        >>> from reluflow.graph import load
        >>> text = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,2] x) => (float[N,2] y)'
        >>> text += "{ h = Sigmoid(x) y = Identity(h) }"
        >>> output_makers(load(onnx.parser.parse_model(text)))
        {'y': 'Sigmoid'}
    """
    nodes = {name: node for node in model._proto.graph.node for name in node.output if name}
    empty = {tensor.name for tensor in model._proto.graph.initializer if 0 in tensor.dims}
    found = {}
    for output in model.outputs:
        node = nodes.get(output)
        while node is not None and _changes_form(node):
            node = nodes.get(node.input[0]) if node.input else None
        found[output] = "" if node is None else _computes(node, empty)
    return found


def output_shapes(model: Model) -> dict[str, tuple[Dim, ...] | None]:
    """Return each output's name and shape, as the file declares it.

    Args:
        model: any model.

    Returns:
        A size, the name of a size or None for each axis; None where not even their number is told.

    Example:
        >>> from reluflow.graph import load
        >>> output_shapes(load("models/fashion_resnet8.onnx"))
        {'logits': ('N', 10)}
    """
    found: dict[str, tuple[Dim, ...] | None] = {}
    for value in model._proto.graph.output:
        kind = value.type.tensor_type
        dims = tuple(each.dim_value or each.dim_param or None for each in kind.shape.dim)
        found[value.name] = dims if kind.HasField("shape") else None
    return found


def makes_tensor(model: Model, tensor: str) -> bool:
    """Tell whether a node of the main graph makes a tensor.

    Args:
        model: any model.
        tensor: its name.

    Example:
        >>> from reluflow.graph import load
        >>> makes_tensor(load("models/fashion_resnet8.onnx"), "image")
        False
    """
    return any(tensor in node.output for node in model._proto.graph.node if tensor)


def _changes_form(node: NodeProto) -> bool:
    if node.domain == OWN_DOMAIN:
        return node.op_type in (FROM_FIXED, FROM_FIXED_16)
    return node.op_type in _FORM and domain_of(node.domain) in _DOMAINS


def _computes(node: NodeProto, empty: Container[str]) -> str:
    """Return a node's operator; a convolution of bytes with a table looks its results up."""
    tables = [name for name in node.input[FixedPlace.TABLE :] if name and name not in empty]
    return FIXED_TABLE if node.op_type == FIXED_CONV and tables else str(node.op_type)
