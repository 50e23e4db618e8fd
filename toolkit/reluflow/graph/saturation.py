"""Counting, inside a converted model, the activations that its fixed-point numbers cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from reluflow.graph._edit import Editor
from reluflow.graph.model import Model
from reluflow.graph.psb_nodes import PsbNode, find_psb

_FROM_THE_RUN = -100
"""An exponent taken from the run saturates only infinities, and what the lowest one cuts off."""


@dataclass(frozen=True, slots=True)
class SaturationCounts:
    """A model that counts, and where.

    Attributes:
        model: the model with two more outputs, int64 `(nodes,)`.
        saturated: name of the output with the number of saturated activations of a run.
        activations: name of the output with the number of all of them.
        nodes: the PSB operators, in the order of the numbers.
    """

    model: Model
    saturated: str
    activations: str
    nodes: tuple[PsbNode, ...]


def count_saturation(model: Model) -> SaturationCounts:
    """Return a converted model that counts the saturated activations of each PSB operator.

    An activation x saturates where |round half to even(x 2^f)| > 2^(x_bits - 1) - 1: infinities
    do, NaN do not. The counts are exact, as a power of two scales float32 without rounding but
    for numbers so small or so large that it does not matter here.

    Args:
        model: of `to_psb`, not changed.

    Raises:
        ModelError: the model cannot be rewritten.

    Reference: docs/psb-ops.md, activations; SPEC section 7.
    """
    editor = Editor(model)
    nodes = find_psb(model)
    row = editor.add_initializer("saturation", "row", np.ones(1, np.int64))
    counts: dict[tuple[str, int, int], tuple[str, str]] = {}
    for node in nodes:
        key = _key(node)
        if key not in counts:
            counts[key] = _count(editor, *key, row)
    found = [counts[_key(node)] for node in nodes]
    names = [
        _output(editor, what, [pair[place] for pair in found])
        for place, what in enumerate(("saturated", "activations"))
    ]
    return SaturationCounts(editor.finish(), names[0], names[1], nodes)


def _key(node: PsbNode) -> tuple[str, int, int]:
    return node.x, _FROM_THE_RUN if node.x_exponent is None else node.x_exponent, node.x_bits


def _count(editor: Editor, x: str, f: int, x_bits: int, row: str) -> tuple[str, str]:
    """Append nodes that count one tensor; return the names of both numbers, `(1,)` each."""
    scale = np.array(np.ldexp(1.0, max(-100, min(100, f))), np.float32)
    limit = np.array((1 << (x_bits - 1)) - 1, np.float32)
    factor = editor.add_initializer(x, "saturation_scale", scale)
    bound = editor.add_initializer(x, "saturation_limit", limit)
    tensor = _append(editor, "Abs", [x])
    tensor = _append(editor, "Mul", [tensor, factor])
    tensor = _append(editor, "Round", [tensor])
    tensor = _append(editor, "Greater", [tensor, bound])
    tensor = _append(editor, "Cast", [tensor], to=TensorProto.INT64)
    tensor = _append(editor, "ReduceSum", [tensor], keepdims=0)
    size = _append(editor, "Size", [x])
    return _append(editor, "Reshape", [tensor, row]), _append(editor, "Reshape", [size, row])


def _append(editor: Editor, op: str, inputs: list[str], **attributes: Any) -> str:
    output = editor.fresh(inputs[0], op.lower())
    node = helper.make_node(op, inputs, [output], **attributes)
    editor.insert(node, after=editor.nodes[-1])
    return output


def _output(editor: Editor, name: str, parts: list[str]) -> str:
    joined = editor.fresh(name, "psb")
    node = helper.make_node("Concat", parts, [joined], axis=0)
    editor.insert(node, after=editor.nodes[-1])
    value = helper.make_tensor_value_info(joined, TensorProto.INT64, [len(parts)])
    editor.proto.graph.output.append(value)
    return joined
