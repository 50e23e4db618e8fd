"""Carrying a tensor out of subgraphs: through If, Loop and Scan up to the main graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from reluflow.data import Dim
from reluflow.errors import ModelError
from reluflow.graph.proto.external import graphs_of, walk_graphs
from reluflow.graph.proto.versions import SCAN_WITHOUT_BATCH
from reluflow.graph.view.index import Scope
from reluflow.graph.view.structure import walk_nodes

_LARGEST = 2**40
Step = tuple[str, str]
"""One level of nesting: (first output of the node that holds the graph, attribute)."""


def levels(scope: Scope) -> list[Scope]:
    """Return a scope and those around it, without the main graph, innermost first."""
    found = []
    while scope.parent is not None or scope.blocked:
        found.append(scope)
        if scope.parent is None:
            break
        scope = scope.parent
    return found


def why_no_output(scope: Scope, tensor: str, opset: int) -> str:
    """Tell why a tensor of a scope cannot be made an output of the model.

    Args:
        scope: where the tensor is read.
        tensor: its name.
        opset: version of the default operator set.

    Returns:
        The reason, "" where it can.
    """
    around = levels(scope)
    loops = 0
    for depth, level in enumerate(around):
        if level.blocked:
            return level.blocked
        owner = level.owner
        kind = owner.op if owner is not None and not owner.domain else ""
        if kind not in ("If", "Loop", "Scan") or owner is None or not any(owner.outputs):
            where = owner.op if owner is not None else "a function"
            return f"it is inside {where}, whose body cannot get another output"
        if kind == "If" and any(_is_loop(outer) for outer in around[depth + 1 :]):
            return "it is inside an If inside a loop: not every iteration runs it"
        if kind == "Scan" and opset < SCAN_WITHOUT_BATCH:
            return "it is inside a Scan of opset 8, whose outputs are batched differently"
        loops += kind != "If"
    if loops > 1:
        return "it is inside a loop inside a loop: the number of iterations may differ"
    shape = _shape_of(scope, tensor)
    if around and shape is None:
        return "it is inside a subgraph and its number of dimensions is not known"
    if loops and shape is not None and None in shape:
        return "it is inside a loop and its size may change from iteration to iteration"
    return ""


def _shape_of(scope: Scope, tensor: str) -> tuple[Dim, ...] | None:
    """Return a tensor's shape; the file may only tell that of a Relu or Clip behind it."""
    found = scope.type_of(tensor).shape
    behind = [
        scope.type_of(node.outputs[0]).shape
        for node in scope.consumers(tensor)
        if node.op in ("Relu", "Clip") and not node.domain and node.inputs[0] == tensor
    ]
    told = [shape for shape in (found, *behind) if shape is not None]
    return next((shape for shape in told if None not in shape), told[0] if told else None)


def _is_loop(scope: Scope) -> bool:
    return scope.owner is not None and scope.owner.op in ("Loop", "Scan")


def loop_depth(scope: Scope) -> int:
    """Return how many leading axes of iterations a tap in this scope gets."""
    return sum(_is_loop(level) for level in levels(scope))


def steps(scope: Scope) -> tuple[Step, ...]:
    """Return the path from the main graph into a scope, in names that also occur in the file."""
    return tuple(
        (next(filter(None, level.owner.outputs)), level.branch)
        for level in reversed(levels(scope))
        if level.owner is not None
    )


class NameMaker:
    """Makes tensor names that a model does not have yet."""

    def __init__(self, proto: ModelProto) -> None:
        self.taken = {name for node in walk_nodes(proto) for name in (*node.input, *node.output)}
        for graph in walk_graphs(proto):
            self.taken.update(value.name for value in (*graph.input, *graph.output))
            self.taken.update(tensor.name for tensor in graph.initializer)

    def fresh(self, tensor: str, what: str = "pre_activation") -> str:
        """Return a new name that indicates the tensor it represents."""
        stem = f"{tensor}/{what}"
        name, number = stem, 1
        while name in self.taken:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor to carry out.

    Attributes:
        tensor: its name in its own graph.
        elem_type: FLOAT or DOUBLE, the type that the tap should have.
        rank: its number of dimensions.
        empty: shape of the result of a branch that did not run; one size is 0.
    """

    tensor: str
    elem_type: int
    rank: int
    empty: tuple[int, ...]


def carry_out(
    main: GraphProto, way: Sequence[Step], node: NodeProto, wanted: Wanted, names: NameMaker
) -> str:
    """Make a tensor of a subgraph a tensor of the main graph, in place.

    Args:
        main: the main graph, changed.
        way: the path into the subgraph.
        node: Identity or Cast that reads the tensor; its output is named here.
        wanted: the tensor.
        names: names in use.

    Returns:
        The main graph's tensor.
    """
    chain: list[tuple[NodeProto, GraphProto]] = []
    graph = main
    for output, branch in way:
        owner = next(n for n in graph.node if output in n.output)
        graph = _branch(owner, branch)
        chain.append((owner, graph))
    current = names.fresh(wanted.tensor)
    node.output.append(current)
    graph.node.append(node)
    loops = 0
    for owner, graph in reversed(chain):
        loops += owner.op_type != "If"
        graph.output.append(_value(current, wanted.elem_type))
        if owner.op_type == "If":
            _fill_other_branches(owner, graph, wanted, loops, names)
        elif owner.op_type == "Scan":
            _extend_scan(owner)
        current = names.fresh(wanted.tensor)
        owner.output.append(current)
    return current


def _branch(owner: NodeProto, branch: str) -> GraphProto:
    name, _, number = branch.partition("[")
    attribute = next(a for a in owner.attribute if a.name == name)
    return graphs_of(attribute)[int(number.rstrip("]") or 0)]


def _value(name: str, elem_type: int) -> object:
    return helper.make_tensor_value_info(name, elem_type, None)


def _fill_other_branches(
    owner: NodeProto, running: GraphProto, wanted: Wanted, loops: int, names: NameMaker
) -> None:
    """Let the branch that runs instead return a tensor without samples."""
    dtype = np.float64 if wanted.elem_type == TensorProto.DOUBLE else np.float32
    shape = (0, *wanted.empty) if loops else wanted.empty
    if math.prod(max(size, 1) for size in shape) > _LARGEST:  # numpy refuses it, empty or not
        raise ModelError(
            f"tensor {wanted.tensor!r} of a branch is declared with sizes {list(shape)}; export "
            "the model again."
        )
    for attribute in owner.attribute:
        for graph in graphs_of(attribute):
            if graph is running or graph == running:
                continue
            name = names.fresh(wanted.tensor)
            empty = numpy_helper.from_array(np.zeros(shape, dtype), name)
            graph.node.append(helper.make_node("Constant", [], [name], value=empty))
            graph.output.append(_value(name, wanted.elem_type))


def _extend_scan(owner: NodeProto) -> None:
    for attribute in owner.attribute:
        if attribute.name in ("scan_output_axes", "scan_output_directions") and attribute.ints:
            attribute.ints.append(0)
