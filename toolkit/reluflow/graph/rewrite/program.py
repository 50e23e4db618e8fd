"""A model as plain records, for bridges that run it in their framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper

from reluflow.errors import ModelError
from reluflow.graph.proto.copy import copy_proto
from reluflow.graph.proto.external import graphs_of, read_tensor
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.rewrite.reader import name_of

AttributeValue = int | float | str | np.ndarray | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator of a `read_program`.

    Attributes:
        name: of the node; its first output's where the file gives none.
        op: operator type of ONNX's own domain, or of ours where `read_program` keeps those.
        inputs: tensor names, "" for an optional input that is left out.
        outputs: tensor names, "" likewise.
        attributes: by name; tensors are numpy arrays, types of `Cast` numpy type names.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class Program:
    """A model's main graph, functions inlined, as returned by `read_program`.

    Attributes:
        operations: in a valid order of execution.
        constants: initializers and Constant nodes, by tensor name.
        inputs: names of what must be fed.
        outputs: names of the results.
        opset: version of ONNX's own operators.
    """

    operations: tuple[Operation, ...]
    constants: Mapping[str, np.ndarray]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int


def read_program(model: Model, *, own: bool = False) -> Program:
    """Return a model's main graph as plain records.

    Args:
        model: any model whose operators are ONNX's own and hold no subgraph.
        own: keep the operators of our domain, instead of the functions that they stand for; those
            of other domains are named `domain.Operator` then, and subgraphs are left out.

    Returns:
        Its operations and constants; external data are read.

    Raises:
        ModelError: an operator is of another domain or holds a subgraph, without `own`.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = LeakyRelu<alpha = 0.5>(h) }''')
        >>> program = read_program(load(proto))
        >>> [(step.op, dict(step.attributes)) for step in program.operations]
        [('MatMul', {}), ('LeakyRelu', {'alpha': 0.5})]
    """
    proto = copy_proto(model, inline=True, keep_domain=OWN_DOMAIN if own else None)
    constants = {
        tensor.name: read_tensor(tensor, model.base_dir) for tensor in proto.graph.initializer
    }
    operations = []
    for node in proto.graph.node:
        step = _operation(model, node, own)
        if step.op == "Constant":
            constants[step.outputs[0]] = _constant(step)
        else:
            operations.append(step)
    return Program(
        tuple(operations),
        constants,
        tuple(spec.name for spec in model.inputs),
        model.outputs,
        model.opset.get("", 1),
    )


def _operation(model: Model, node: NodeProto, own: bool) -> Operation:
    name = name_of(node)
    if own:
        foreign = node.domain not in ("", "ai.onnx", OWN_DOMAIN)
        op = f"{node.domain}.{node.op_type}" if foreign else node.op_type
        kept = {a.name: _value(model, a) for a in node.attribute if not any(graphs_of(a))}
        return Operation(name, op, tuple(node.input), tuple(node.output), kept)
    if node.domain not in ("", "ai.onnx"):
        raise ModelError(
            f"node {name!r} is {node.op_type} of domain {node.domain!r}, which only ONNX Runtime "
            "runs; give a model of ONNX's own operators."
        )
    if any(graphs_of(attribute) for attribute in node.attribute):
        raise ModelError(
            f"node {name!r} is {node.op_type} with a subgraph, which cannot be differentiated "
            "here; give a model without If, Loop and Scan."
        )
    attributes = {a.name: _value(model, a) for a in node.attribute}
    for a in node.attribute if node.op_type == "Cast" else ():
        if a.name == "to":
            attributes["to"] = _numpy_type(name, a.i)
    return Operation(name, node.op_type, tuple(node.input), tuple(node.output), attributes)


def _numpy_type(name: str, number: int) -> str:
    try:
        return str(np.dtype(helper.tensor_dtype_to_np_dtype(number)))
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"node {name!r} (Cast) casts to type {number}, which numpy has not; export the model "
            "again."
        ) from error


def _value(model: Model, attribute: AttributeProto) -> AttributeValue:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, TensorProto):
        return read_tensor(value, model.base_dir)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int | float):
        return value
    return tuple(value)


def _constant(step: Operation) -> np.ndarray:
    if len(step.attributes) != 1:
        raise ModelError(f"node {step.name!r} is a Constant without a value; export it again.")
    [(name, value)] = step.attributes.items()
    if "int" in name:
        return np.asarray(value, np.int64)
    return np.asarray(value, np.float32) if "float" in name else np.asarray(value)
