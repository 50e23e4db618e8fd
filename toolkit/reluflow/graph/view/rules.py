"""What ONNX's operators compute from known values, exactly as the standard defines.

A rule returns None where it cannot give exactly what ONNX defines: the value is then unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper

from reluflow.graph.proto.external import is_float, read_tensor
from reluflow.graph.view.growth import outgrows
from reluflow.graph.view.index import Node

MAX_ELEMENTS = 2**20
"""Larger values are not computed unless the graph already contains them."""
_INTEGERS = ("i1", "u1", "i2", "u2")
"""Types of numpy to which numbers are quantised."""

_Array = np.ndarray
_Rule = Callable[[Node, list[_Array | None]], _Array | None]
SPLIT = "Split"
"""The only operator with a rule for more than its first output."""
_SLICED = 4
"""Inputs of Slice behind its data: starts, ends, axes, steps."""
_OLD_BROADCAST = ("axis", "broadcast")


def apply_rule(node: Node, values: list[_Array | None], place: int = 0) -> _Array | None:
    """Return what a node of ONNX's own domain computes from known inputs, None without a rule.

    Args:
        node: any node.
        values: one per input; None for an input left out.
        place: number of the output.
    """
    rule = RULES.get(node.op)
    known = [value for value in values if value is not None]
    if rule is None or node.domain or outgrows(node.op, known):
        return None
    try:
        with np.errstate(all="ignore"):
            return _split(node, values, place) if node.op == SPLIT else rule(node, values)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError):
        return None  # the node is not valid


def _identity(node: Node, values: list[_Array | None]) -> _Array | None:
    return values[0]


def _dropout(node: Node, values: list[_Array | None]) -> _Array | None:
    """Dropout in inference mode; in training mode it draws at each run."""
    trains = values[2] if len(values) > 2 else None
    old = node.attribute("is_test")
    if (trains is not None and trains.any()) or (old is not None and not old.i):
        return None
    return values[0]


def _cast(node: Node, values: list[_Array | None]) -> _Array | None:
    return _converted(_known(values, 0), int(node.number("to", 1)))


def _cast_like(node: Node, values: list[_Array | None]) -> _Array | None:
    like = helper.np_dtype_to_tensor_dtype(_known(values, 1).dtype)
    return _converted(_known(values, 0), like)


_CAST = {
    TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16,
    TensorProto.BOOL, TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
    TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
}  # fmt: skip


def _converted(value: _Array, to: int) -> _Array | None:
    """Convert numbers; None for text, narrow floats, and floats that the integer cannot hold."""
    if to not in _CAST or value.dtype.kind in "OSU":
        return None
    dtype = helper.tensor_dtype_to_np_dtype(to)
    if np.issubdtype(dtype, np.integer) and is_float(value.dtype):
        whole = np.trunc(value.astype(np.float64))
        low, high = (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max) + 1.0)
        if not ((whole >= low) & (whole < high)).all():
            return None  # ONNX does not define it
        return whole.astype(dtype)
    if to == TensorProto.BOOL:
        return np.asarray(value != 0)
    return value.astype(dtype)


def _axes(node: Node, values: list[_Array | None]) -> tuple[int, ...]:
    given = values[1] if len(values) > 1 else None
    if given is not None:
        return tuple(int(axis) for axis in given.ravel())
    return node.integers("axes") or ()


def _transpose(node: Node, values: list[_Array | None]) -> _Array:
    return np.asarray(np.transpose(_known(values, 0), node.integers("perm")))


def _squeeze(node: Node, values: list[_Array | None]) -> _Array:
    return np.asarray(np.squeeze(_known(values, 0), axis=_axes(node, values) or None))


def _unsqueeze(node: Node, values: list[_Array | None]) -> _Array:
    return np.expand_dims(_known(values, 0), axis=_axes(node, values))


def _reshape(node: Node, values: list[_Array | None]) -> _Array:
    data = _known(values, 0)
    shape = _known(values, 1).ravel() if len(values) > 1 else node.integers("shape") or ()
    keep_zero = bool(node.number("allowzero", 0))
    sizes = [int(s) if s or keep_zero else data.shape[i] for i, s in enumerate(shape)]
    return data.reshape(sizes)


def filled(node: Node, values: list[_Array | None], limit: int = MAX_ELEMENTS) -> _Array | None:
    """Return what ConstantOfShape makes, None beyond a number of elements."""
    shape = tuple(int(size) for size in _known(values, 0).ravel())
    if math.prod(shape) > limit or any(size < 0 for size in shape):
        return None
    attribute = node.attribute("value")
    fill = read_tensor(attribute.t, None).ravel()[0] if attribute else np.float32(0)
    return np.full(shape, fill)


def _expand(node: Node, values: list[_Array | None]) -> _Array | None:
    data, sizes = _known(values, 0), _known(values, 1)
    shape = np.broadcast_shapes(data.shape, tuple(int(size) for size in sizes.ravel()))
    return np.broadcast_to(data, shape) if math.prod(shape) <= MAX_ELEMENTS else None


def _dequantize(node: Node, values: list[_Array | None]) -> _Array | None:
    """(x - zero point) scale in the scale's type: per tensor, per axis, or in blocks."""
    x, scale = _known(values, 0), _known(values, 1)
    zero = values[2] if len(values) > 2 else None
    made = int(node.number("output_dtype", 0))
    dtype = helper.tensor_dtype_to_np_dtype(made) if made else scale.dtype
    if not (is_float(scale.dtype) and is_float(np.dtype(dtype))):
        return None
    axis, block = int(node.number("axis", 1)), int(node.number("block_size", 0))
    whole = x.astype(np.float64 if x.dtype.itemsize > 2 else np.float32)
    if zero is not None:
        whole = whole - _spread(zero, x.shape, axis, block).astype(whole.dtype)
    return _product(whole, _spread(scale, x.shape, axis, block), np.dtype(dtype))


