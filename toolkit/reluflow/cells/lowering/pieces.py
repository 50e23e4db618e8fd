"""The piecewise linear operators, written with max(0, z) and maxima, which are the switches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reluflow.cells.lowering.columns import (
    AFFINE,
    ONE,
    Columns,
    Value,
    plus,
    refuse,
    widened,
    with_columns,
    without_batch,
)
from reluflow.cells.lowering.region import Tracker
from reluflow.cells.lowering.windows import pool_windows
from reluflow.graph import Operation

UPPER = " (upper knee)"
"""Ends the name of the switch that a second knee is."""

_Rule = Callable[[Operation, Sequence[Any], Tracker], Columns]


def apply_pieces(step: Operation, operands: Sequence[Value | None], tracker: Tracker) -> Columns:
    """Run one piecewise linear operator; its switches are noted in the tracker."""
    return PIECES[step.op](step, operands, tracker)


def _input(step: Operation, operands: Sequence[Any]) -> Columns:
    if not isinstance(operands[0], Columns) or any(isinstance(o, Columns) for o in operands[1:]):
        raise refuse(step, "its parameters depend on the input")
    return operands[0]


def _shifted(x: Columns, by: Any) -> Columns:
    array = x.array.copy()
    array[ONE] += by
    return Columns(array)


def _sum(*terms: Columns) -> Columns:
    arrays = widened(list(terms))
    return Columns(np.sum(arrays, axis=0))


def _relu(step: Operation, operands: Sequence[Any], tracker: Tracker) -> Columns:
    return tracker.relu(_input(step, operands), step.name)


def _leaky(step: Operation, operands: Sequence[Any], tracker: Tracker) -> Columns:
    """Slope a below 0: a x + (1 - a) max(0, x)."""
    x = _input(step, operands)
    if step.op == "PRelu":
        slope = without_batch(step, operands[1], x.array.ndim)
    else:
        slope = np.asarray(step.attributes.get("alpha", 0.01), np.float64)
    above = tracker.relu(x, step.name)
    return _sum(Columns(slope * x.array), Columns((1.0 - slope) * above.array))


def _between(step: Operation, x: Columns, low: Any, high: Any, tracker: Tracker) -> Columns:
    """Clip: low + max(0, x - low) - max(0, x - high)."""
    if low is not None and high is not None and low > high:
        raise refuse(step, f"its bounds are {low} and {high}")
    out = x
    if low is not None:
        out = _shifted(tracker.relu(_shifted(x, -low), step.name), low)
    if high is not None:
        name = step.name + UPPER if low is not None else step.name
        over = tracker.relu(_shifted(x, -high), name)
        out = _sum(out, Columns(-over.array))
    return out


def _clip(step: Operation, operands: Sequence[Any], tracker: Tracker) -> Columns:
    given = [*operands[1:], None, None]
    low = given[0] if given[0] is not None else step.attributes.get("min")
    high = given[1] if given[1] is not None else step.attributes.get("max")
    bounds = [None if b is None else float(np.asarray(b).reshape(())) for b in (low, high)]
    largest = float(np.finfo(np.float32).max)
    low, high = (None if b is None or abs(b) >= largest else b for b in bounds)
    return _between(step, _input(step, operands), low, high, tracker)


def _hard_sigmoid(step: Operation, operands: Sequence[Any], tracker: Tracker) -> Columns:
    given: Any = step.attributes
    x = _input(step, operands)
    inner = _shifted(Columns(x.array * given.get("alpha", 0.2)), given.get("beta", 0.5))
    return _between(step, inner, 0.0, 1.0, tracker)


def _abs(step: Operation, operands: Sequence[Any], tracker: Tracker) -> Columns:
    x = _input(step, operands)
    return _sum(Columns(2.0 * tracker.relu(x, step.name).array), Columns(-x.array))


def _extreme(step: Operation, operands: Sequence[Any], tracker: Tracker) -> Columns:
    """Max and Min of two: b + max(0, a - b), a - max(0, a - b)."""
    if len(operands) != 2:
        raise refuse(step, f"it compares {len(operands)} tensors, and only two are followed")
    a, b = operands
    if isinstance(a, Columns) and isinstance(b, Columns):
        if a.shape != b.shape:
            raise refuse(step, "it compares tensors of different shapes")
        first, second = widened([a, b])
        gain = tracker.relu(Columns(first - second), step.name)
        low = Columns(second) if step.op == "Max" else Columns(first)
    else:
        x, constant = (a, b) if isinstance(a, Columns) else (b, a)
        c = without_batch(step, constant, x.array.ndim)
        gain = tracker.relu(Columns(plus(x.array, -c)), step.name)
        low = Columns(plus(np.zeros_like(gain.array[:AFFINE]), c)) if step.op == "Max" else x
    return _sum(low, gain if step.op == "Max" else Columns(-gain.array))


def _max_pool(step: Operation, operands: Sequence[Any], tracker: Tracker) -> Columns:
    x = _input(step, operands)
    if len([name for name in step.outputs if name]) > 1:
        raise refuse(step, "it returns positions")
    if step.op == "GlobalMaxPool":
        shape = [x.array.shape[1], *(1,) * (x.array.ndim - 2)]
        n = int(np.prod(x.array.shape[1:]))
        windows = np.arange(n, dtype=np.int64).reshape(shape[0], -1)
    else:
        windows, shape = pool_windows(step, x.array.shape[1:])
    out = tracker.greatest(x.array.reshape(len(x.array), -1), windows, step.name)
    return Columns(out.reshape(len(out), *shape))


def decide_class(outputs: Columns, tracker: Tracker, name: str) -> None:
    """Make the greatest of the outputs a switch: its edges are the boundary between classes."""
    flat = outputs.array.reshape(len(outputs.array), -1)
    n = flat.shape[1]
    tracker.greatest(with_columns(flat, AFFINE + tracker.left), np.arange(n).reshape(1, n), name)


PIECES: dict[str, _Rule] = {
    "Relu": _relu,
    **dict.fromkeys(("LeakyRelu", "PRelu"), _leaky),
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "Abs": _abs,
    **dict.fromkeys(("Max", "Min"), _extreme),
    **dict.fromkeys(("MaxPool", "GlobalMaxPool"), _max_pool),
}
"""Operator -> its rule."""
