"""Operators of a chain that take byte by byte: their exact meaning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.psb.fixed.chain import FixedFormat

CODES = 256
"""Entries of a table: one for each byte."""
_MOST_BYTE = CODES - 1
FINER = 10
"""Octaves below y's format in which a sum is kept."""
MOST_ADD_SHIFT, MOST_MUL_SHIFT, MOST_DOWN = 20, 14, 30
"""Most bits that an operand or a product is shifted by: everything then fits 32 bits."""


def fixed_add(
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    *,
    a_form: FixedFormat,
    b_form: FixedFormat,
    y_form: FixedFormat,
    y_min: int = 0,
    y_max: int = _MOST_BYTE,
    table: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return FixedAdd's output: the sum of two tensors, rounded once, half up.

    Args:
        a: bytes of any shape.
        b: bytes of the same shape.
        a_form: of a.
        b_form: of b.
        y_form: of the output.
        y_min: least byte of the output.
        y_max: largest byte of the output.
        table: `(256,)` bytes, applied to the output; None for none.

    Returns:
        Bytes of that shape.

    Raises:
        DataError: the shapes differ.

    Example:
        >>> a, b = np.array([[40, 255]], np.uint8), np.array([[130, 255]], np.uint8)
        >>> forms = FixedFormat(4, 0), FixedFormat(3, 128), FixedFormat(3, 0)
        >>> fixed_add(a, b, a_form=forms[0], b_form=forms[1], y_form=forms[2]).tolist()
        [[22, 255]]

    Reference: docs/psb-ops.md, chains.
    """
    if a.shape != b.shape:
        raise DataError(f"a has shape {a.shape} and b {b.shape}: give two of one shape.")
    g = y_form.exponent
    unit = min(max(a_form.exponent, b_form.exponent, g), g + FINER)
    total = _in_unit(a, a_form, unit) + _in_unit(b, b_form, unit)
    y = _bytes(y_form.zero + _shifted_down(total, unit - g), y_min, y_max)
    return y if table is None else table[y]


def _in_unit(u: NDArray[np.uint8], form: FixedFormat, unit: int) -> NDArray[np.int64]:
    """Return values in units of 2^-unit."""
    value = u.astype(np.int64) - form.zero
    if form.exponent <= unit:
        return value << min(unit - form.exponent, MOST_ADD_SHIFT)
    return _shifted_down(value, min(form.exponent - unit, MOST_DOWN))


def _shifted_down(value: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Return value 2^-shift, rounded half up."""
    return (value + ((1 << shift) >> 1)) >> shift


def _bytes(y: NDArray[np.int64], low: int, high: int) -> NDArray[np.uint8]:
    return np.clip(y, low, high).astype(np.uint8)


def fixed_mul(
    x: NDArray[np.uint8],
    factors: NDArray[np.uint8],
    *,
    x_form: FixedFormat,
    s_form: FixedFormat,
    y_form: FixedFormat,
    y_min: int = 0,
    y_max: int = _MOST_BYTE,
) -> NDArray[np.uint8]:
    """Return FixedMul's output: the product of two tensors, rounded once, half up.

    Args:
        x: `(N, spatial..., C)` bytes.
        factors: `(N, 1..., C)`, one for each channel, or x's shape.
        x_form: of x.
        s_form: of factors.
        y_form: of the output.
        y_min: least byte of the output.
        y_max: largest byte of the output.

    Returns:
        `(N, spatial..., C)` bytes.

    Raises:
        DataError: factors have neither shape.

    Example:
        >>> x, s = np.array([[[16, 48]]], np.uint8), np.array([[[128, 64]]], np.uint8)
        >>> forms = FixedFormat(4, 0), FixedFormat(8, 0), FixedFormat(4, 128)
        >>> fixed_mul(x, s, x_form=forms[0], s_form=forms[1], y_form=forms[2]).tolist()
        [[[136, 140]]]

    Reference: docs/psb-ops.md, chains.
    """
    ones = (*x.shape[:1], *[1] * (x.ndim - 2), *x.shape[-1:])
    if factors.shape not in (x.shape, ones):
        raise DataError(
            f"factors have shape {factors.shape} and x {x.shape}: give them shape {ones} or x's."
        )
    product = (x.astype(np.int64) - x_form.zero) * (factors.astype(np.int64) - s_form.zero)
    shift = x_form.exponent + s_form.exponent - y_form.exponent
    if shift < 0:
        scaled = product << min(-shift, MOST_MUL_SHIFT)
    else:
        scaled = _shifted_down(product, min(shift, MOST_DOWN))
    return _bytes(y_form.zero + scaled, y_min, y_max)


def fixed_table(x: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return FixedTable's output: the table's entry of every byte.

    Args:
        x: bytes of any shape.
        table: `(256,)` bytes.

    Returns:
        Bytes of x's shape.

    Raises:
        DataError: the table does not have 256 entries.

    Example:
        >>> table = np.arange(255, -1, -1, dtype=np.uint8)
        >>> fixed_table(np.array([[0, 3]], np.uint8), table).tolist()
        [[255, 252]]

    Reference: docs/psb-ops.md, chains.
    """
    if table.shape != (CODES,):
        raise DataError(f"table has shape {table.shape}: give {CODES} bytes, one for each byte.")
    return table[x]


def table_of(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    x_form: FixedFormat,
    y_form: FixedFormat,
) -> NDArray[np.uint8]:
    """Return the table of a function of one number, for FixedTable, FixedAdd and FixedConv.

    Entry u is clamp(round_half_even(function(x) 2^g) + zero, 0, 255) of the value x of byte u; NaN
    becomes the value 0. The identity changes the format.

    Args:
        function: of all 256 values at once, float64.
        x_form: of the bytes that are looked up.
        y_form: of the table's bytes.

    Returns:
        `(256,)` bytes.

    Raises:
        DataError: the function gives another number of values.

    Example:
        >>> sigmoid = lambda x: 1 / (1 + np.exp(-x))
        >>> table = table_of(sigmoid, FixedFormat(4, 128), FixedFormat(8, 0))
        >>> table[[0, 128, 144, 255]].tolist()
        [0, 128, 187, 255]

    Reference: docs/psb-ops.md, chains.
    """
    x = np.ldexp(np.arange(CODES, dtype=np.float64) - x_form.zero, -x_form.exponent)
    y = np.asarray(function(x), np.float64)
    if y.shape != x.shape:
        raise DataError(f"function gives shape {y.shape}: give one that keeps {x.shape}.")
    with np.errstate(over="ignore"):
        scaled = np.nan_to_num(np.ldexp(y, y_form.exponent), nan=0.0)
    scaled = np.rint(np.clip(scaled, -y_form.zero, _MOST_BYTE - y_form.zero))
    return _bytes(scaled.astype(np.int64) + y_form.zero, 0, _MOST_BYTE)