def _quantize(node: Node, values: list[_Array | None]) -> _Array | None:
    """Round x / scale half to even, add the zero point, saturate; to whole bytes alone."""
    x, scale = _known(values, 0), _known(values, 1)
    made = int(node.number("output_dtype", 0))
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(made) if made else np.uint8)
    zero = values[2] if len(values) > 2 else None
    zero = np.zeros((), dtype) if zero is None else zero
    if x.dtype != np.float32 or scale.dtype != np.float32 or zero.dtype.str[1:] not in _INTEGERS:
        return None
    axis, block = int(node.number("axis", 1)), int(node.number("block_size", 0))
    # A NaN has no integer: where there is one, nothing is told.
    if not np.isfinite(x).all() or not scale.all():
        return None
    rounded = np.rint(x / _spread(scale, x.shape, axis, block))
    moved = rounded.astype(np.float64) + _spread(zero, x.shape, axis, block)
    bounds = np.iinfo(zero.dtype)
    return np.asarray(np.clip(moved, bounds.min, bounds.max), zero.dtype)


def _product(whole: _Array, scale: _Array, dtype: np.dtype[np.generic]) -> _Array:
    """Multiply as runtimes do: in float32 for narrow types, then rounded to the result's."""
    work = np.float64 if scale.dtype == np.float64 else np.float32
    return np.asarray(whole.astype(work) * scale.astype(work), dtype)


def _spread(part: _Array, shape: tuple[int, ...], axis: int, block: int) -> _Array:
    """Give each element of a tensor its scale or zero point."""
    if part.size == 1 and part.ndim <= 1 and not block:
        return np.broadcast_to(part.reshape(()), shape)
    axis = axis + len(shape) if axis < 0 else axis
    if block:
        wide = np.repeat(part, block, axis=axis)
        return np.asarray(np.take(wide, np.arange(shape[axis]), axis=axis))
    sizes = [1] * len(shape)
    sizes[axis] = shape[axis]
    return np.broadcast_to(part.reshape(sizes), shape)


def _binary(function: Callable[[_Array, _Array], _Array]) -> _Rule:
    def rule(node: Node, values: list[_Array | None]) -> _Array | None:
        left, right = _known(values, 0), _known(values, 1)
        aligned = any(node.attribute(name) is not None for name in _OLD_BROADCAST)
        if left.dtype != right.dtype or (aligned and left.shape != right.shape):
            return None  # before opset 7 an attribute says which axes meet
        return np.asarray(function(left, right), left.dtype)

    return rule


def _unary(function: Callable[[_Array], _Array]) -> _Rule:
    def rule(node: Node, values: list[_Array | None]) -> _Array:
        value = _known(values, 0)
        return np.asarray(function(value), value.dtype)

    return rule


