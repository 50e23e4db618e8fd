"""How operators of versions 1 to 6 of ONNX are written in version 7, node by node."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, defs, helper

from reluflow.graph.proto.versions import SELU_ALL_DIGITS
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.opset.rules import Raising, Rule, pop_attribute

_BROADCASTING = ("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less")
_RAISED_TO = 7
"""Where rules.py takes over."""
_OLD_SELU = (("alpha", 1.6732), ("gamma", 1.0507))


def raise_old_node(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    """Return the nodes of version 7 that replace one of versions 1 to 6, or why there are none.

    An operator without a rule must have the same inputs, attributes and defaults in both.

    Args:
        node: of ONNX's own domain.
        raising: the graph around it.
    """
    raising.made.clear()
    pop_attribute(node, "consumed_inputs")
    rule = _RULES.get(node.op_type)
    done = [node] if rule is None else rule(node, raising)
    if isinstance(done, Reason):
        return done
    return _unlike(node, raising.opset, rule is not None) or [*raising.made, *done]


def _unlike(node: NodeProto, opset: int, ruled: bool) -> Reason | None:
    """Say what differs between an operator and its version 7, None if nothing relevant does."""
    if ruled or node.op_type == "Constant":
        return None
    try:
        old, new = (defs.get_schema(node.op_type, version, "") for version in (opset, _RAISED_TO))
    except defs.SchemaError:
        return Reason("no definition is known")
    set_ones = {entry.name for entry in node.attribute}
    if set_ones - set(new.attributes):
        return Reason(f"the attribute {min(set_ones - set(new.attributes))!r} has no equal")
    for name, attribute in old.attributes.items():
        later = new.attributes.get(name)
        if name in set_ones or later is None:
            continue
        if str(attribute.default_value) != str(later.default_value):
            return Reason(f"the default of {name!r} changed")
    if [value.name for value in old.inputs] != [value.name for value in new.inputs]:
        return Reason("the inputs changed")
    return None


def _broadcast(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    """Align the second operand with the axis that an attribute names."""
    wanted, axis = pop_attribute(node, "broadcast"), pop_attribute(node, "axis")
    if not wanted or axis is None:
        return [node]
    left, right = raising.rank(node.input[0]), raising.rank(node.input[1])
    if left is None or right is None:
        return Reason("the axes that it broadcasts along are not known")
    missing = left - int(str(axis)) % max(left, 1) - right
    return _with_axes(node, raising, missing, right)


def _with_axes(node: NodeProto, raising: Raising, missing: int, rank: int) -> list[NodeProto]:
    """Append axes of size 1 to the second operand."""
    if missing <= 0 or rank == 0:
        return [node]
    wide = raising.names.fresh(node.input[1], "broadcast")
    axes = list(range(rank, rank + missing))
    before = helper.make_node("Unsqueeze", [node.input[1]], [wide], axes=axes)
    node.input[1] = wide
    return [before, node]


def _prelu(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    """One slope per channel was along axis 1."""
    x, slope = raising.rank(node.input[0]), raising.rank(node.input[1])
    if x is None or slope is None:
        return Reason("the axes of its slopes are not known")
    return _with_axes(node, raising, x - 2 if slope == 1 else 0, slope)


def _gemm(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    pop_attribute(node, "broadcast")
    return [node]


def _batch_norm(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    if not pop_attribute(node, "is_test"):
        return Reason("it normalises by the batch (is_test = 0)")
    return [node]


def _dropout(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    if not pop_attribute(node, "is_test"):
        return Reason("it drops values at each run (is_test = 0)")
    return [node]


def _reshape(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    shape = pop_attribute(node, "shape")
    if shape is not None:
        node.input.append(raising.integers(node.output[0], "shape", shape))  # type: ignore[arg-type]
    return [node]


def _cast(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    to = pop_attribute(node, "to")
    known = dict(TensorProto.DataType.items())
    number = to if isinstance(to, int) else known.get(str(to).upper())
    if number is None:
        return Reason(f"the type {to!r} is unknown")
    node.attribute.append(helper.make_attribute("to", number))
    return [node]


def _concat(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    axis = pop_attribute(node, "axis")
    node.attribute.append(helper.make_attribute("axis", 1 if axis is None else int(str(axis))))
    return [node]


def _pad(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    pads = pop_attribute(node, "paddings")
    if pads is not None:
        node.attribute.append(helper.make_attribute("pads", pads))
    return [node]


def _upsample(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    tall, wide = pop_attribute(node, "height_scale"), pop_attribute(node, "width_scale")
    if tall is not None and wide is not None:
        scales = [1.0, 1.0, float(str(tall)), float(str(wide))]
        node.attribute.append(helper.make_attribute("scales", scales))
    if pop_attribute(node, "mode") == "bilinear":
        node.attribute.append(helper.make_attribute("mode", "linear"))
    return [node]


def _selu(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    """Version 1 had fewer digits."""
    for name, usual in _OLD_SELU:
        given = pop_attribute(node, name)
        value = usual if given is None and raising.opset < SELU_ALL_DIGITS else given
        if value is not None:
            node.attribute.append(helper.make_attribute(name, float(np.float32(str(value)))))
    return [node]


_RULES: dict[str, Rule] = {
    **dict.fromkeys(_BROADCASTING, _broadcast),
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Concat": _concat,
    "Dropout": _dropout,
    "Gemm": _gemm,
    "PRelu": _prelu,
    "Pad": _pad,
    "Reshape": _reshape,
    "Selu": _selu,
    "Upsample": _upsample,
}
