"""ConvTranspose as convolutions: one result of every stride-th pixel each, laid side by side.

An output o of an axis sums x[i] w[k] over i s + k d - p = o, with stride s, dilation d and pads p.
The taps k of one phase r = (o + p) mod s are those with k d mod s = r, and with q = (o + p - r) / s
they read x[q - (k d - r) / s]: a convolution without a stride. The phases' results, interleaved and
cut at both ends, are the output; no product is one with an inserted zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from onnx import NodeProto

from reluflow.graph.psb.forms.emit import TO_THE_END, Emitter, Size
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import Linear, read_linear
from reluflow.graph.rewrite.reader import attribute, name_of

_BEGIN, _END = 2, 3
"""Places of the pads in a phase's window."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis of a transposed convolution.

    Attributes:
        stride: s.
        phases: for each r the taps k and how far back each reads, (k d - r) / s, descending.
        low: first q that is computed.
        high: last one, counted from the last input.
        crop: outputs to cut off at the begin and at the end.
    """

    stride: int
    phases: tuple[tuple[tuple[int, int], ...], ...]
    low: int
    high: int
    crop: tuple[int, int]

    def window(self, phase: int) -> tuple[tuple[int, ...], int, int, int]:
        """Return taps, dilation and pads of a phase's convolution."""
        taps, back = zip(*self.phases[phase], strict=True)
        dilation = back[0] - back[1] if len(back) > 1 else 1
        return taps, dilation, back[0] - self.low, self.high - back[-1]


@dataclass(eq=False, slots=True)
class Transposed:
    """A ConvTranspose with constant weights.

    Attributes:
        linear: its constants.
        axes: spatial ones.
    """

    linear: Linear
    axes: list[Axis]

    @property
    def weight(self) -> np.ndarray:
        """The weights."""
        return self.linear.weight


def read_conv_transpose(editor: Editor, node: NodeProto) -> Transposed | Reason:
    """Read a ConvTranspose with constant weights, or say why it cannot be spelled out."""
    linear = read_linear(editor, node)
    if isinstance(linear, Reason):
        return linear
    size = linear.weight.shape[2:]
    ones = (1,) * len(size)
    strides = _list(node, "strides", ones)
    dilations = _list(node, "dilations", ones)
    more = _list(node, "output_padding", (0,) * len(size))
    if len(more) != len(size) or min(more) < 0:
        return Reason(f"its output_padding is {list(more)}; {len(size)} sizes from 0 on are wanted")
    spans = [(k - 1) * d + 1 + extra for k, d, extra in zip(size, dilations, more, strict=True)]
    pads = _pads(editor, node, spans, strides)
    if isinstance(pads, Reason):
        return pads
    each = zip(size, strides, dilations, spans, pads, strict=True)
    return Transposed(linear, [_axis(*one) for one in each])


