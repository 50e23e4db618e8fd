"""Rules of the operators that take bytes and give bytes, and of where bytes begin."""

from __future__ import annotations

import math
from collections.abc import Callable

from reluflow.edge.lowering.pixels import pixels_to_bytes
from reluflow.edge.lowering.products import table_of_input
from reluflow.edge.lowering.state import Cannot, Lowering, read_bounds, read_form, read_window
from reluflow.edge.program import (
    AddStep,
    EdgeInput,
    EdgeTensor,
    MulStep,
    PoolStep,
    ResizeStep,
    TableStep,
    WindowSpec,
)
from reluflow.graph import Operation
from reluflow.psb.fixed import COORDINATES, FixedFormat

_RANKS = (3, 4)
_QUAD = 4
_MOST_PIXELS = (1 << 13) - 1
"""Of a mean: its division by shifts stays within 32 bits."""


def _to_fixed(state: Lowering, operation: Operation) -> None:
    name = operation.inputs[0]
    if name in state.pixels:
        name = state.pixels[name][0]
    spec = state.specs.get(name)
    if spec is None:
        raise Cannot("what it turns into bytes is computed in floating point")
    assert spec.shape is not None  # `lower` checked the sizes
    sizes = [int(size) for size in spec.shape[1:] if isinstance(size, int)]
    if isinstance(spec.shape[0], int) and spec.shape[0] != 1:
        raise Cannot(f"input {name!r} holds {spec.shape[0]} at once; edge code runs one at a time")
    if not sizes:
        raise Cannot(f"input {name!r} has one axis")
    state.shapes[name] = (1, *sizes)
    form = read_form(operation, "y")
    # Channels that fill up quads serve a kernel of the native library; none is stored here.
    made = EdgeTensor(operation.outputs[0], (1, *sizes[1:], sizes[0]))
    if operation.attributes.get("fills_quads", 0) and sizes[0] % _QUAD:
        state.filled.add(made.name)
    if operation.inputs[0] in state.pixels:
        pixels_to_bytes(state, operation, made.shape, form)
        return
    state.inputs.append(EdgeInput(name, made.name, form))
    state.tensors[made.name] = made
    state.shapes[made.name] = made.shape


def _forms(operation: Operation, letters: str) -> tuple[FixedFormat, ...]:
    return tuple(read_form(operation, letter) for letter in letters)


def _add(state: Lowering, operation: Operation) -> None:
    a, b = (state.bytes(operation.inputs[k]) for k in (0, 1))
    if a.shape != b.shape:
        raise Cannot(f"it adds {a.shape} and {b.shape}")
    made = EdgeTensor(operation.outputs[0], a.shape)
    table = table_of_input(state, operation, 2)
    forms, bounds = _forms(operation, "aby"), read_bounds(operation)
    state.emit(AddStep, operation, [a, b], made, forms=forms, table=table, **bounds)


def _mul(state: Lowering, operation: Operation) -> None:
    x, s = (state.bytes(operation.inputs[k]) for k in (0, 1))
    ones = (*x.shape[:1], *[1] * (len(x.shape) - 2), *x.shape[-1:])
    if s.shape not in (x.shape, ones):
        raise Cannot(f"it multiplies {x.shape} and {s.shape}")
    made = EdgeTensor(operation.outputs[0], x.shape)
    forms, bounds = _forms(operation, "xsy"), read_bounds(operation)
    state.emit(MulStep, operation, [x, s], made, forms=forms, **bounds)


def _table(state: Lowering, operation: Operation) -> None:
    x = state.bytes(operation.inputs[0])
    table = table_of_input(state, operation, 1)
    if table is None:
        raise Cannot("its table is empty")
    state.emit(TableStep, operation, [x], EdgeTensor(operation.outputs[0], x.shape), table=table)


def _max_pool(state: Lowering, operation: Operation) -> None:
    x = state.bytes(operation.inputs[0])
    window = _pool_window(x, operation)
    made = EdgeTensor(operation.outputs[0], (x.shape[0], *window.output, x.shape[-1]))
    state.emit(PoolStep, operation, [x], made, kind="max", window=window)


