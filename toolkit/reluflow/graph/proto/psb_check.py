"""Nodes of our own domain are checked as strictly as ONNX's checker checks its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from reluflow.errors import ModelError
from reluflow.graph.proto.chain_rules import CHAIN_PORTS, CHAIN_RULES
from reluflow.graph.proto.external import graphs_of, is_external
from reluflow.graph.proto.own_domain import OWN_DOMAIN, USUAL_P_BITS
from reluflow.graph.proto.psb_rules import PORTS, RULES, attribute_fault
from reluflow.psb import N_PLANES_BESIDE_P, SAMPLES

_RULES, _PORTS = {**RULES, **CHAIN_RULES}, {**PORTS, **CHAIN_PORTS}
_CODES = 256
"""Entries of a table of bytes."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a graph says about a tensor: its element type, and its value where it is constant."""

    elem_type: int
    constant: TensorProto | None = None


def check_psb_nodes(proto: ModelProto, label: str = "the model") -> None:
    """Refuse nodes of domain `ai.reluflow` that the operators would not accept.

    The check covers attributes (name, type, range, length, and consistency), numbers of inputs and
    outputs, inputs left out, types of inputs as far as the graph gives them, and shapes of
    constants: bit planes, exponents, bias, `samples` and `seed`. The bits of the weights are not
    read.

    Args:
        proto: the model, its subgraphs and local functions included.
        label: what to call the model in a sentence.

    Raises:
        ModelError: a node is not accepted; the sentence names node, attribute or input, its value
            and what is expected.

    Reference: docs/psb-ops.md, inputs and attributes.
    """
    local = {(function.domain, function.name) for function in proto.functions}
    fault = _graph_fault(proto.graph, {}, local, False)
    for function in proto.functions:
        fault = fault or _fault_among(function.node, {}, local, True)
    if fault:
        raise ModelError(f"{label} is not valid: {fault}; convert the float model again.")


def _graph_fault(
    graph: GraphProto,
    outer: dict[str, _Known],
    local: set[tuple[str, str]],
    in_function: bool,
) -> str:
    known = dict(outer)
    for value in (*graph.value_info, *graph.output, *graph.input):
        known[value.name] = _Known(value.type.tensor_type.elem_type)
    for tensor in graph.initializer:
        known[tensor.name] = _Known(tensor.data_type, tensor)
    return _fault_among(graph.node, known, local, in_function)


def _fault_among(
    nodes: Iterable[NodeProto],
    known: dict[str, _Known],
    local: set[tuple[str, str]],
    in_function: bool,
) -> str:
    """Return what is wrong with the first faulty node, a clause; "" if none is."""
    for node in nodes:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            for entry in node.attribute:
                if entry.type == AttributeProto.TENSOR and node.output:
                    known[node.output[0]] = _Known(entry.t.data_type, entry.t)
        if node.domain == OWN_DOMAIN:
            fault = _node_fault(node, known, local, in_function)
            if fault:
                name = node.name or (node.output[0] if node.output else "")
                return f"node {name!r} ({node.op_type}): {fault}"
        for entry in node.attribute:
            for graph in graphs_of(entry):
                fault = _graph_fault(graph, known, local, in_function)
                if fault:
                    return fault
    return ""


def _node_fault(
    node: NodeProto, known: dict[str, _Known], local: set[tuple[str, str]], in_function: bool
) -> str:
    if node.op_type not in _RULES:
        if (node.domain, node.op_type) in local:
            return ""
        return f"{OWN_DOMAIN} has no such operator; {', '.join(_RULES)} are known"
    return (
        attribute_fault(node, _RULES[node.op_type], in_function)
        or _ports_fault(node)
        or _types_fault(node, known)
        or _constants_fault(node, known)
    )


