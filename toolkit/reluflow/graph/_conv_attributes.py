"""Attributes of convolutions that must fit their weights; ONNX's checker does not compare them."""

from __future__ import annotations

from onnx import NodeProto, helper

_LISTS = {"strides": 1, "dilations": 1, "kernel_shape": 1, "pads": 2}
_LARGEST = 2**31 - 1


def conv_fault(node: NodeProto, shape: tuple[int, ...]) -> str:
    """Return why a Conv or ConvTranspose cannot work with its weights, a phrase; "" where it can.

    Args:
        node: the operator.
        shape: of its weights.
    """
    if len(shape) < 3 or 0 in shape:
        return f"its weights have shape {list(shape)}; channels and a window are wanted"
    given = {entry.name: entry for entry in node.attribute}
    rank = len(shape) - 2
    for name, times in _LISTS.items():
        values = list(helper.get_attribute_value(given[name])) if name in given else None
        if values is None:
            continue
        lowest = 0 if name == "pads" else 1
        if len(values) != times * rank or not all(lowest <= v <= _LARGEST for v in values):
            return (
                f"its {name} are {values}; {times * rank} whole numbers from {lowest} to "
                f"{_LARGEST} are wanted for weights of shape {list(shape)}"
            )
        if name == "kernel_shape" and tuple(values) != shape[2:]:
            return f"its kernel_shape is {values}, but its weights have shape {list(shape)}"
    group = given["group"].i if "group" in given else 1
    if group < 1 or shape[0] % group:
        return f"its group is {group}, which does not divide the {shape[0]} first sizes of weights"
    return ""
