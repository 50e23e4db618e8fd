"""The conditions that must hold before a model is used; each failure is one sentence."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from reluflow.errors import ModelError
from reluflow.graph.proto.external import (
    byte_size,
    check_external,
    elements,
    graphs_of,
    is_external,
    walk_graphs,
    walk_tensors,
)
from reluflow.graph.proto.psb_check import check_psb_nodes
from reluflow.graph.proto.skeleton import describe, make_skeleton
from reluflow.graph.proto.strict import check_strictly, first_broken_name
from reluflow.graph.proto.versions import OLDEST_IR

_PACKED = 4
"""Numbers of two bits in a byte, at most, that a tensor keeps as one entry."""
_LONGEST_CLAUSE = 400
"""Characters of the checker's message in a sentence: it may quote names of any length."""


def check_model(proto: ModelProto, folders: Sequence[Path], label: str) -> tuple[str, ...]:
    """Check a model; nodes in wrong order are sorted in place.

    Args:
        proto: the model.
        folders: folder of its external data, then others that links may lead into, such as the one
            that the model file itself is linked from.
        label: what to call the model in a sentence.

    Returns:
        Sentences on what was corrected; usually empty.

    Raises:
        ModelError: the model cannot be used; the sentence says why.
    """
    broken = first_broken_name(proto)
    if broken is not None:
        raise ModelError(
            f"{label} is damaged: the name {broken!r} is not UTF-8 text; export the model again."
        )
    _check_header(proto, label)
    _check_tensors(proto, folders)
    notes = _order_nodes(proto.graph, label)
    _check_names(proto.graph, set(), label)
    _run_checker(proto, folders[0], label)
    check_psb_nodes(proto, label)
    check_strictly(proto, label)
    return notes


def _check_header(proto: ModelProto, label: str) -> None:
    if not proto.HasField("graph") or not proto.HasField("ir_version"):
        raise ModelError(
            f"{label} is not an ONNX model: it holds no "
            f"{'graph' if proto.HasField('ir_version') else 'IR version'}; "
            "give a file that an ONNX exporter wrote."
        )
    if not OLDEST_IR <= proto.ir_version <= onnx.IR_VERSION:
        raise ModelError(
            f"{label} has ONNX IR version {proto.ir_version}; versions {OLDEST_IR} to "
            f"{onnx.IR_VERSION} "
            "are supported by the installed onnx package; update it or export the model again."
        )
    known = onnx.defs.onnx_opset_version()
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx") and not 1 <= entry.version <= known:
            raise ModelError(
                f"{label} imports opset {entry.version}; opsets 1 to {known} are supported by the "
                "installed onnx package; update it or export the model again."
            )
    if not proto.graph.output:
        raise ModelError(f"{label} has no outputs, so nothing in it would run; export it again.")
    for group, values in (("input", proto.graph.input), ("output", proto.graph.output)):
        names = [value.name for value in values]
        for name in names:
            if names.count(name) > 1:
                raise ModelError(
                    f"{label} lists the {group} {name!r} twice; names must be unique; "
                    "export the model again."
                )


def _check_tensors(proto: ModelProto, folders: Sequence[Path]) -> None:
    if any(not tensor.name for graph in walk_graphs(proto) for tensor in graph.initializer):
        raise ModelError(
            "an initializer has no name, so nothing can read it; export the model again."
        )
    for tensor in walk_tensors(proto):
        if any(dim < 0 for dim in tensor.dims):
            raise ModelError(
                f"tensor {tensor.name!r} has the negative size {list(tensor.dims)}; "
                "sizes >= 0 are accepted; export the model again."
            )
        if is_external(tensor):
            check_external(tensor, folders)
        elif tensor.HasField("raw_data"):
            wanted, found = byte_size(tensor), len(tensor.raw_data)
            if wanted is None or wanted != found:
                raise ModelError(
                    f"tensor {tensor.name!r} of element type {tensor.data_type} and size "
                    f"{list(tensor.dims)} holds {found} bytes, which do not fit; "
                    "export the model again."
                )
        elif elements(tensor) > _PACKED * _held(tensor):
            raise ModelError(
                f"tensor {tensor.name!r} of size {list(tensor.dims)} holds {_held(tensor)} "
                "numbers, which do not fit; export the model again."
            )


def _held(tensor: TensorProto) -> int:
    """Return the entries that a tensor stores one by one; complex ones take two each."""
    lists = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data)
    return max(map(len, (*lists, tensor.uint64_data, tensor.string_data)))


