"""A 3-D Conv as one 2-D Conv: the planes under a window become channels.

y[d] sums over the taps k of the depth the 2-D convolutions of x[d s + k t - p]. Laid beside each
other as channels, the planes for all k are the input of a single 2-D convolution, whose sum is that
of the 3-D one: the same products, and one scale and one rounding per output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto

from reluflow.graph.psb.forms.emit import TO_THE_END, Emitter, Size
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.conv_attributes import explicit_window
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import Linear, read_linear
from reluflow.graph.rewrite.reader import name_of

SPATIAL = 3
RANK = SPATIAL + 2
_DEPTH = 2
"""The axis of the depth, in the input and in the weights."""
_ROWS, _COLUMNS = 3, 4


@dataclass(eq=False, slots=True)
class Conv3d:
    """A 3-D Conv with constant weights.

    Attributes:
        linear: its constants.
        window: `strides`, `dilations`, `group` and `pads` of three axes.
    """

    linear: Linear
    window: dict[str, Any]

    @property
    def weight(self) -> np.ndarray:
        """The weights."""
        return self.linear.weight


def read_conv3d(editor: Editor, node: NodeProto) -> Conv3d | Reason:
    """Read a 3-D Conv, or say why it cannot be spelled out."""
    linear = read_linear(editor, node)
    if isinstance(linear, Reason):
        return linear
    window = explicit_window(node, linear.weight.shape)
    if "pads" not in window:
        pads = _same_pads(editor, node, window, linear.weight.shape)
        if isinstance(pads, Reason):
            return pads
        window |= {"pads": pads}
    return Conv3d(linear, window)


def _same_pads(
    editor: Editor, node: NodeProto, window: dict[str, Any], shape: tuple[int, ...]
) -> list[int] | Reason:
    """Return the pads of auto_pad with strides, which depend on the size of the input."""
    known = editor.types.get(node.input[0])
    sizes = None if known is None or known.shape is None else known.shape[_DEPTH:]
    if sizes is None or not all(isinstance(size, int) for size in sizes):
        return Reason(
            f"its auto_pad is {window['auto_pad']}, whose pads depend on the size of its input, "
            "which is not known"
        )
    totals = []
    each = zip(sizes, shape[_DEPTH:], window["strides"], window["dilations"], strict=True)
    for size, taps, stride, dilation in each:
        outputs = -(-int(size) // stride)  # type: ignore[arg-type]
        totals.append(max(0, (outputs - 1) * stride + (taps - 1) * dilation + 1 - int(size)))  # type: ignore[arg-type]
    less = [total // 2 for total in totals]
    more = [total - small for total, small in zip(totals, less, strict=True)]
    return less + more if window["auto_pad"] == "SAME_UPPER" else more + less


def write_conv3d(editor: Editor, found: Conv3d) -> str:
    """Replace a 3-D Conv by a 2-D one; return what it became."""
    linear, node = found.linear, found.linear.node
    emit = Emitter(editor, node)
    x, depth = node.input[0], linear.weight.shape[_DEPTH]
    padded = _padded(emit, x, found.window["pads"])
    axis = emit.integers([_DEPTH], "axes")
    planes = [_planes(emit, padded, found.window, tap, depth) for tap in range(depth)]
    under = emit.add(
        "Concat", [emit.add("Unsqueeze", [each, axis]) for each in planes], axis=_DEPTH
    )
    # (N, C, kD, D', H, W) to (N D', C kD, H, W): the channels of a group stay together
    beside = emit.add("Transpose", [under], perm=[0, 3, 1, 2, 4, 5])
    rows, columns = emit.size(x, _ROWS), emit.size(x, _COLUMNS)
    image = emit.reshaped(beside, [-1, linear.n_inputs * depth, rows, columns])
    made = emit.switched(_conv(emit, found, image))
    height = _size_after(found, 1, rows, Size(made, 2))
    width = _size_after(found, 2, columns, Size(made, _ROWS))
    length = _size_after(found, 0, emit.size(x, _DEPTH), Size(beside, 1))
    apart = emit.reshaped(made, [emit.size(x, 0), length, linear.n_outputs, height, width])
    emit.finish(emit.add("Transpose", [apart], perm=[0, 2, 1, 3, 4]))
    return "a 2-D Conv over the planes under its window"


def _size_after(found: Conv3d, place: int, size: int | Size, unknown: Size) -> int | Size:
    """Return the size of an output's axis, `unknown` where that of the input is."""
    if isinstance(size, Size):
        return unknown
    window, taps = found.window, found.linear.weight.shape[_DEPTH + place]
    span = (taps - 1) * window["dilations"][place] + 1
    padded = size + window["pads"][place] + window["pads"][SPATIAL + place]
    return int((padded - span) // window["strides"][place]) + 1


def _padded(emit: Emitter, x: str, pads: list[int]) -> str:
    """Pad the depth; the 2-D convolution pads rows and columns."""
    begin, end = pads[0], pads[SPATIAL]
    if not begin and not end:
        return x
    zeros = [0] * RANK
    before, after = zeros.copy(), zeros.copy()
    before[_DEPTH], after[_DEPTH] = begin, end
    return emit.add("Pad", [x, emit.integers(before + after, "pads")])


def _planes(emit: Emitter, padded: str, window: dict[str, Any], tap: int, depth: int) -> str:
    """Cut out the planes that one tap of the depth reads."""
    dilation, stride = window["dilations"][0], window["strides"][0]
    behind = (depth - 1 - tap) * dilation
    return emit.sliced(padded, _DEPTH, tap * dilation, -behind if behind else TO_THE_END, stride)


def _conv(emit: Emitter, found: Conv3d, image: str) -> str:
    """Append the 2-D convolution, with all taps of the depth of a channel side by side."""
    linear, window = found.linear, found.window
    weight = linear.weight
    weights = weight.reshape(len(weight), -1, *weight.shape[_ROWS:])
    inputs = [image, emit.constant(weights, "weights")]
    if linear.bias is not None:
        inputs.append(emit.constant(linear.bias.astype(linear.weight.dtype), "bias"))
    pads = window["pads"]
    return emit.add(
        "Conv",
        inputs,
        name_of(linear.node),
        group=linear.group,
        strides=window["strides"][1:],
        dilations=window["dilations"][1:],
        pads=pads[1:SPATIAL] + pads[SPATIAL + 1 :],
        kernel_shape=list(weights.shape[2:]),
    )
