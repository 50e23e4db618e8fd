"""The tap on onnx_ir: the input of every Relu becomes an output, out of If where it is in one.

A spike, not for use: loops, nested subgraphs and switches other than Relu are left out, and reasons
are one word. Its lines are counted by `../onnx_ir_spike.py`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, ShapeInferencePass


def tap(source: Path, target: Path) -> dict[str, int]:
    """Make the input of every Relu an output; save the model and its data."""
    model = ir.load(source)
    if model.functions:
        InlinePass()(model)
    ShapeInferencePass()(model)  # an output needs a type, and few files give one for inner tensors
    owners = {
        id(attribute.value): node
        for node in model.graph.all_nodes()
        for attribute in node.attributes.values()
        if attribute.type == ir.AttributeType.GRAPH
    }
    taken = {value.name for node in model.graph.all_nodes() for value in node.outputs}
    taken |= {value.name for graph in model.graphs() for value in graph.inputs}
    relus = [n for n in model.graph.all_nodes() if (n.domain, n.op_type) == ("", "Relu")]
    tapped = refused = 0
    for value in {id(n.inputs[0]): n.inputs[0] for n in relus}.values():
        done = _carry(model.graph, value, owners, taken)
        tapped, refused = tapped + done, refused + (not done)
    _copy_data(model, target)
    ir.save(model, target)
    return {"tapped": tapped, "refused": refused}


def _carry(main: ir.Graph, value: Any, owners: dict[int, ir.Node], taken: set[str | None]) -> bool:
    """Carry a value out of a branch of an If, if necessary, and out of the main graph."""
    graph = value.graph
    if value.type is None:
        return False
    if graph is not main:
        owner = owners[id(graph)]
        if owner.op_type != "If" or owner.graph is not main or value.shape is None:
            return False
        _end(graph, ir.node("Identity", [value]), value, taken)
        for attribute in owner.attributes.values():
            if attribute.value is not graph:
                shape = [0, *[1] * (len(value.shape) - 1)]
                empty = ir.tensor(np.zeros(shape, value.dtype.numpy()))
                _end(attribute.value, ir.node("Constant", [], {"value": empty}), value, taken)
        owner.resize_outputs(len(owner.outputs) + 1)
        value = _named(owner.outputs[-1], value, taken)
    if value.producer() is None:
        _end(main, ir.node("Identity", [value]), value, taken)
    elif not value.is_graph_output():
        main.outputs.append(value)
    return True


def _end(graph: ir.Graph, node: ir.Node, like: Any, taken: set[str | None]) -> None:
    """Append a node to a graph, with its result as an additional output."""
    graph.append(node)
    graph.outputs.append(_named(node.outputs[0], like, taken))


def _named(value: Any, like: Any, taken: set[str | None]) -> Any:
    name, number = f"{like.name}/pre_activation", 1
    while name in taken:
        number += 1
        name = f"{like.name}/pre_activation_{number}"
    taken.add(name)
    value.name, value.type = name, like.type
    return value


def _copy_data(model: ir.Model, target: Path) -> None:
    """Put external files next to the target; `ir.save` leaves that to its caller."""
    values = [value for graph in model.graphs() for value in graph.initializers.values()]
    held = [v.const_value for v in values if isinstance(v.const_value, ir.ExternalTensor)]
    for path in {Path(tensor.path) for tensor in held}:
        if path.parent != target.parent:
            shutil.copyfile(path, target.parent / path.name)
