"""Counting, inside a model with chains, the integers at the ends of their formats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto

from reluflow.graph.proto.own_domain import (
    FIXED_16_DEFAULTS,
    FIXED_DEFAULTS,
    OWN_DOMAIN,
    TABLE_PLACE,
    TO_FIXED,
)
from reluflow.graph.psb.variants.carried_counts import append
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of

INT64 = TensorProto.INT64
_LAST_BYTE, _BYTE_BITS = 255, 8
_MOST_BITS = 16


@dataclass(frozen=True, slots=True)
class ChainTensor:
    """A tensor of a chain whose numbers at the ends of its format are counted.

    Attributes:
        name: of the node that makes it.
        tensor: its name.
        x_bits: bits of its numbers.
        ends: the numbers that count as saturated: the smallest and the largest of the format, or
            one of them, or none.
    """

    name: str
    tensor: str
    x_bits: int
    ends: tuple[int, ...]


def count_ends(editor: Editor, row: str) -> tuple[list[ChainTensor], list[str]]:
    """Append nodes that count how many numbers of each tensor of a chain lie at an end.

    A bound that the node has of its own is no end: Relu's 0, the 6 of a Relu6 whose 6 the format
    can hold. Neither is the 0 of bytes that begin there, which stand for numbers that are never
    negative. Of a node with a table the bytes before the table count, for which the node is written
    once more: flat parts of a function may lie at an end on purpose. What only moves numbers or
    looks them up in a table is not counted.

    Args:
        editor: of the model's main graph.
        row: a tensor that holds the shape `(1,)`.

    Returns:
        The tensors, and for each the names of two numbers, int64 `(1,)`: those at an end, all.
    """
    found: list[ChainTensor] = []
    numbers: list[str] = []
    for node in editor.nodes.copy():
        ends = _ends(node)
        if ends is not None:
            tensor = ChainTensor(name_of(node), node.output[0], *ends)
            found.append(tensor)
            numbers += _count(editor, _before_table(editor, node), tensor.ends, row)
    return found, numbers


def _ends(node: NodeProto) -> tuple[int, tuple[int, ...]] | None:
    """Return the bits of a result and the ends that count; None for nodes that count nothing."""
    known = {**FIXED_DEFAULTS, **FIXED_16_DEFAULTS}.get(node.op_type, {})
    if node.domain != OWN_DOMAIN or "y_exponent" not in known:
        return None
    given = {name: int(str(attribute(node, name, usual))) for name, usual in known.items()}
    if node.op_type in FIXED_16_DEFAULTS:
        bits = given.get("y_bits", given.get("x_bits", _MOST_BITS))
        high = (1 << (bits - 1)) - 1
        low = -high
    else:
        bits, low, high = _BYTE_BITS, 0, _LAST_BYTE
    ends = []
    if given.get("y_min", low) <= low and given.get("y_zero", 1):
        ends.append(low)
    if given.get("y_max", high) >= high:
        ends.append(high)
    return bits, tuple(ends)


def _before_table(editor: Editor, node: NodeProto) -> NodeProto:
    """Return a node, or a copy of it without its table."""
    place = TABLE_PLACE.get(node.op_type, len(node.input))
    table = editor.constant(node.input[place]) if len(node.input) > place else None
    if table is None or not table.size:
        return node
    bare = NodeProto()
    bare.CopyFrom(node)
    bare.input[place] = editor.add_initializer("saturation", "no_table", np.zeros(0, np.uint8))
    bare.output[0] = editor.fresh(node.output[0], "before_table")
    bare.name = bare.output[0]
    return editor.insert(bare, after=editor.nodes[-1])


def _count(editor: Editor, node: NodeProto, ends: tuple[int, ...], row: str) -> list[str]:
    """Append nodes for the two numbers of a tensor."""
    tensor = node.output[0]
    counted = node.input[0] if node.op_type == TO_FIXED else tensor  # without channels that fill up
    size = append(editor, "Reshape", [append(editor, "Size", [counted]), row])
    if not ends:
        return [editor.add_initializer("saturation", "none", np.zeros(1, np.int64)), size]
    wide = append(editor, "Cast", [tensor], to=TensorProto.INT32)
    parts = []
    for end in ends:
        stored = editor.add_initializer("saturation", "end", np.array(end, np.int32))
        parts.append(append(editor, "Cast", [append(editor, "Equal", [wide, stored])], to=INT64))
    flags = parts[0] if len(parts) == 1 else append(editor, "Add", parts)
    total = append(editor, "ReduceSum", [flags], keepdims=0)
    return [append(editor, "Reshape", [total, row]), size]
