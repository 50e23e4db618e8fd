"""The linear operators, each from operands to columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reluflow.cells.lowering import windows
from reluflow.cells.lowering.columns import (
    ONE,
    Columns,
    Floats,
    Value,
    attribute,
    given_operands,
    plus,
    refuse,
    widened,
    without_batch,
)
from reluflow.graph import Operation

_Rule = Callable[[Operation, Sequence[Any]], Columns]


def apply_linear(step: Operation, operands: Sequence[Value | None]) -> Columns:
    """Run one operator.

    Args:
        step: the operator.
        operands: its inputs; at least one is `Columns`, None stands for one that is left out.

    Raises:
        ModelError: it is not linear, or in a way that is not followed.
    """
    rule = _RULES.get(step.op)
    if rule is None:
        raise refuse(step, "it is neither linear nor piecewise linear, as far as is known here")
    found: Columns = rule(step, operands)
    return found


def _first(step: Operation, operands: Sequence[Any]) -> Floats:
    if not isinstance(operands[0], Columns) or any(isinstance(o, Columns) for o in operands[1:]):
        raise refuse(step, "its parameters depend on the input")
    return operands[0].array


def _floats(value: Any) -> Floats:
    return np.asarray(value, np.float64)


def _add(step: Operation, operands: Sequence[Any]) -> Columns:
    sign = -1.0 if step.op == "Sub" else 1.0
    total: Any = operands[0]
    for other in operands[1:]:
        if isinstance(total, Columns) and isinstance(other, Columns):
            a, b = widened([total, other])
            total = Columns(a + sign * b)
        elif isinstance(total, Columns):
            constant = without_batch(step, other, total.array.ndim)
            total = Columns(plus(total.array, sign * constant))
        else:
            constant = without_batch(step, total, other.array.ndim)
            total = Columns(plus(sign * other.array, constant))
    made: Columns = total
    return made


def _times(step: Operation, operands: Sequence[Any]) -> Columns:
    a, b = operands
    if isinstance(a, Columns) and isinstance(b, Columns):
        raise refuse(step, "it combines two tensors that depend on the input by a product")
    if step.op == "Div" and isinstance(b, Columns):
        raise refuse(step, "it divides by a tensor that depends on the input")
    x, constant = (a, b) if isinstance(a, Columns) else (b, a)
    factor = without_batch(step, constant, x.array.ndim)
    rank = x.array.ndim - 1
    factor = factor.reshape(*(1,) * (rank - factor.ndim), *factor.shape)
    return Columns(x.array / factor if step.op == "Div" else x.array * factor)


def _neg(step: Operation, operands: Sequence[Any]) -> Columns:
    return Columns(-_first(step, operands))


def _same(step: Operation, operands: Sequence[Any]) -> Columns:
    return Columns(_first(step, operands))


def _gemm(step: Operation, operands: Sequence[Any]) -> Columns:
    given: Any = step.attributes
    if given.get("transA", 0) or any(isinstance(o, Columns) for o in operands[1:]):
        raise refuse(step, "its weights depend on the input")
    x = _first(step, operands)
    weights = _floats(operands[1])
    out = x @ (weights.T if given.get("transB", 0) else weights)
    if given.get("alpha", 1.0) != 1.0:
        out *= given["alpha"]
    if len(operands) > 2 and operands[2] is not None:
        bias = _floats(operands[2]) * given.get("beta", 1.0)
        out[ONE] += bias[0] if bias.ndim == 2 else bias
    return Columns(out)


def _matmul(step: Operation, operands: Sequence[Any]) -> Columns:
    a, b = operands
    if isinstance(a, Columns) and isinstance(b, Columns):
        raise refuse(step, "both its operands depend on the input")
    if isinstance(a, Columns):
        matrix = _floats(b)
        if matrix.ndim > 2:
            matrix = without_batch(step, b, a.array.ndim)
        return Columns(a.array @ matrix)
    if b.array.ndim <= 2:
        raise refuse(step, "it mixes the inputs of a batch")
    matrix = _floats(a)
    return Columns((matrix if matrix.ndim == 2 else without_batch(step, a, b.array.ndim)) @ b.array)


def _conv(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    bias = _floats(operands[2]) if len(operands) > 2 and operands[2] is not None else None
    return Columns(windows.conv(step, x, _floats(operands[1]), bias))


def _batch_norm(step: Operation, operands: Sequence[Any]) -> Columns:
    if step.attributes.get("training_mode", 0):
        raise refuse(step, "it normalises by the batch")
    x = _first(step, operands)
    scale, shift, mean, variance = (_floats(o) for o in operands[1:])
    factor = scale / np.sqrt(variance + attribute(step, "epsilon", 1e-5))
    along = (-1, *(1,) * (x.ndim - 2))
    return Columns(plus(x * factor.reshape(along), (shift - mean * factor).reshape(along)))


def _average(step: Operation, operands: Sequence[Any]) -> Columns:
    return Columns(windows.average_pool(step, _first(step, operands)))


def _global_average(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    return Columns(x.mean(axis=tuple(range(2, x.ndim)), keepdims=True))


def _reduce(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    given: Any = operands[1] if len(operands) > 1 else step.attributes.get("axes")
    if given is None:
        raise refuse(step, "it reduces the axis of the batch")
    axes = tuple(int(axis) % x.ndim for axis in np.atleast_1d(given))
    if 0 in axes:
        raise refuse(step, "it reduces the axis of the batch")
    keep = bool(step.attributes.get("keepdims", 1))
    made = x.mean(axis=axes, keepdims=keep) if step.op == "ReduceMean" else None
    return Columns(x.sum(axis=axes, keepdims=keep) if made is None else made)


def _concat(step: Operation, operands: Sequence[Any]) -> Columns:
    like = next(o for o in operands if isinstance(o, Columns))
    axis = int(attribute(step, "axis", 0)) % like.array.ndim
    if axis == 0:
        raise refuse(step, "it joins inputs to a batch")
    arrays = widened([o if isinstance(o, Columns) else _constant(o) for o in operands])
    return Columns(np.concatenate(arrays, axis))


def _constant(value: Any) -> Columns:
    array = _floats(value)
    out = np.zeros((3, *array.shape[1:]))
    out[ONE] = array[0]
    return Columns(out)


def _flatten(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    axis = int(attribute(step, "axis", 1))
    axis += x.ndim if axis < 0 else 0
    if axis == 0:
        raise refuse(step, "it flattens the axis of the batch")
    if math.prod(x.shape[1:axis]) != 1:
        raise refuse(step, "it mixes the axis of the batch with others")
    return Columns(x.reshape(len(x), -1))


def _reshape(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    if step.op == "Squeeze":
        given: Any = operands[1] if len(operands) > 1 else step.attributes.get("axes")
        axes = None if given is None else tuple(int(a) % x.ndim for a in np.atleast_1d(given))
        if axes is None or 0 in axes:
            raise refuse(step, "it removes the axis of the batch")
        return Columns(np.squeeze(x, axes))
    if step.op == "Unsqueeze":
        given = operands[1] if len(operands) > 1 else step.attributes["axes"]
        axes = tuple(int(a) for a in np.atleast_1d(given))
        made = np.expand_dims(x, axes)
        if any(a % made.ndim == 0 for a in axes):
            raise refuse(step, "it adds an axis before that of the batch")
        return Columns(made)
    target = [int(n) for n in np.asarray(operands[1]).reshape(-1)]
    shape = (1, *x.shape[1:])
    if not step.attributes.get("allowzero", 0):
        target = [shape[i] if n == 0 else n for i, n in enumerate(target)]
    made_shape = np.empty(shape, np.bool_).reshape(target).shape
    if not made_shape or made_shape[0] != 1:
        raise refuse(step, "it mixes the axis of the batch with others")
    return Columns(x.reshape(len(x), *made_shape[1:]))


def _transpose(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    order: Any = step.attributes.get("perm", tuple(range(x.ndim))[::-1])
    if order[0] != 0:
        raise refuse(step, "it moves the axis of the batch")
    return Columns(np.ascontiguousarray(x.transpose([int(a) for a in order])))


def _pad(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    _, pads, fill, axes = given_operands(operands, 4)
    pads = [int(p) for p in (attribute(step, "pads", ()) if pads is None else pads)]
    if axes is not None:
        raise refuse(step, "it pads chosen axes only")
    pairs = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    if pairs[0] != (0, 0) or min(pads) < 0:
        raise refuse(step, "it pads the batch, or crops")
    mode = str(step.attributes.get("mode", "constant"))
    if mode != "constant":
        return Columns(np.pad(x, pairs, mode=mode))  # type: ignore[call-overload]
    fill = attribute(step, "value", 0.0) if fill is None else fill
    out = np.pad(x, pairs)
    if fill is not None and float(np.asarray(fill).reshape(())) != 0.0:
        inside = np.pad(np.ones(x.shape[1:], np.bool_), pairs[1:])
        out[ONE][~inside] = float(np.asarray(fill).reshape(()))
    return Columns(out)


def _resize(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    if step.op == "Resize":
        _, _, scales, sizes = given_operands(operands, 4)
    else:
        _, scales, sizes = given_operands(operands, 3)
    scales = None if scales is None or not np.size(scales) else _floats(scales)
    if scales is None and sizes is None:
        scales = _floats(step.attributes["scales"])
    return Columns(windows.resize(step, x, scales, None if sizes is None else _floats(sizes)))


def _slice(step: Operation, operands: Sequence[Any]) -> Columns:
    x = _first(step, operands)
    given: Any = step.attributes
    _, starts, ends, axes, steps = given_operands(operands, 5)
    starts = given["starts"] if starts is None else starts
    ends = given["ends"] if ends is None else ends
    n = len(np.atleast_1d(starts))
    axes = given.get("axes", range(n)) if axes is None else axes
    steps = [1] * n if steps is None else steps
    at = [slice(None)] * x.ndim
    for axis, start, end, by in zip(
        *(np.atleast_1d(each) for each in (list(axes), starts, ends, steps)), strict=True
    ):
        length = x.shape[int(axis)] if int(axis) % x.ndim else 1
        chosen = slice(int(start), int(end) if by > 0 or end >= -length else None, int(by))
        if int(axis) % x.ndim == 0:
            if list(range(1))[chosen] != [0]:
                raise refuse(step, "it cuts the batch")
            continue
        at[int(axis)] = chosen
    return Columns(x[tuple(at)])


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("Add", "Sub", "Sum"), _add),
    **dict.fromkeys(("Mul", "Div"), _times),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), _same),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _reduce),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    "Neg": _neg,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "AveragePool": _average,
    "GlobalAveragePool": _global_average,
    "Concat": _concat,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Pad": _pad,
    "Slice": _slice,
}
