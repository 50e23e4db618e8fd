"""What exporters compute of shapes and constants, evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.cells.lowering.columns import attribute, given_operands, refuse
from reluflow.graph import Operation


def fold(step: Operation, operands: Sequence[Any]) -> NDArray[Any]:
    """Return the result of an operator all of whose operands are constant."""
    rule = _RULES.get(step.op)
    if rule is None:
        raise refuse(step, "it computes a constant in a way that is not followed")
    return np.asarray(rule(step, operands))


def _axes(step: Operation, operands: Sequence[Any]) -> tuple[int, ...]:
    given: Any = operands[1] if len(operands) > 1 else step.attributes.get("axes", ())
    return tuple(int(axis) for axis in np.atleast_1d(given))


def _gather(step: Operation, operands: Sequence[Any]) -> Any:
    return np.take(operands[0], operands[1], axis=int(attribute(step, "axis", 0)))


def _concat(step: Operation, operands: Sequence[Any]) -> Any:
    return np.concatenate(list(operands), int(attribute(step, "axis", 0)))


def _squeeze(step: Operation, operands: Sequence[Any]) -> Any:
    return np.squeeze(operands[0], _axes(step, operands) or None)


def _slice(step: Operation, operands: Sequence[Any]) -> Any:
    array, starts, ends, axes, steps = given_operands(operands, 5)
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    at = [slice(None)] * array.ndim
    for axis, start, end, by in zip(axes, starts, ends, steps, strict=True):
        at[int(axis)] = slice(int(start), int(end), int(by))
    return array[tuple(at)]


_RULES: dict[str, Callable[[Operation, Sequence[Any]], Any]] = {
    "Add": lambda _, o: o[0] + o[1],
    "Sub": lambda _, o: o[0] - o[1],
    "Mul": lambda _, o: o[0] * o[1],
    "Div": lambda _, o: o[0] // o[1] if np.issubdtype(o[0].dtype, np.integer) else o[0] / o[1],
    "Neg": lambda _, o: -o[0],
    "Sqrt": lambda _, o: np.sqrt(o[0]),
    "Identity": lambda _, o: o[0],
    "Cast": lambda s, o: o[0].astype(str(s.attributes["to"])),
    "Floor": lambda _, o: np.floor(o[0]),
    "Gather": _gather,
    "Concat": _concat,
    "Squeeze": _squeeze,
    "Unsqueeze": lambda s, o: np.expand_dims(o[0], _axes(s, o)),
    "Slice": _slice,
    "Shape": lambda _, o: np.asarray(o[0].shape, np.int64),
    "Transpose": lambda s, o: np.transpose(o[0], attribute(s, "perm", None)),
    "Reshape": lambda _, o: np.reshape(o[0], [int(n) for n in o[1]]),
    "Flatten": lambda _, o: np.reshape(o[0], (len(o[0]), -1)),
    "ConstantOfShape": lambda s, o: np.full(
        [int(n) for n in o[0]], np.asarray(s.attributes.get("value", 0.0)).reshape(-1)[0]
    ),
}
