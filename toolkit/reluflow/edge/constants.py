"""Sizes that a model computes: whole numbers of which an edge program keeps the values alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AXES, _STEPS = 3, 4
"""Places of the inputs of Slice that may be left out."""
Values = Sequence[NDArray[Any] | None]
_FOLDED: dict[str, Callable[[Values, Mapping[str, Any]], Any]] = {
    "Identity": lambda x, a: x[0],
    "Cast": lambda x, a: np.asarray(x[0]).astype(a["to"]),
    "Mul": lambda x, a: np.asarray(x[0]) * np.asarray(x[1]),
    "Add": lambda x, a: np.asarray(x[0]) + np.asarray(x[1]),
    "Sub": lambda x, a: np.asarray(x[0]) - np.asarray(x[1]),
    "Div": lambda x, a: np.asarray(x[0]) // np.asarray(x[1]),
    "Gather": lambda x, a: np.take(np.asarray(x[0]), np.asarray(x[1]), int(a.get("axis", 0))),
    "Concat": lambda x, a: np.concatenate([np.asarray(each) for each in x], int(a["axis"])),
    "Unsqueeze": lambda x, a: np.reshape(np.asarray(x[0]), -1),
    "Squeeze": lambda x, a: np.squeeze(np.asarray(x[0])),
    "Slice": lambda x, a: _sliced(x),
}


def fold(op: str, values: Values, attributes: Mapping[str, Any]) -> NDArray[Any] | None:
    """Return the value of an operator of whole numbers of at most one axis, None for any other.

    Args:
        op: its type.
        values: of its inputs, None for one that is left out.
        attributes: of the node.
    """
    if op not in _FOLDED or any(v is not None and not _is_size(v) for v in values):
        return None
    return np.asarray(_FOLDED[op](values, attributes))


def _is_size(value: NDArray[Any]) -> bool:
    return value.ndim <= 1 and bool(np.issubdtype(value.dtype, np.integer))


def _sliced(x: Values) -> NDArray[Any]:
    data, start, end = (np.asarray(each) for each in x[:_AXES])
    given = x[_STEPS] if len(x) > _STEPS else None
    step = 1 if given is None else int(np.asarray(given).reshape(-1)[0])
    found: NDArray[Any] = data[int(start.reshape(-1)[0]) : int(end.reshape(-1)[0]) : step]
    return found
