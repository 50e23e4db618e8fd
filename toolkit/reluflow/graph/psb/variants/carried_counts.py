"""Carrying numbers that are counted in subgraphs out to the main graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from reluflow.graph.rewrite.edit import Editor

_AXES_OF_OUTPUTS = ("scan_output_axes", "scan_output_directions")


def carry_counts(place: Editor, count: Callable[[Editor], list[str]]) -> list[str]:
    """Count in a graph and in the subgraphs of If, Loop and Scan in it.

    What a loop counts is summed over its iterations; a branch that does not run counts nothing.

    Args:
        place: the editor of the graph; nodes are appended, and outputs of subgraphs.
        count: appends the nodes that count in one graph and returns their tensors, int64 `(1,)`.

    Returns:
        Tensors of the graph, int64 `(1,)`: its own, then those of its subgraphs in graph order.
    """
    found = count(place)
    for _, bodies in groupby(place.bodies, key=lambda body: id(body.owner)):
        found += _carried(place, list(bodies), count)
    return found


def append(place: Editor, op: str, inputs: list[str], **attributes: Any) -> str:
    """Append a node to a graph and return its output."""
    output = place.fresh(inputs[0], op.lower())
    node = helper.make_node(op, inputs, [output], **attributes)
    place.insert(node, after=place.nodes[-1])
    return output


def _carried(
    place: Editor, bodies: list[Editor], count: Callable[[Editor], list[str]]
) -> list[str]:
    """Make the numbers of all subgraphs of one node numbers of the graph around them."""
    inner = [carry_counts(body, count) for body in bodies]
    total, before = sum(map(len, inner)), 0
    owner = bodies[0].owner
    if not total or owner is None:
        return []
    for body, names in zip(bodies, inner, strict=True):
        none = body.add_initializer("counts", "none", np.zeros(1, np.int64))
        row = [none] * before + names + [none] * (total - before - len(names))
        joined = append(body, "Concat", row, axis=0)
        value = helper.make_tensor_value_info(joined, TensorProto.INT64, [total])
        body.graph.output.append(value)
        before += len(names)
    for entry in owner.attribute:
        if entry.name in _AXES_OF_OUTPUTS and entry.ints:
            entry.ints.append(0)
    made = place.fresh("counts", "carried")
    owner.output.append(made)
    if owner.op_type != "If":  # stacked over the iterations
        first = place.add_initializer("counts", "axis", np.zeros(1, np.int64))
        made = append(place, "ReduceSum", [made, first], keepdims=0)
    places = [
        place.add_initializer("counts", "at", np.array([at], np.int64)) for at in range(total)
    ]
    return [append(place, "Gather", [made, at]) for at in places]
