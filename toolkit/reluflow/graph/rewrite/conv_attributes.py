"""Attributes of convolutions: whether they fit the weights, and the defaults of missing ones."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from onnx import NodeProto, helper

_LISTS = {"strides": 1, "dilations": 1, "kernel_shape": 1, "pads": 2}
_PADS = (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER")
_LARGEST = 2**31 - 1
_LEAST_AXES = 3
"""Outputs, inputs and one axis of the window."""


def conv_fault(node: NodeProto, shape: tuple[int, ...]) -> str:
    """Return why a Conv or ConvTranspose does not fit its weights, a phrase; "" if it does.

    Args:
        node: the operator.
        shape: of its weights.
    """
    if len(shape) < _LEAST_AXES or 0 in shape:
        return f"its weights have shape {list(shape)}; channels and a window are wanted"
    given = {entry.name: entry for entry in node.attribute}
    rank = len(shape) - 2
    for name, times in _LISTS.items():
        values = list(given[name].ints) if name in given else None
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
    dilations = given["dilations"].ints if "dilations" in given else [1] * rank
    spans = [(size - 1) * step + 1 for size, step in zip(shape[2:], dilations, strict=True)]
    if math.prod(spans) > _LARGEST:
        return (
            f"its windows of {_by(shape[2:])} taps span {_by(spans)} pixels with dilations of "
            f"{_by(dilations)}; up to {_LARGEST} pixels are accepted"
        )
    mode = given["auto_pad"].s if "auto_pad" in given else _PADS[0]
    if mode not in _PADS:
        return f"its auto_pad is {mode.decode('utf-8', 'replace')!r}, which ONNX does not have"
    group = given["group"].i if "group" in given else 1
    if group < 1 or shape[0] % group:
        return f"its group is {group}, which does not divide the {shape[0]} first sizes of weights"
    return ""


def _by(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes))


def explicit_window(node: NodeProto, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return all attributes of a Conv's window, with defaults written out.

    `auto_pad` becomes `pads` where they do not depend on the input's size: VALID, and SAME with
    strides of 1. Otherwise `pads` are left out, since shape inference would prefer them to
    `auto_pad`.

    Args:
        node: the operator.
        shape: of its weights.
    """
    given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    ones = [1] * (len(shape) - 2)
    strides = list(given.get("strides", ones))
    dilations = list(given.get("dilations", ones))
    mode = given.get("auto_pad", b"NOTSET").decode()
    pads = list(given.get("pads", [0, 0] * len(ones))) if mode == "NOTSET" else None
    if mode == "VALID":
        mode, pads = "NOTSET", [0, 0] * len(ones)
    elif mode.startswith("SAME") and strides == ones:
        total = [(k - 1) * d for k, d in zip(shape[2:], dilations, strict=True)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = less + more if mode == "SAME_UPPER" else more + less
        mode = "NOTSET"
    window = {"strides": strides, "dilations": dilations, "group": int(given.get("group", 1))}
    return {**window, "auto_pad": mode} | ({} if pads is None else {"pads": pads})
