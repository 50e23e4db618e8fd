"""Rules of what comes after the last products."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reluflow.edge.ends import SOFTMAX_BITS
from reluflow.edge.lowering.moves import put
from reluflow.edge.lowering.state import Cannot, Lowering, read_form
from reluflow.edge.maps import offsets_of
from reluflow.edge.program import ArgMaxStep, ConvStep, EdgeTensor, SigmoidStep, SoftmaxStep
from reluflow.graph import Operation

_LEAST_SUM, _LARGEST_SUM = -(1 << 31), (1 << 31) - 1
_MOST_CLASSES = 1 << 15
_FLAT_BEFORE = 13
"""Before this opset Softmax takes all axes from its own on together."""


def _from_fixed(state: Lowering, operation: Operation) -> None:
    x, form = state.bytes(operation.inputs[0]), read_form(operation, "x")
    rank = len(x.shape)
    order = [0, rank - 1, *range(1, rank - 1)] if rank > 1 else [0]
    whole = [np.arange(size, dtype=np.int64) for size in x.shape]
    told = replace(x, exponent=form.exponent, zero=form.zero)
    put(state, operation, told, offsets_of(x.shape, whole, order))


def _end_step(state: Lowering, operation: Operation) -> tuple[int, ConvStep]:
    """Return the sums whose bounds an operator sets, and their place among the steps."""
    name = operation.inputs[0]
    made_by = [k for k, step in enumerate(state.steps) if step.makes == name]
    step = state.steps[made_by[0]] if made_by else None
    if not isinstance(step, ConvStep) or state.tensors[name].is_bytes:
        raise Cannot("it bounds something else than the sums of the last products")
    return made_by[0], step


def _bounded(state: Lowering, operation: Operation, low: float, high: float) -> None:
    place, step = _end_step(state, operation)
    old = state.tensors[step.makes]
    least = _LEAST_SUM if math.isinf(low) else round(math.ldexp(low, old.exponent))
    most = _LARGEST_SUM if math.isinf(high) else round(math.ldexp(high, old.exponent))
    least, most = (max(_LEAST_SUM, min(_LARGEST_SUM, each)) for each in (least, most))
    made = replace(old, name=operation.outputs[0])
    # The sums are computed once more where others read them without bounds.
    state.steps.insert(place + 1, replace(step, makes=made.name, low=least, high=most))
    state.tensors[made.name] = made
    state.shapes[made.name] = made.shape


def _relu(state: Lowering, operation: Operation) -> None:
    _bounded(state, operation, 0.0, math.inf)


def _clip(state: Lowering, operation: Operation) -> None:
    bounds = [-math.inf, math.inf]
    for place, name in ((1, "min"), (2, "max")):
        given = operation.inputs[place] if len(operation.inputs) > place else ""
        if given:
            value = state.constants.get(given)
            if value is None or value.size != 1:
                raise Cannot("its bounds are computed")
            bounds[place - 1] = float(value.reshape(-1)[0])
        elif name in operation.attributes:
            bounds[place - 1] = float(operation.attributes[name])  # type: ignore[arg-type]
    _bounded(state, operation, bounds[0], bounds[1])


def _arg_max(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    axis = int(operation.attributes.get("axis", 0)) % len(x.shape)  # type: ignore[arg-type]
    kept = bool(operation.attributes.get("keepdims", 1))
    shape = [*x.shape[:axis], *([1] if kept else []), *x.shape[axis + 1 :]]
    last = bool(operation.attributes.get("select_last_index", 0))
    made = EdgeTensor(operation.outputs[0], tuple(shape), is_bytes=False)
    state.emit(ArgMaxStep, operation, [x], made, axis=axis, last=last)


def _softmax(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    if x.is_bytes or x.divisor != 1:
        raise Cannot("it takes bytes or means; edge code takes the sums of the last products")
    usual = -1 if state.opset >= _FLAT_BEFORE else 1
    axis = int(operation.attributes.get("axis", usual)) % len(x.shape)  # type: ignore[arg-type]
    if state.opset < _FLAT_BEFORE and math.prod(x.shape[axis + 1 :]) != 1:
        raise Cannot(f"at opset {state.opset} it takes several axes together")
    if x.shape[axis] > _MOST_CLASSES:
        raise Cannot(f"it has {x.shape[axis]} classes; at most {_MOST_CLASSES} are accepted")
    made = EdgeTensor(operation.outputs[0], x.shape, is_bytes=False, exponent=SOFTMAX_BITS)
    state.emit(SoftmaxStep, operation, [x], made, axis=axis)


def _sigmoid(state: Lowering, operation: Operation) -> None:
    x = state.tensor(operation.inputs[0])
    if x.is_bytes or x.divisor != 1:
        raise Cannot("it takes bytes or means; edge code takes the sums of the last products")
    made = EdgeTensor(operation.outputs[0], x.shape, is_bytes=False, exponent=SOFTMAX_BITS)
    state.emit(SigmoidStep, operation, [x], made)


END_RULES: dict[str, Callable[[Lowering, Operation], None]] = {
    "FromFixed": _from_fixed,
    "Relu": _relu,
    "Clip": _clip,
    "ArgMax": _arg_max,
    "Softmax": _softmax,
    "Sigmoid": _sigmoid,
}
"""Operator -> its rule."""