def _list(node: NodeProto, name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(attribute(node, name, usual))  # type: ignore[arg-type]


def _pads(
    editor: Editor, node: NodeProto, spans: list[int], strides: tuple[int, ...]
) -> list[tuple[int, int]] | Reason:
    """Return the pads of each axis at its begin and its end; `spans` hold the output padding."""
    mode = str(attribute(node, "auto_pad", "NOTSET"))
    wanted = attribute(node, "output_shape")
    if wanted is None and mode in ("NOTSET", "VALID"):
        given = _list(node, "pads", (0, 0) * len(spans)) if mode == "NOTSET" else ()
        given = given or (0, 0) * len(spans)
        return list(zip(given[: len(spans)], given[len(spans) :], strict=True))
    if wanted is None:
        totals = [span - stride for span, stride in zip(spans, strides, strict=True)]
    else:
        known = editor.types.get(node.input[0])
        sizes = None if known is None or known.shape is None else known.shape[2:]
        if sizes is None or not all(isinstance(size, int) for size in sizes):
            return Reason("its output_shape is given, and the size of its input is not known")
        asked = list(wanted)[-len(spans) :]  # type: ignore[call-overload]
        totals = [
            stride * (int(size) - 1) + span - goal  # type: ignore[arg-type]
            for stride, size, span, goal in zip(strides, sizes, spans, asked, strict=True)
        ]
    if min(totals) < 0:
        return Reason("its output is larger than its windows reach")
    less = [total // 2 for total in totals]
    more = [total - small for total, small in zip(totals, less, strict=True)]
    return list(
        zip(less, more, strict=True) if mode == "SAME_UPPER" else zip(more, less, strict=True)
    )


def _axis(size: int, stride: int, dilation: int, span: int, pads: tuple[int, int]) -> Axis:
    phases = tuple(
        tuple(
            (tap, (tap * dilation - phase) // stride)
            for tap in reversed(range(size))
            if tap * dilation % stride == phase
        )
        for phase in range(stride)
    )
    some = [phase for phase in phases if phase]
    reach = span - 1 - pads[1]
    low = min(pads[0] // stride, *(phase[0][1] for phase in some))
    high = max(reach // stride, *(phase[-1][1] for phase in some))
    crop = pads[0] - low * stride, high * stride + stride - 1 - reach
    return Axis(stride, phases, low, high, crop)


def write_conv_transpose(editor: Editor, found: Transposed) -> str:
    """Replace a ConvTranspose by convolutions; return what it became.

    Every phase has its own, unless all read the same pixels: then one convolution computes them
    all.
    """
    linear, axes = found.linear, found.axes
    emit = Emitter(editor, linear.node)
    combinations = list(product(*(range(axis.stride) for axis in axes)))
    together = all(
        [back for _, back in phase] == [back for _, back in axis.phases[0]]
        for axis in axes
        for phase in axis.phases
    )
    if together:
        made = emit.switched(_conv(emit, linear, axes, combinations, name_of(linear.node)))
        count = 1
    else:
        made, count = _one_by_one(emit, linear, axes, combinations)
    emit.finish(_cropped(emit, _interleaved(emit, made, axes, linear.n_outputs, together), axes))
    return "one Conv for all phases" if together else f"{count} Conv, one per phase"


def _one_by_one(
    emit: Emitter, linear: Linear, axes: list[Axis], combinations: list[tuple[int, ...]]
) -> tuple[str, int]:
    """Append a convolution for each phase that has taps, and what stacks the results."""
    parts: dict[tuple[int, ...], str] = {}
    stem = name_of(linear.node)
    for phase in combinations:
        if all(axis.phases[r] for axis, r in zip(axes, phase, strict=True)):
            name = f"{stem}/phase{len(parts)}" if parts else stem
            parts[phase] = emit.switched(_conv(emit, linear, axes, [phase], name))
    count = len(parts)
    if count < len(combinations):  # the other pixels hold the bias alone
        bias = np.zeros(linear.n_outputs) if linear.bias is None else linear.bias
        column = bias.astype(linear.weight.dtype).reshape(1, -1, *[1] * len(axes))
        shape = emit.add("Shape", [next(iter(parts.values()))])
        empty = emit.switched(emit.add("Expand", [emit.constant(column, "bias"), shape]))
        parts |= {phase: empty for phase in combinations if phase not in parts}
    return emit.add("Concat", [parts[phase] for phase in combinations], axis=1), count


def _conv(
    emit: Emitter,
    linear: Linear,
    axes: list[Axis],
    combinations: list[tuple[int, ...]],
    name: str,
) -> str:
    """Append the convolution of some phases with the same window; their channels lie together."""
    windows = [axis.window(r) for axis, r in zip(axes, combinations[0], strict=True)]
    parts = [_phase_weights(linear, axes, phase) for phase in combinations]
    weights = np.stack(parts, axis=1)
    weights = weights.reshape(-1, *weights.shape[2:])
    inputs = [linear.node.input[0], emit.constant(weights, "weights")]
    if linear.bias is not None:
        bias = np.repeat(linear.bias, len(combinations)).astype(linear.weight.dtype)
        inputs.append(emit.constant(bias, "bias"))
    return emit.add(
        "Conv",
        inputs,
        name,
        group=linear.group,
        dilations=[window[1] for window in windows],
        pads=[window[_BEGIN] for window in windows] + [window[_END] for window in windows],
        kernel_shape=list(weights.shape[2:]),
    )


def _phase_weights(linear: Linear, axes: list[Axis], phase: tuple[int, ...]) -> np.ndarray:
    """Return `(outputs, inputs / group, taps)` of one phase."""
    weight = linear.weight
    for number, (axis, r) in enumerate(zip(axes, phase, strict=True), start=2):
        weight = np.take(weight, axis.window(r)[0], axis=number)
    grouped = weight.reshape(linear.group, -1, *weight.shape[1:])
    turned = np.swapaxes(grouped, 1, 2)  # the first axis of a ConvTranspose's weights are inputs
    return turned.reshape(linear.n_outputs, *turned.shape[2:])


def _interleaved(emit: Emitter, made: str, axes: list[Axis], channels: int, together: bool) -> str:
    """Lay the phases side by side; they come after each channel if together, else before all.

    One axis after another: a Transpose that moves a single axis copies runs of numbers, where
    DepthToSpace and a Transpose of all axes copy each number alone.
    """
    strided = [number for number, axis in enumerate(axes) if axis.stride > 1]
    if not strided:
        return made
    x = emit.node.input[0]
    sizes = [_longer(emit.size(x, place), axis, made) for place, axis in enumerate(axes, start=2)]
    phases = [axes[number].stride for number in strided]
    front: list[int | Size] = [emit.size(x, 0), channels]
    first = 2 if together else 1
    front[first:first] = phases
    made = emit.reshaped(made, [*front, *sizes])
    for place, number in reversed(list(enumerate(strided, start=first))):
        # The phases of an axis go from their place behind that axis, and become part of it.
        order = [other for other in range(len(front) + len(sizes)) if other != place]
        order.insert(len(front) + number, place)
        made = emit.add("Transpose", [made], perm=order)
        sizes[number] = sizes[number] * axes[number].stride
        del front[place]
        made = emit.reshaped(made, [*front, *sizes])
    return made


def _longer(size: int | Size, axis: Axis, made: str) -> int | Size:
    """Return how many pixels a phase has."""
    return size + axis.high - axis.low if isinstance(size, int) else Size(made, size.axis)


def _cropped(emit: Emitter, tensor: str, axes: list[Axis]) -> str:
    for place, axis in enumerate(axes, start=2):
        begin, end = axis.crop
        tensor = emit.sliced(tensor, place, begin, -end if end else TO_THE_END)
    return tensor
