"""A tensor as a linear function of a few numbers: a column for each, stacked where the batch was.

Columns 0, 1, 2 belong to the plane's coordinates s, t and to 1; each further one to the output of
one unit whose sign is not the same everywhere. A linear operator is run on the columns as on a
batch; what is constant goes to column 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import ModelError
from reluflow.graph import Operation

Floats = NDArray[np.float64]
ONE = 2
"""The column of the constant 1."""
AFFINE = 3
"""Columns that every tensor has: those of s, t and 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A tensor that depends on the input.

    Attributes:
        array: `(n_columns, ...)` float64, the tensor's own axes behind the batch axis.
    """

    array: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape with a batch of one."""
        return (1, *self.array.shape[1:])


Value = Columns | NDArray[np.generic]


def refuse(step: Operation, why: str) -> ModelError:
    """Return the error for an operator that exact cells cannot follow."""
    return ModelError(
        f"node {step.name!r} ({step.op}) has no exact cells: {why}; ask for the cells of sites "
        "before it, or for raster cells."
    )


def attribute(step: Operation, name: str, default: Any) -> Any:
    """Return an attribute of an operator, or its default."""
    return step.attributes.get(name, default)


def given_operands(operands: Sequence[Any], n: int) -> list[Any]:
    """Return n operands: None for those that are left out."""
    return [*operands, *[None] * n][:n]


def widened(values: list[Columns]) -> list[Floats]:
    """Return the arrays with as many columns as the widest: a missing column is 0."""
    most = max(len(value.array) for value in values)
    return [with_columns(value.array, most) for value in values]


def with_columns(array: Floats, n: int) -> Floats:
    """Return an array with zero columns appended up to n."""
    if len(array) == n:
        return array
    more = np.zeros((n, *array.shape[1:]))
    more[: len(array)] = array
    return more


def without_batch(step: Operation, constant: NDArray[np.generic], rank: int) -> Floats:
    """Return a constant operand without its batch axis of length 1."""
    array = np.asarray(constant, np.float64)
    if array.ndim == rank:
        if array.shape[0] != 1:
            raise refuse(step, f"it combines one input with a constant of {len(array)} inputs")
        array = array[0]
    if array.ndim >= rank:
        raise refuse(step, f"its constant has {array.ndim} axes, its input {rank}")
    return array


def plus(array: Floats, constant: Floats) -> Floats:
    """Add a constant, which may be broadcast against the tensor's own axes."""
    shape = np.broadcast_shapes(array.shape[1:], constant.shape)
    out = np.array(np.broadcast_to(_lifted(array, len(shape)), (len(array), *shape)))
    out[ONE] += constant
    return out


def _lifted(array: Floats, rank: int) -> Floats:
    return array.reshape(len(array), *(1,) * (rank + 1 - array.ndim), *array.shape[1:])