def free_names(graph: GraphProto) -> set[str]:
    """Return the names a subgraph takes from the graphs around it."""
    known = {value.name for value in graph.input} | {t.name for t in graph.initializer}
    known |= {t.values.name for t in graph.sparse_initializer}
    known |= {name for node in graph.node for name in node.output}
    used = {name for node in graph.node for name in reads(node)}
    used |= {value.name for value in graph.output}
    return used - known - {""}


def reads(node: NodeProto) -> list[str]:
    """Return every tensor a node reads, those its subgraphs capture included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in graphs_of(attribute):
            names += sorted(free_names(graph))
    return names


def _given_names(graph: GraphProto) -> set[str]:
    given = {value.name for value in graph.input} | {t.name for t in graph.initializer}
    return given | {t.values.name for t in graph.sparse_initializer}


def _order_nodes(graph: GraphProto, label: str) -> tuple[str, ...]:
    """Sort the main graph's nodes if necessary; name a cycle."""
    given = _given_names(graph)
    produced = {name for node in graph.node for name in node.output if name}
    _refuse_undefined(graph.node, given | produced, label)
    seen = set(given)
    for node in graph.node:
        if not seen.issuperset(reads(node)):
            break
        seen.update(node.output)
    else:
        return ()
    order = [NodeProto.FromString(n.SerializeToString()) for n in _sorted(graph, given, label)]
    del graph.node[:]
    graph.node.extend(order)
    return (f"the nodes of {label} were not in topological order; they were sorted",)


def _sorted(graph: GraphProto, given: set[str], label: str) -> list[NodeProto]:
    """Sort nodes topologically, keeping the given order where possible (Kahn's algorithm)."""
    missing = [set(reads(node)) - given for node in graph.node]
    readers: dict[str, list[int]] = {}
    for position, names in enumerate(missing):
        for name in names:
            readers.setdefault(name, []).append(position)
    ready = [position for position, names in enumerate(missing) if not names]
    heapq.heapify(ready)
    order = []
    while ready:
        node = graph.node[heapq.heappop(ready)]
        order.append(node)
        for name in node.output:
            for position in readers.pop(name, []):
                missing[position].discard(name)
                if not missing[position]:
                    heapq.heappush(ready, position)
    if len(order) < len(graph.node):
        stuck = next(node for node, names in zip(graph.node, missing, strict=True) if names)
        raise ModelError(
            f"{label} has a cycle through or before {describe(stuck)}: a tensor needs itself; "
            "only graphs without cycles are accepted."
        )
    return order


def _refuse_undefined(nodes: Iterable[NodeProto], known: set[str], label: str) -> None:
    for node in nodes:
        for name in reads(node):
            if name not in known:
                raise ModelError(
                    f"{label} is broken: {describe(node)} reads {name!r}, which nothing "
                    "produces; export the model again."
                )


def _check_names(graph: GraphProto, outer: set[str], label: str) -> None:
    """Refuse outputs produced twice or never, and subgraphs that read what comes later."""
    known = outer | _given_names(graph)
    for node in graph.node:
        _refuse_undefined([node], known, label)
        for attribute in node.attribute:
            for inner in graphs_of(attribute):
                _check_names(inner, known, label)
        for name in node.output:
            if name and name in known:
                raise ModelError(
                    f"{label} is broken: the tensor {name!r} is produced more than once, again "
                    f"by {describe(node)}; names must be unique; export the model again."
                )
            if name:
                known.add(name)
    for value in graph.output:
        if value.name not in known:
            raise ModelError(
                f"{label} is broken: nothing produces the output {value.name!r}; "
                "export the model again."
            )


def _run_checker(proto: ModelProto, base_dir: Path | None, label: str) -> None:
    skeleton = make_skeleton(proto, base_dir).proto
    for value in [*skeleton.graph.input, *skeleton.graph.output]:
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and not tensor.HasField("shape"):
            tensor.shape.SetInParent()  # the checker requires a shape; runtimes do not
    try:
        onnx.checker.check_model(skeleton)
    except Exception as error:  # the checker raises several types, depending on its version
        raise ModelError(
            f"{label} is not valid ONNX: {_essence(str(error))}; export the model again."
        ) from error


def _essence(message: str) -> str:
    """Join the lines of the checker into one clause."""
    head, _, context = message.partition("==> Context:")
    clause = " ".join(head.split()).rstrip(". ")
    found = re.search(r"Name:\s*(\S*)\s*OpType:\s*(\S+)", context)
    where = f" in node {found.group(1)!r} ({found.group(2)})" if found else ""
    return (clause + where)[:_LONGEST_CLAUSE]
