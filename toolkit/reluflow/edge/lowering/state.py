"""What is known while a model becomes an integer program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data import InputSpec
from reluflow.edge.program import (
    EdgeInput,
    EdgeStep,
    EdgeTensor,
    ViewStep,
    WindowSpec,
)
from reluflow.errors import DataError, OptionError
from reluflow.graph import Operation, PsbNode
from reluflow.psb._window import place_window
from reluflow.psb.fixed import FixedFormat

_MOST_SPATIAL = 2


class Cannot(Exception):
    """Why an operator has no kernel; `lower` collects these."""


class Lowering:
    """The program so far.

    Attributes:
        constants: what the graph alone determines, by name.
        counts: tensors that hold numbers of samples, or seeds.
        nodes: PSB operators by their outputs.
        opset: of ONNX's own operators.
        tensors: of the program, by name.
        steps: of the program.
        inputs: of the program.
        floats: the model's inputs.
        shapes: of the tensors and the model's inputs, in the model's order of axes.
        lost: tensors that something refused makes.
        filled: tensors whose channels the model fills up to quads.
        pixels: floats that follow from one pixel each -> the model's input, and their values for
            each channel and pixel, `(channels, 256)` or `(1, 256)`.
        divisor: what pixels are divided by to give a float input; None: floats are no pixels.
    """

    def __init__(
        self,
        inputs: Sequence[InputSpec],
        constants: Mapping[str, NDArray[Any]],
        counts: Sequence[str],
        nodes: Mapping[str, PsbNode],
        opset: int,
    ) -> None:
        self.constants = dict(constants)
        self.counts = set(counts)
        self.nodes = nodes
        self.opset = opset
        self.tensors: dict[str, EdgeTensor] = {}
        self.steps: list[EdgeStep] = []
        self.inputs: list[EdgeInput] = []
        self.lost: set[str] = set()
        self.filled: set[str] = set()
        self.pixels: dict[str, tuple[str, NDArray[Any]]] = {}
        self.divisor: float | None = None
        given = [spec for spec in inputs if spec.name not in self.counts]
        self.specs = {spec.name: spec for spec in given}
        self.floats = set(self.specs)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def tensor(self, name: str) -> EdgeTensor:
        """Return a tensor of the program; a constant of bytes becomes one."""
        if name in self.tensors:
            return self.tensors[name]
        value = self.constants.get(name)
        if value is None or value.dtype != np.uint8:
            raise Cannot(f"its input {name!r} is no tensor of bytes")
        return EdgeTensor(name, value.shape, value=value)

    def bytes(self, name: str) -> EdgeTensor:
        """Return a tensor of bytes."""
        found = self.tensor(name)
        if not found.is_bytes:
            raise Cannot(f"its input {name!r} is an end, of whole numbers of 32 bits")
        return found

    def emit(
        self,
        kind: type[EdgeStep],
        operation: Operation,
        reads: Sequence[EdgeTensor],
        made: EdgeTensor,
        /,
        **fields: Any,
    ) -> None:
        """Add a step and the tensor that it makes."""
        for tensor in reads:
            self.tensors.setdefault(tensor.name, tensor)
        names = tuple(tensor.name for tensor in reads)
        self.steps.append(
            kind(name=operation.name, op=operation.op, reads=names, makes=made.name, **fields)
        )
        self.tensors[made.name] = made
        self.shapes[made.name] = made.shape

    def view(self, operation: Operation, x: EdgeTensor, shape: Sequence[int]) -> None:
        """Add the same elements in another shape."""
        if math.prod(shape) != x.count:
            raise Cannot(f"its {x.count} elements do not fit the shape {list(shape)}")
        made = replace(x, name=operation.outputs[0], shape=tuple(map(int, shape)))
        if made.value is not None:
            self.constants[made.name] = made.value.reshape(made.shape)
            return
        self.emit(ViewStep, operation, [x], made)

    def numbers(self, operation: Operation, place: int, name: str) -> list[int] | None:
        """Return whole numbers that are an attribute, or an input; None where there are none."""
        if name in operation.attributes:
            return [int(v) for v in np.ravel(operation.attributes[name])]
        if len(operation.inputs) <= place or not operation.inputs[place]:
            return None
        value = self.constants.get(operation.inputs[place])
        if value is None:
            raise Cannot(f"its {name} are computed from data")
        return [int(v) for v in value.reshape(-1)]


def read_form(operation: Operation, letter: str) -> FixedFormat:
    """Return a format that an operator says of one of its tensors."""
    attributes = operation.attributes
    exponent, zero = (attributes.get(f"{letter}_{what}", 0) for what in ("exponent", "zero"))
    try:
        return FixedFormat(int(exponent), int(zero))  # type: ignore[arg-type]
    except OptionError as error:
        raise Cannot(f"its {letter}_{error}".rstrip(".")) from None


def read_bounds(operation: Operation) -> dict[str, int]:
    """Return the least and the largest byte of an operator."""
    attributes = operation.attributes
    low, high = attributes.get("y_min", 0), attributes.get("y_max", 255)
    return {"low": int(low), "high": int(high)}  # type: ignore[arg-type]


def read_window(operation: Operation, size: Sequence[int], kernel: Sequence[int]) -> WindowSpec:
    """Return where the windows of an operator lie.

    Args:
        operation: with the attributes of ONNX Conv.
        size: pixels of the input, one number for each spatial axis.
        kernel: taps.
    """
    if not 1 <= len(kernel) <= _MOST_SPATIAL:
        raise Cannot(f"its windows have {len(kernel)} axes; 1 and 2 are accepted")
    given = operation.attributes
    lists: list[Any] = [given.get(name) for name in ("strides", "dilations", "pads")]
    auto = str(given.get("auto_pad", "NOTSET"))
    try:
        found = place_window(size, kernel, lists[0], lists[1], lists[2], auto)
    except (DataError, OptionError) as error:
        raise Cannot(str(error).rstrip(".")) from None
    return WindowSpec(
        found.kernel, found.strides, found.dilations, found.begin, found.end, found.output
    )