def _divide(node: Node, values: list[_Array | None]) -> _Array | None:
    """Integers are divided towards zero; by zero, and -2^63 by -1, nothing is defined."""
    if is_float(_known(values, 0).dtype):
        return _binary(np.divide)(node, values)
    left, right = _known(values, 0), _known(values, 1)
    if not right.all() or (left.dtype.kind == "i" and (left == np.iinfo(left.dtype).min).any()):
        return None
    return _binary(_towards_zero)(node, values)


def _towards_zero(left: _Array, right: _Array) -> _Array:
    if left.dtype.kind == "u":
        return np.asarray(left // right)
    return np.asarray(np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right)))


def _concat(node: Node, values: list[_Array | None]) -> _Array | None:
    parts = [_known(values, position) for position in range(len(values))]
    if len({part.dtype for part in parts}) != 1:
        return None
    return np.concatenate(parts, axis=int(node.number("axis", 1)))  # 1 before opset 4


def _extreme(function: np.ufunc) -> _Rule:
    def rule(node: Node, values: list[_Array | None]) -> _Array | None:
        parts = [_known(values, position) for position in range(len(values))]
        if len({part.dtype for part in parts}) != 1:
            return None
        found = parts[0]
        for part in parts[1:]:
            found = function(found, part)
        return np.asarray(found, parts[0].dtype)

    return rule


def _slice(node: Node, values: list[_Array | None]) -> _Array | None:
    """Take a part along some axes; until opset 9 the bounds are attributes."""
    data = values[0]
    if data is None:
        return None
    given = [None if value is None else value.ravel().tolist() for value in values[1:]]
    if len(values) == 1:
        bounds = [node.integers(name) for name in ("starts", "ends", "axes")]
        given = [None if each is None else list(each) for each in bounds]
    starts, ends, axes, steps = given + [None] * (_SLICED - len(given))
    if starts is None or ends is None:
        return None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    parts = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = data.shape[axis]
        parts[axis % data.ndim] = _part(start, end, step, size)
    return np.ascontiguousarray(data[tuple(parts)])


def _part(start: int, end: int, step: int, size: int) -> slice:
    """Return a slice for Python, whose bounds ONNX clamps after counting from the end."""
    if step == 0:
        raise ValueError("a step of 0 is not defined")
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    if step > 0:
        return slice(min(max(start, 0), size), min(max(end, 0), size), step)
    start, end = min(max(start, 0), size - 1), min(max(end, -1), size - 1)
    return slice(start, None if end < 0 else end, step)


def _gather(node: Node, values: list[_Array | None]) -> _Array | None:
    """Take slices along an axis by number; numbers below 0 count from the end."""
    data, indices = values[0], values[1]
    if data is None or indices is None or indices.dtype.kind not in "iu":
        return None
    return np.asarray(np.take(data, indices, axis=int(node.number("axis", 0)), mode="raise"))


def _split(node: Node, values: list[_Array | None], place: int) -> _Array | None:
    """Return one part along an axis; from opset 13 on the sizes of the parts are an input."""
    data, axis = values[0], int(node.number("axis", 0))
    if data is None:
        return None
    sizes = node.integers("split")
    if len(values) > 1 and values[1] is not None:
        sizes = tuple(int(size) for size in values[1].ravel())
    if sizes is None:
        count = len(node.outputs)
        each = -(-data.shape[axis] // count)
        sizes = (*[each] * (count - 1), data.shape[axis] - each * (count - 1))
    if sum(sizes) != data.shape[axis] or min(sizes) < 0:
        return None
    parts = np.split(data, np.cumsum(sizes)[:-1], axis=axis)
    return np.ascontiguousarray(parts[place])


def _known(values: list[_Array | None], position: int) -> _Array:
    value = values[position]
    if value is None:
        raise ValueError(f"input {position} is left out")
    return value


RULES: dict[str, _Rule] = {
    "Identity": _identity,
    "Dropout": _dropout,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": filled,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Neg": _unary(np.negative),
    "Sqrt": _unary(np.sqrt),
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _divide,
    "Concat": _concat,
    "Max": _extreme(np.maximum),
    "Min": _extreme(np.minimum),
    "Slice": _slice,
    "Gather": _gather,
    SPLIT: lambda node, values: _split(node, values, 0),
}
"""Operator of ONNX's own domain -> rule."""
