"""How large a computed constant would be, before any memory is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MAX_COMPUTED = 2**26
"""Elements that an operator may compute from smaller constants: 256 MB in float32."""

_BROADCASTING = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Where", "Pow", "Equal"}
_MAX_RANK = 64


def outgrows(op: str, values: Sequence[np.ndarray]) -> bool:
    """Tell whether an operator would make a constant larger than its inputs and 2^26 elements.

    Weights of any size may be transposed, cast or scaled; only growth is bounded.

    Args:
        op: ONNX operator that has a rule.
        values: its inputs.

    Example:
        >>> column, row = np.zeros((20_000, 1), bool), np.zeros((1, 20_000), bool)
        >>> outgrows("Add", [column, row]), outgrows("Transpose", [column])
        (True, False)
    """
    made = _elements(op, values)
    # Compared with its inputs as well: a constant as large as the weights in the file is not a
    # bomb.
    return made > MAX_COMPUTED and made > max((value.size for value in values), default=0)


def _elements(op: str, values: Sequence[np.ndarray]) -> int:
    shapes = [value.shape for value in values]
    if op in ("ConstantOfShape", "Expand") and values:
        sizes = values[-1].ravel()
        if sizes.dtype.kind not in "iu":
            return 0
        shapes[-1] = tuple(int(size) for size in sizes[:_MAX_RANK])
        return _broadcast(shapes if op == "Expand" else shapes[-1:])
    if op == "Concat":
        return sum(value.size for value in values)
    if op == "Gather" and values:
        return values[0].size * values[-1].size  # at most: along an axis of one element
    return _broadcast(shapes) if op in _BROADCASTING else 0


def _broadcast(shapes: Sequence[tuple[int, ...]]) -> int:
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return math.prod(max(dims) for dims in zip(*padded, strict=True))