def _ports_fault(node: NodeProto) -> str:
    """Return which input or output is missing or too many."""
    ports = _PORTS[node.op_type]
    names, needed = ports.inputs, ports.needed
    if not needed <= len(node.input) <= len(names):
        last = "" if needed == len(names) else f" to {len(names)}"
        return f"{len(node.input)} inputs are given; {needed}{last} are wanted: {', '.join(names)}"
    for name, tensor in zip(names, node.input, strict=False):
        if not tensor and name not in ports.optional:
            return f"its input {name} is left out; give one"
    if len(node.output) != len(ports.outputs) or not node.output[0]:
        listed = [name or "none" for name in node.output]
        wanted = f"{len(ports.outputs)} is wanted: {', '.join(ports.outputs)}"
        return f"its outputs are {listed}; {wanted}"
    return ""


def _types_fault(node: NodeProto, known: dict[str, _Known]) -> str:
    ports = _PORTS[node.op_type]
    for (name, wanted), tensor in zip(ports.inputs.items(), node.input, strict=False):
        found = known.get(tensor)
        if found is not None and found.elem_type and found.elem_type not in wanted:
            return (
                f"its input {name}, {tensor!r}, is of type {_type_name(found.elem_type)}; "
                f"{' or '.join(map(_type_name, wanted))} is wanted"
            )
    return ""


def _type_name(elem_type: int) -> str:
    try:
        return str(TensorProto.DataType.Name(elem_type))
    except ValueError:
        return str(elem_type)


def _constants_fault(node: NodeProto, known: dict[str, _Known]) -> str:
    """Return which constant input does not fit the weights' shape."""
    constants = {
        name: known[tensor].constant
        for name, tensor in zip(_PORTS[node.op_type].inputs, node.input, strict=False)
        if tensor in known
    }
    table = constants.get("table")
    if table is not None and list(table.dims) not in ([0], [_CODES]):
        return f"its input table, {table.name!r}, has shape {list(table.dims)}; [256] is wanted"
    given = {entry.name: entry for entry in node.attribute if not entry.ref_attr_name}
    if "weight_shape" not in given:
        return ""  # no weights, or a node of a function that takes it from the function
    shape = list(given["weight_shape"].ints)
    count = int(np.prod(shape, dtype=np.int64))
    p_bits = given["p_bits"].i if "p_bits" in given else USUAL_P_BITS
    wanted = {"W": [N_PLANES_BESIDE_P + p_bits, -(-count // 8)], "emax": shape[:1], "B": shape[:1]}
    for name, dims in wanted.items():
        tensor = constants.get(name)
        if name == "B" and tensor is not None and _is_one_zero(tensor):
            continue
        if tensor is not None and list(tensor.dims) != dims:
            return (
                f"its input {name}, {tensor.name!r}, has shape {list(tensor.dims)}; {dims} is "
                f"wanted for weights of shape {shape} at p_bits {p_bits}"
            )
    return _scalars_fault(constants)


def _is_one_zero(bias: TensorProto) -> bool:
    """Say whether a bias is the one zero that stands for zeros in all channels."""
    if list(bias.dims) != [1] or is_external(bias):
        return False
    return not numpy_helper.to_array(bias).any()


def _scalars_fault(constants: dict[str, TensorProto | None]) -> str:
    for name in ("samples", "seed"):
        tensor = constants.get(name)
        if tensor is None:
            continue
        if len(tensor.dims) > 1 or (tensor.dims and tensor.dims[0] != 1):
            return f"its input {name} has shape {list(tensor.dims)}; one number is wanted"
        value = _number(tensor)
        if name == "samples" and value is not None and value not in SAMPLES:
            return f"its input samples is {value}; one of {', '.join(map(str, SAMPLES))} is wanted"
    return ""


def _number(tensor: TensorProto) -> int | None:
    """Return the one number of a constant, None where it is in another file."""
    if is_external(tensor):
        return None
    try:
        return int(numpy_helper.to_array(tensor).reshape(-1)[0])
    except (ValueError, IndexError, TypeError):
        return None  # the checker of tensors reports what is wrong with its data