def _pool_window(x: EdgeTensor, operation: Operation) -> WindowSpec:
    kernel = operation.attributes.get("kernel_shape")
    sizes = [int(k) for k in kernel] if isinstance(kernel, tuple) else []
    if len(x.shape) != len(sizes) + 2:
        raise Cannot(f"windows {sizes} do not fit bytes {x.shape}")
    if operation.attributes.get("ceil_mode", 0):
        raise Cannot("its last windows may hang over the edge (ceil_mode)")
    return read_window(operation, x.shape[1:-1], sizes)


def _average_pool(state: Lowering, operation: Operation) -> None:
    x = state.bytes(operation.inputs[0])
    window = _pool_window(x, operation)
    counts = bool(operation.attributes.get("count_include_pad", 0))
    _mean(state, operation, x, window, counts)


def _global_average_pool(state: Lowering, operation: Operation) -> None:
    x = state.bytes(operation.inputs[0])
    _mean(state, operation, x, _whole(x), False)


def _whole(x: EdgeTensor) -> WindowSpec:
    """Return the one window of all pixels, those of more than two axes in a row."""
    axes = len(x.shape) - 2
    if axes < 1:
        raise Cannot(f"bytes {x.shape} have no pixels")
    sizes = x.shape[1:-1] if len(x.shape) in _RANKS else (math.prod(x.shape[1:-1]),)
    ones, none = (1,) * len(sizes), (0,) * len(sizes)
    return WindowSpec(tuple(sizes), ones, ones, none, none, ones)


def _mean(
    state: Lowering, operation: Operation, x: EdgeTensor, window: WindowSpec, counts: bool
) -> None:
    pixels = math.prod(window.kernel)
    if pixels > _MOST_PIXELS:
        raise Cannot(f"it takes the mean of {pixels} pixels; at most {_MOST_PIXELS} are accepted")
    shape = (x.shape[0], *window.output, x.shape[-1])
    if operation.op == "FixedGlobalAveragePool":
        shape = (x.shape[0], *[1] * (len(x.shape) - 2), x.shape[-1])
    made = EdgeTensor(operation.outputs[0], shape)
    forms, bounds = _forms(operation, "xy"), read_bounds(operation)
    fields = {"kind": "mean", "window": window, "counts_pads": counts, "forms": forms}
    state.emit(PoolStep, operation, [x], made, **fields, **bounds)


def _global_pool(state: Lowering, operation: Operation) -> None:
    x = state.bytes(operation.inputs[0])
    window = _whole(x)
    pixels = math.prod(window.kernel)
    if pixels > _MOST_PIXELS:
        raise Cannot(f"it takes the mean of {pixels} pixels; at most {_MOST_PIXELS} are accepted")
    shape = (x.shape[0], x.shape[-1], *[1] * (len(x.shape) - 2))
    (form,) = _forms(operation, "x")
    made = EdgeTensor(
        operation.outputs[0], shape, is_bytes=False, exponent=form.exponent, divisor=pixels
    )
    state.emit(PoolStep, operation, [x], made, kind="sum", window=window, forms=(form,))


def _resize(state: Lowering, operation: Operation) -> None:
    x = state.bytes(operation.inputs[0])
    sizes = state.numbers(operation, 1, "sizes")
    if sizes is None or len(x.shape) not in _RANKS:
        raise Cannot(f"it interpolates {x.shape}; one or two axes of pixels are accepted")
    if sizes[:2] != [x.shape[0], x.shape[-1]] or len(sizes) != len(x.shape) or min(sizes) < 1:
        raise Cannot(f"sizes {sizes} do not fit bytes {x.shape}")
    mode = int(operation.attributes.get("coordinates", 0))  # type: ignore[arg-type]
    if not 0 <= mode < len(COORDINATES):
        raise Cannot(f"its coordinates are {mode}")
    made = EdgeTensor(operation.outputs[0], (x.shape[0], *sizes[2:], x.shape[-1]))
    state.emit(ResizeStep, operation, [x], made, coordinates=COORDINATES[mode])


BYTE_RULES: dict[str, Callable[[Lowering, Operation], None]] = {
    "ToFixed": _to_fixed,
    "FixedAdd": _add,
    "FixedMul": _mul,
    "FixedTable": _table,
    "FixedMaxPool": _max_pool,
    "FixedAveragePool": _average_pool,
    "FixedGlobalAveragePool": _global_average_pool,
    "FixedGlobalPool": _global_pool,
    "FixedResize": _resize,
}
"""Operator -> its rule."""
