"""The integer program of a model: tensors, and steps that take and give them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reluflow.graph import own_samples
from reluflow.psb import MAX_SAMPLES, PsbCode
from reluflow.psb.fixed import FixedFormat


@dataclass(frozen=True, slots=True)
class EdgeTensor:
    """One tensor of a program: bytes, channels last, or int32 at an end.

    Attributes:
        name: in the model.
        shape: of one input of the model, the leading 1 included.
        is_bytes: whether its elements are bytes; else whole numbers of 32 bits.
        exponent: an element v has the value (v - zero) 2^-exponent / divisor.
        zero: of bytes, 0 or 128.
        divisor: the number of pixels of a mean that is left as a sum.
        value: of a constant.
    """

    name: str
    shape: tuple[int, ...]
    is_bytes: bool = True
    exponent: int = 0
    zero: int = 0
    divisor: int = 1
    value: NDArray[np.uint8] | None = field(default=None, compare=False)

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Where the windows of a step lie, as ONNX Conv has it; one entry for each spatial axis.

    Attributes:
        kernel: taps.
        strides: pixels between windows.
        dilations: pixels between taps.
        begin: pixels of padding in front; negative where pixels are left out.
        end: the same at the end.
        output: number of windows.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    output: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """Weights and how a run draws them.

    Attributes:
        code: of the stored weights.
        bias: `(channels,)` float32, zeros where there is none.
        sampler: "systematic" or "nearest".
        stream: number of the node in the model.
        factor: its number of samples over that of the run, a power of two.
    """

    code: PsbCode
    bias: NDArray[np.float32]
    sampler: str
    stream: int
    factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeStep:
    """One step: `reads` are tensors, `makes` is one.

    Attributes:
        name: of the node in the model.
        op: its operator.
        reads: names of tensors, in the order of the operator's inputs.
        makes: name of a tensor.
        forms: of the bytes that it reads, in order, then of those that it makes, where its
            arithmetic depends on them.
    """

    name: str
    op: str
    reads: tuple[str, ...]
    makes: str
    forms: tuple[FixedFormat, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvStep(EdgeStep):
    """Products of bytes and weights: FixedConv where `makes` are bytes, else exact sums.

    Attributes:
        weights: drawn for each run.
        window: of one or two axes.
        group: as ONNX Conv.
        adds: whether the second tensor of `reads` is added.
        low: least byte, or least sum.
        high: largest byte, or largest sum.
        table: of the output's bytes, or None.
        rows: sums of rows, with the channels last; else channels first.
    """

    weights: WeightSpec
    window: WindowSpec
    group: int = 1
    adds: bool = False
    low: int = 0
    high: int = 255
    table: NDArray[np.uint8] | None = field(default=None, compare=False)
    rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddStep(EdgeStep):
    """FixedAdd.

    Attributes:
        low: least byte.
        high: largest byte.
        table: of the output's bytes, or None.
    """

    low: int = 0
    high: int = 255
    table: NDArray[np.uint8] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MulStep(EdgeStep):
    """FixedMul.

    Attributes:
        low: least byte.
        high: largest byte.
    """

    low: int = 0
    high: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStep(EdgeStep):
    """FixedTable.

    Attributes:
        table: `(256,)` bytes.
    """

    table: NDArray[np.uint8] = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelStep(EdgeStep):
    """Pixels through a table of their channel.

    Attributes:
        tables: `(channels, 256)` bytes.
    """

    tables: NDArray[np.uint8] = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStep(EdgeStep):
    """The largest byte of each window, its mean, or its exact sum.

    Attributes:
        kind: "max", "mean" or "sum".
        window: of one or two axes.
        counts_pads: whether a mean counts pixels outside as well.
        low: least byte.
        high: largest byte.
    """

    kind: str
    window: WindowSpec
    counts_pads: bool = False
    low: int = 0
    high: int = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeStep(EdgeStep):
    """FixedResize.

    Attributes:
        coordinates: as `reluflow.psb.fixed.fixed_resize` has them.
    """

    coordinates: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveStep(EdgeStep):
    """Elements in other places, or filled in: what an output's element is, axis by axis.

    Attributes:
        offsets: for each axis of the output where each index lies in the input's elements, to be
            added up; -1: outside.
        fill: byte of the elements outside.
    """

    offsets: tuple[NDArray[np.int64], ...] = field(compare=False)
    fill: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcatStep(EdgeStep):
    """Tensors side by side along an axis.

    Attributes:
        axis: of the tensors.
    """

    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewStep(EdgeStep):
    """The same elements in another shape: nothing is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgMaxStep(EdgeStep):
    """The place of the largest element along an axis.

    Attributes:
        axis: of the tensor that is read.
        last: whether the last of equals counts, else the first.
    """

    axis: int
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxStep(EdgeStep):
    """Probabilities of int32 along an axis, in units of 2^-15.

    Attributes:
        axis: of the tensor that is read.
    """

    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SigmoidStep(EdgeStep):
    """Probabilities of int32 one by one, in units of 2^-15."""


@dataclass(frozen=True, slots=True)
class EdgeInput:
    """What is fed to a program.

    Attributes:
        name: of the model's input.
        tensor: of the program.
        form: of the bytes.
        divisor: of an input of pixels: what they are divided by to give the model's input; None:
            the bytes stand for the input by their form.
    """

    name: str
    tensor: str
    form: FixedFormat
    divisor: float | None = None


@dataclass(frozen=True, slots=True)
class EdgeProgram:
    """A whole model in integers; `lower` makes it.

    Attributes:
        tensors: by name.
        steps: in an order of execution.
        inputs: what is fed.
        outputs: names of tensors, in the model's order.
        keeps_inputs: whether a run leaves its inputs as they are, so that another can follow.
    """

    tensors: dict[str, EdgeTensor]
    steps: tuple[EdgeStep, ...]
    inputs: tuple[EdgeInput, ...]
    outputs: tuple[str, ...]
    keeps_inputs: bool = False

    def shift_adds(self, samples: int) -> int:
        """Return the shift-adds of one inference; 0 samples count as 64.

        Args:
            samples: of the run.
        """
        return sum(
            shift_adds(step, self.tensors[step.makes], samples)
            for step in self.steps
            if isinstance(step, ConvStep)
        )


def shift_adds(step: ConvStep, made: EdgeTensor, samples: int) -> int:
    """Return the shift-adds of one step: samples, times products by weights that are not 0."""
    code = step.weights.code
    nonzero = int((code.nibble != 0).sum())
    positions = made.count // code.shape[0]
    n = own_samples(samples, step.weights.factor) or MAX_SAMPLES
    return n * nonzero * positions


def taken(items: Sequence[int], fill: int, upright: bool = False) -> tuple[int, int]:
    """Return one or two numbers of spatial axes as those of rows and columns.

    Args:
        items: of the axes.
        fill: number of the axis that is missing.
        upright: whether a single axis is that of rows.
    """
    if len(items) == 1:
        return (items[0], fill) if upright else (fill, items[0])
    return items[0], items[1]
