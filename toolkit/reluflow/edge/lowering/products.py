"""Rules of the operators with weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reluflow.edge.ends import end_exponent, largest_sums
from reluflow.edge.lowering.state import (
    Cannot,
    Lowering,
    read_bounds,
    read_form,
    read_window,
)
from reluflow.edge.program import ConvStep, EdgeTensor, WeightSpec, WindowSpec
from reluflow.graph import Operation
from reluflow.psb import PsbCode, unpack
from reluflow.psb.fixed import FixedFormat

_X, _W, _EMAX, _BIAS, _SAMPLES, _SEED, _Z, _TABLE, _REGION = range(9)
_MOST_SUM = 1 << 29
_MOST_Z_SHIFT = 20
_QUAD = 4
_ROW_AXES = 2
_LEAST_SUM, _LARGEST_SUM = -(1 << 31), (1 << 31) - 1
_CODES = 256


def _given(operation: Operation, place: int) -> str:
    return operation.inputs[place] if len(operation.inputs) > place else ""


def _weights(state: Lowering, operation: Operation) -> WeightSpec:
    """Return the weights of an operator."""
    planes, emax = (state.constants.get(_given(operation, p)) for p in (_W, _EMAX))
    if planes is None or emax is None:
        raise Cannot("its weights are computed")
    node = state.nodes.get(operation.outputs[0])
    samples, seed = _given(operation, _SAMPLES), _given(operation, _SEED)
    if node is None or samples not in state.counts or seed not in state.counts:
        raise Cannot("its number of samples or its seed is no input of the model")
    if node.sampler not in ("systematic", "nearest") or node.draws != "run":
        raise Cannot(f"its sampler is {node.sampler}; edge code draws systematically per run")
    code = unpack(planes, node.weight_shape, emax, node.p_bits)
    bias = _bias(state, operation, len(emax))
    return WeightSpec(code, bias, node.sampler, node.stream, node.factor)


def _bias(state: Lowering, operation: Operation, channels: int) -> NDArray[np.float32]:
    name = _given(operation, _BIAS)
    if not name:
        return np.zeros(channels, np.float32)
    value = state.constants.get(name)
    if value is None or value.size not in (1, channels):
        raise Cannot("its bias is computed")
    return np.broadcast_to(value.astype(np.float32).reshape(-1), (channels,)).copy()


def _table(state: Lowering, operation: Operation, place: int) -> NDArray[np.uint8] | None:
    name = _given(operation, place)
    if not name:
        return None
    value = state.constants.get(name)
    if value is None or value.size not in (0, _CODES):
        raise Cannot("its table is computed")
    return value.reshape(-1).astype(np.uint8) if value.size else None


def _check_sums(code: PsbCode, form: FixedFormat) -> None:
    if int(largest_sums(code, FixedFormat(form.exponent, 0)).max(initial=0)) >= _MOST_SUM:
        raise Cannot("the weights of a channel add up to more than 32-bit sums of bytes can hold")


def _placed(x: EdgeTensor, code: PsbCode, operation: Operation) -> tuple[WindowSpec, int]:
    """Return the windows of a convolution and its groups."""
    group = int(operation.attributes.get("group", 1))  # type: ignore[arg-type]
    inputs = code.shape[1] * group
    fits = x.shape[-1] == inputs or (group == 1 and 0 <= x.shape[-1] - inputs < _QUAD)
    if len(x.shape) != len(code.shape) or not fits or code.shape[0] % group:
        raise Cannot(f"weights {code.shape} in {group} groups do not fit bytes {x.shape}")
    return read_window(operation, x.shape[1:-1], code.shape[2:]), group


def _fixed_conv(state: Lowering, operation: Operation) -> None:
    if _given(operation, _REGION):
        raise Cannot("it computes a region only")
    x = state.bytes(operation.inputs[_X])
    weights = _weights(state, operation)
    _check_sums(weights.code, read_form(operation, "x"))
    window, group = _placed(x, weights.code, operation)
    shape = (x.shape[0], *window.output, weights.code.shape[0])
    forms = [read_form(operation, letter) for letter in "xy"]
    reads = [x]
    z_name = _given(operation, _Z)
    empty = z_name in state.constants and not state.constants[z_name].size
    if z_name and not empty:
        z, form = state.bytes(z_name), read_form(operation, "z")
        if z.shape != shape:
            raise Cannot(f"what it adds has shape {z.shape}, not {shape}")
        if abs(form.exponent - forms[1].exponent) > _MOST_Z_SHIFT:
            raise Cannot(f"what it adds lies more than {_MOST_Z_SHIFT} octaves from its output")
        reads.append(z)
        forms.insert(1, form)
    made = EdgeTensor(operation.outputs[0], shape)
    state.emit(
        ConvStep,
        operation,
        reads,
        made,
        forms=tuple(forms),
        weights=weights,
        window=window,
        group=group,
        adds=len(reads) > 1,
        table=_table(state, operation, _TABLE),
        **read_bounds(operation),
    )


def _end(
    state: Lowering,
    operation: Operation,
    x: EdgeTensor,
    weights: WeightSpec,
    window: WindowSpec,
    group: int,
    shape: tuple[int, ...],
    rows: bool,
) -> None:
    form = read_form(operation, "x")
    _check_sums(weights.code, form)
    exponent = end_exponent(weights.code, weights.bias, form)
    made = EdgeTensor(operation.outputs[0], shape, is_bytes=False, exponent=exponent)
    state.emit(
        ConvStep,
        operation,
        [x],
        made,
        forms=(form,),
        weights=weights,
        window=window,
        group=group,
        low=_LEAST_SUM,
        high=_LARGEST_SUM,
        rows=rows,
    )


def _from_conv(state: Lowering, operation: Operation) -> None:
    if any(_given(operation, place) for place in (_Z, _TABLE)):
        raise Cannot("it computes a region only")
    x = state.bytes(operation.inputs[_X])
    weights = _weights(state, operation)
    window, group = _placed(x, weights.code, operation)
    shape = (x.shape[0], weights.code.shape[0], *window.output)
    _end(state, operation, x, weights, window, group, shape, False)


def _from_matmul(state: Lowering, operation: Operation) -> None:
    x = state.bytes(operation.inputs[_X])
    weights = _weights(state, operation)
    outputs, inputs = weights.code.shape
    if len(x.shape) < _ROW_AXES or x.shape[-1] != inputs:
        raise Cannot(f"weights {weights.code.shape} do not fit bytes {x.shape}")
    rows = x.count // inputs
    window = WindowSpec((1,), (1,), (1,), (0,), (0,), (rows,))
    _end(state, operation, x, weights, window, 1, (*x.shape[:-1], outputs), True)


def table_of_input(state: Lowering, operation: Operation, place: int) -> NDArray[np.uint8] | None:
    """Return the constant table of an operator, None where it is left out."""
    return _table(state, operation, place)


PRODUCT_RULES: dict[str, Callable[[Lowering, Operation], None]] = {
    "FixedConv": _fixed_conv,
    "FromFixedConv": _from_conv,
    "FromFixedMatMul": _from_matmul,
}
"""Operator -> its rule."""
