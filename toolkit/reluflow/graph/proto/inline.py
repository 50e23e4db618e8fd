"""Inlining of model-local functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import FunctionProto, ModelProto, NodeProto, OperatorSetIdProto, defs, inliner

from reluflow.graph.proto.external import graphs_of


def domain_of(name: str) -> str:
    """Return a domain's short name: ONNX's own is ""."""
    return "" if name == "ai.onnx" else name


def inline_functions(proto: ModelProto) -> ModelProto:
    """Inline local functions; those that need another opset than the model's remain calls.

    ONNX's inliner only compares opset imports. Here a function whose operators mean the same in
    both versions, or that imports a domain it does not use, is treated as having the model's opset.

    Args:
        proto: the model; the opset imports of its functions are changed in place.
    """
    if not proto.functions:
        return proto
    model = {domain_of(entry.domain): entry.version for entry in proto.opset_import}
    local = {domain_of(function.domain) for function in proto.functions}
    for function in proto.functions:
        _align(function, model, local)
    _spell_out_defaults(proto)
    return inliner.inline_local_functions(proto)


def _spell_out_defaults(proto: ModelProto) -> None:
    """Give calls the defaults of attributes that they leave out: ONNX's inliner loses them."""
    defaults = {
        (domain_of(f.domain), f.name, getattr(f, "overload", "")): f.attribute_proto
        for f in proto.functions
        if f.attribute_proto
    }
    bodies = [proto.graph.node, *(function.node for function in proto.functions)]
    for node in (node for body in bodies for node in _all_nodes(body)) if defaults else ():
        key = (domain_of(node.domain), node.op_type, getattr(node, "overload", ""))
        given = {attribute.name for attribute in node.attribute}
        node.attribute.extend(a for a in defaults.get(key, ()) if a.name not in given)


def _align(function: FunctionProto, model: dict[str, int], local: set[str]) -> None:
    nodes = list(_all_nodes(function.node))
    kept = []
    for entry in function.opset_import:
        domain = domain_of(entry.domain)
        ops = {node.op_type for node in nodes if domain_of(node.domain) == domain}
        if not ops:
            continue
        version = model.get(domain, entry.version)
        if domain in local or _same_meaning(domain, ops, entry.version, version):
            entry.version = version
        kept.append(OperatorSetIdProto(domain=entry.domain, version=entry.version))
    del function.opset_import[:]
    function.opset_import.extend(kept)


def _same_meaning(domain: str, ops: Iterable[str], left: int, right: int) -> bool:
    """Tell whether operators have one definition in two versions of their domain."""
    try:
        return all(
            defs.get_schema(op, left, domain).since_version
            == defs.get_schema(op, right, domain).since_version
            for op in ops
        )
    except defs.SchemaError:
        return False


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in graphs_of(attribute):
                yield from _all_nodes(graph.node)
