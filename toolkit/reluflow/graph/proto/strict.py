"""Faults that ONNX's own checker accepts but on which its inliner or ONNX Runtime fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, defs

from reluflow.errors import ModelError
from reluflow.graph.proto.external import graphs_of
from reluflow.graph.proto.skeleton import describe

MAX_INLINED_NODES = 10_000
"""Nodes that inlining may always make; beyond, it may make MAX_GROWTH for each in the file."""

MAX_GROWTH = 256  # a converted layer inlines to 150 nodes

_Key = tuple[str, str, str]
_OPTIONAL = defs.OpSchema.FormalParameterOption.Optional


def check_strictly(proto: ModelProto, label: str) -> None:
    """Check calls of local functions, references to attributes, and inputs that are left out.

    Optional inputs that a node leaves out at its end are dropped in place: in ONNX an empty name
    and a missing name mean the same, in ONNX Runtime not always.

    Args:
        proto: the model.
        label: what to call it in a sentence.

    Raises:
        ModelError: the model cannot be used; the sentence says why.
    """
    functions = {_key(f.domain, f.name, getattr(f, "overload", "")): f for f in proto.functions}
    bodies: list[tuple[GraphProto | FunctionProto, set[str] | None]] = [(proto.graph, None)]
    for f in functions.values():
        bodies.append((f, {*f.attribute, *(a.name for a in f.attribute_proto)}))
    for body, attributes in bodies:
        given = body if isinstance(body, FunctionProto) else proto
        opset = {entry.domain or "ai.onnx": entry.version for entry in given.opset_import}
        for node in _all_nodes(body.node):
            fault = _reference_fault(node, attributes)
            called = functions.get(_key(node.domain, node.op_type, getattr(node, "overload", "")))
            fault = fault or (
                _call_fault(node, called)
                if called
                else _schema_fault(node, opset, fully=body is not proto.graph)
            )
            if fault:
                raise ModelError(
                    f"{label} is not valid ONNX: {describe(node)} {fault}; export the model again."
                )
    _check_growth(proto, functions, label)


def _key(domain: str, name: str, overload: str) -> _Key:
    return ("" if domain == "ai.onnx" else domain, name, overload)


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in graphs_of(attribute):
                yield from _all_nodes(graph.node)


def _reference_fault(node: NodeProto, attributes: set[str] | None) -> str:
    """Return what is wrong with references to a function's attributes; None: not in a function."""
    for attribute in node.attribute:
        name = attribute.ref_attr_name
        if name and attributes is None:
            return (
                f"takes its attribute {attribute.name!r} from attribute {name!r} of a function, "
                "but stands in none"
            )
        if name and attributes is not None and name not in attributes:
            return (
                f"takes its attribute {attribute.name!r} from attribute {name!r}, which the "
                "function around it does not have"
            )
    return ""


def _call_fault(node: NodeProto, function: FunctionProto) -> str:
    for what, given, known in (
        ("inputs", node.input, function.input),
        ("outputs", node.output, function.output),
    ):
        if len(given) > len(known):
            return f"calls a function of {len(known)} {what} with {len(given)}"
    return ""


def _schema_fault(node: NodeProto, opset: dict[str, int], fully: bool) -> str:
    """Return what does not fit the schema of an operator; drop optional inputs left out at the end.

    `fully`: whether the number of inputs and the types of attributes are looked at, as in
    functions: ONNX's checker leaves out those below IR version 8.
    """
    if "" not in node.input and not fully:
        return ""
    domain = node.domain or "ai.onnx"
    try:
        schema = defs.get_schema(
            node.op_type, opset.get(domain, 1), "" if domain == "ai.onnx" else domain
        )
    except defs.SchemaError:
        return ""
    if node.input and not schema.inputs:
        return "has inputs, but takes none"
    for position, name in enumerate(node.input):
        formal = schema.inputs[min(position, len(schema.inputs) - 1)]
        if not name and formal.option != _OPTIONAL:
            return f"leaves its input {formal.name!r} out, which the operator needs"
    if fully and len(node.input) < schema.min_input:
        return f"has {len(node.input)} of the {schema.min_input} inputs that it needs"
    for given in node.attribute if fully else ():
        known = schema.attributes.get(given.name)
        if known is not None and not given.ref_attr_name and given.type != known.type.value:  # type: ignore[attr-defined]
            return f"has an attribute {given.name!r} that is not of type {known.type.name}"  # type: ignore[attr-defined]
    while len(node.input) > schema.min_input and not node.input[-1]:
        del node.input[-1]
    return ""


def _check_growth(proto: ModelProto, functions: dict[_Key, FunctionProto], label: str) -> None:
    """Refuse functions that inlining would expand too far; ONNX's checker has refused recursion."""
    if not functions:
        return
    sizes: dict[_Key, int] = {}
    own = sum(1 for _ in _all_nodes(proto.graph.node))
    own += sum(1 for f in functions.values() for _ in _all_nodes(f.node))

    def size(nodes: Iterable[NodeProto]) -> int:
        total = 0
        for node in _all_nodes(nodes):
            key = _key(node.domain, node.op_type, getattr(node, "overload", ""))
            if key in functions and key not in sizes:
                sizes[key] = size(functions[key].node)
            total += sizes[key] if key in functions else 1
        return total

    inlined = size(proto.graph.node)
    if inlined > max(MAX_INLINED_NODES, MAX_GROWTH * own):
        raise ModelError(
            f"{label} has {own} nodes, but its functions call each other so often that inlining "
            f"makes {inlined} of them; up to {max(MAX_INLINED_NODES, MAX_GROWTH * own)} are "
            "accepted; export the model without nested functions."
        )


def first_broken_name(message: Message) -> bytes | None:
    """Return the first string of a message, at any depth, that is not UTF-8; None: all are.

    Names must be text: protobuf returns bytes where a file does not hold valid UTF-8. The data of
    tensors are not examined.
    """
    return next((value for value in _strings(message) if isinstance(value, bytes)), None)


def _strings(message: Message) -> Iterator[str | bytes]:
    if isinstance(message, TensorProto):
        yield from (message.name, message.doc_string)
        for entry in message.external_data:
            yield from (entry.key, entry.value)
        return
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in (value,) if isinstance(value, Message) else value:
                yield from _strings(inner)
        elif field.type == FieldDescriptor.TYPE_STRING:
            if isinstance(value, str | bytes):
                yield value
            else:
                yield from value
