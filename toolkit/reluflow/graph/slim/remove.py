"""Taking channels out of a graph: filters of who makes them, columns of who reads them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from reluflow.graph.rewrite.affine import BATCH_NORM
from reluflow.graph.rewrite.draft import retain
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import Linear
from reluflow.graph.rewrite.reader import attribute
from reluflow.graph.slim.channels import Channels

_OF_NORM = range(1, 5)
"""Inputs of BatchNormalization with a number for each channel."""


def remove_channels(editor: Editor, channels: Channels, gone: Collection[int]) -> None:
    """Take channels out of a graph; the step is committed.

    Args:
        editor: the graph that `channels` were found in.
        channels: its numbered channels.
        gone: numbers of channels that are not of `channels.kept`, and not all of a tensor's.
    """
    lost = np.array(sorted(gone), np.int64)
    left = {name: np.flatnonzero(~np.isin(ids, lost)) for name, ids in channels.ids.items()}
    changed = {name for name, keep in left.items() if len(keep) < len(channels.ids[name])}
    for node, x in channels.passers:
        if x in changed:
            _narrow(editor, node, x, left[x], channels)
    for linear, x in channels.readers:
        if x in changed:
            _take(editor, linear.node, 1, left[x], _input_axis(linear))
    for linear in channels.makers:
        if linear.node.output[0] in changed:
            _narrow_layer(editor, linear, left[linear.node.output[0]])
    editor.settle()
    # Described sizes are those of before.
    retain(editor.graph.value_info, lambda value: value.name not in changed)
    editor.commit()


def _input_axis(linear: Linear) -> int:
    if linear.op == "Conv":
        return 1
    return 1 if linear.op == "Gemm" and linear.transposed else 0


def _output_axis(linear: Linear) -> int:
    return 1 - _input_axis(linear)


def _narrow_layer(editor: Editor, linear: Linear, keep: NDArray[np.int64]) -> None:
    _take(editor, linear.node, 1, keep, _output_axis(linear))
    if len(linear.node.input) > 2 and linear.node.input[2]:
        _take(editor, linear.node, 2, keep, -1)


def _narrow(
    editor: Editor, node: NodeProto, x: str, keep: NDArray[np.int64], channels: Channels
) -> None:
    """Take numbers, filters or a size out of a node that passes channels on."""
    if node.op_type == BATCH_NORM:
        for position in _OF_NORM:
            _take(editor, node, position, keep, 0)
    elif node.op_type == "Conv":
        _take(editor, node, 1, keep, 0)
        if len(node.input) > 2 and node.input[2]:
            _take(editor, node, 2, keep, 0)
        _set_group(node, len(keep))
    elif node.op_type == "Reshape":
        sizes = editor.constant(node.input[1])
        if sizes is not None and sizes.reshape(-1)[1] != -1:
            pixels = len(channels.ids[node.output[0]]) // len(channels.ids[x])
            new = np.array([sizes.reshape(-1)[0], len(keep) * pixels], np.int64)
            editor.put_constant(node, 1, new, "", "slim")
    else:
        place = 1 - list(node.input).index(x)
        value = editor.constant(node.input[place])
        at = channels.axes[x] - (editor.rank(x) or 0)  # from the end
        if value is not None and value.ndim >= -at and value.shape[at] > 1:
            _take(editor, node, place, keep, at)


def _set_group(node: NodeProto, count: int) -> None:
    if attribute(node, "group") is not None:
        for entry in [entry for entry in node.attribute if entry.name == "group"]:
            node.attribute.remove(entry)
    node.attribute.append(helper.make_attribute("group", count))


def _take(
    editor: Editor, node: NodeProto, position: int, keep: NDArray[np.int64], axis: int
) -> None:
    """Keep some entries of a constant along an axis; one number for all stays."""
    value = editor.constant(node.input[position])
    if value is None or not value.ndim or value.shape[axis] == 1 < len(keep):
        return
    if value.shape[axis] > 1:
        editor.put_constant(node, position, value.take(keep, axis=axis), "", "slim")
