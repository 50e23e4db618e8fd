"""What a model does with pixels before bytes begin: one value for each pixel, so a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.edge.lowering.state import Cannot, Lowering
from reluflow.edge.program import EdgeInput, EdgeTensor, PixelStep, TableStep
from reluflow.graph import Operation
from reluflow.psb.fixed import FixedFormat, to_fixed

PIXELS = 256
_FLOAT = 1
"""ONNX's number of float32."""
_CHANNEL_AXIS = 1
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}
PREPARES = (*_COMPUTE, "Cast", "Identity")
"""Operators that may stand between pixels and bytes."""


def begin_pixels(state: Lowering, divisor: float | None) -> None:
    """Note which inputs are pixels: those of uint8, and floats where a divisor is given.

    Args:
        state: of the program.
        divisor: what pixels from 0 to 255 are divided by to give a float input.
    """
    whole = np.arange(PIXELS, dtype=np.uint8)[None]
    for name, spec in state.specs.items():
        if spec.dtype == np.uint8:
            state.pixels[name] = name, whole
        elif divisor is not None:
            state.pixels[name] = name, whole.astype(np.float32) / np.float32(divisor)


def prepare(state: Lowering, operation: Operation) -> None:
    """Compute an operator on all values that a pixel can have.

    Args:
        state: of the program.
        operation: one that reads pixels.
    """
    op, names = operation.op, operation.inputs
    source, values = next(state.pixels[name] for name in names if name in state.pixels)
    if op == "Identity":
        state.pixels[operation.outputs[0]] = source, values
        return
    if op == "Cast" and operation.attributes.get("to") == _FLOAT:
        state.pixels[operation.outputs[0]] = source, values.astype(np.float32)
        return
    if op not in _COMPUTE or values.dtype != np.float32:
        raise Cannot(f"it reads pixels; between these and bytes stand {', '.join(PREPARES)} alone")
    sides = [
        values if name in state.pixels else _constant(state, source, name) for name in names[:2]
    ]
    with np.errstate(all="ignore"):
        made = np.asarray(_COMPUTE[op](*sides), np.float32)
    state.pixels[operation.outputs[0]] = source, made


def _constant(state: Lowering, source: str, name: str) -> NDArray[np.float32]:
    """Return a constant for each channel, `(channels, 1)` or `(1, 1)`."""
    value = state.constants.get(name)
    if value is None:
        raise Cannot("it computes pixels with something else than constants")
    shape = state.specs[source].shape
    assert shape is not None  # `lower` checked the sizes
    axis = value.ndim - len(shape) + _CHANNEL_AXIS
    others = [size for k, size in enumerate(value.shape) if k != axis]
    if value.size != 1 and (axis < 0 or value.shape[axis] != shape[1] or set(others) > {1}):
        raise Cannot(f"its constant {list(value.shape)} has more than one number for each channel")
    return value.astype(np.float32).reshape(-1, 1)


def pixels_to_bytes(
    state: Lowering, operation: Operation, shape: tuple[int, ...], form: FixedFormat
) -> EdgeTensor:
    """Add the table of an input of pixels; return the tensor that it makes.

    Args:
        state: of the program.
        operation: ToFixed.
        shape: channels last.
        form: of the bytes.
    """
    source, values = state.pixels[operation.inputs[0]]
    if values.dtype != np.float32:
        raise Cannot("it reads pixels that are no floats yet")
    given = EdgeTensor(f"{source}/pixels", shape)
    if given.name not in state.tensors:
        divisor = 1.0 if state.specs[source].dtype == np.uint8 else state.divisor
        state.inputs.append(EdgeInput(source, given.name, FixedFormat(0, 0), divisor))
    tables = to_fixed(values[None], form)[0].T
    made = EdgeTensor(operation.outputs[0], shape)
    if (tables == tables[0]).all():
        state.emit(TableStep, operation, [given], made, table=np.ascontiguousarray(tables[0]))
    else:
        state.emit(PixelStep, operation, [given], made, tables=np.ascontiguousarray(tables))
    return made
