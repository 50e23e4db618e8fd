"""Round weights to PSB codes so that a layer's outputs, not its weights, change least."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.psb._check import check_p_bits
from reluflow.psb.codec import EMAX_MIN, MAX_J
from reluflow.psb.fixed.grid import GRID_BITS, LARGEST

DAMPING = 0.01
"""Share of the mean second moment added to each: inputs that were never seen apart stay so."""
_BLOCK = 128
"""Columns whose errors are passed on at once to all others: one matrix product, not 128."""
_NUMBERS_AT_ONCE = 2**22
"""Second moments worked on at a time, 32 MB: groups go together up to so many."""


def round_with_feedback(
    weights: NDArray[Any],
    moments: NDArray[np.float64],
    *,
    p_bits: int,
    grid: bool = False,
    damping: float = DAMPING,
) -> NDArray[np.float32]:
    """Return values of PSB codes for a layer's weights, chosen for its outputs.

    Weights are rounded one input after the other, those with the largest second moment first.
    What rounding a weight changes at the output is made up, as well as the inputs' correlations
    allow, by the weights that are still to be rounded: the error E[((w - v) x)^2] of each output
    becomes small, though single weights may be further off than by plain rounding.

    Args:
        weights: `(M, C / group, taps...)` or `(N, K)` float, output channels first.
        moments: `(groups, K, K)` float64, E[x x^T] of a group's K = C / group * taps inputs in
            the order of its weights; one group of outputs after the other.
        p_bits: P, one of 1, 2, 3, 4, 6, 8, 16.
        grid: only codes that lie on the 8-bit grid of their channel, which nearest mode there,
            and any draw of 2^P samples, multiply by as they are.
        damping: share of the mean second moment that is added to each.

    Returns:
        float32 in the shape of `weights`; `encode` with the same `p_bits` keeps every value.

    Raises:
        OptionError: `moments` do not fit, are not finite, or an option is not accepted.

    Example:
        >>> x = np.array([[1.0, 1.0], [1.0, 0.9]])
        >>> w = np.array([[1.3, 1.3]])
        >>> round_with_feedback(w, (x.T @ x)[None] / 2, p_bits=1).tolist()
        [[1.5, 1.0]]

    Reference: Frantar et al., GPTQ (2022), algorithm 1; docs/psb-ops.md, weight code.
    """
    check_p_bits(p_bits)
    w = np.asarray(weights, np.float64)
    groups, k = moments.shape[0], math.prod(w.shape[1:])
    if moments.shape != (groups, k, k) or not groups or len(w) % groups:
        raise OptionError(
            f"moments have shape {moments.shape}: give (groups, {k}, {k}) for weights {w.shape}, "
            f"with groups that divide {len(w)}."
        )
    if not np.isfinite(moments).all():
        raise OptionError("moments hold NaN or infinite values; give finite inputs.")
    rows = w.reshape(groups, len(w) // groups, k)
    # groups that fill little memory go together: depthwise layers have hundreds of them
    most = max(1, _NUMBERS_AT_ONCE // k**2)
    done = [
        _round_groups(
            rows[start : start + most], moments[start : start + most], p_bits, grid, damping
        )
        for start in range(0, groups, most)
    ]
    return np.concatenate(done).reshape(w.shape).astype(np.float32)


def _round_groups(
    w: NDArray[np.float64], moments: NDArray[np.float64], p_bits: int, grid: bool, damping: float
) -> NDArray[np.float64]:
    """Return the rounded `(groups, outputs, k)` weights of some groups."""
    order = np.argsort(-np.diagonal(moments, axis1=1, axis2=2), axis=1, kind="stable")
    left = np.take_along_axis(w, order[:, None], axis=2)
    turned = np.take_along_axis(moments, order[:, :, None], axis=1)
    passes = _passes_on(np.take_along_axis(turned, order[:, None], axis=2), damping)
    emax = _emax(w)
    k = w.shape[2]
    rounded = np.empty_like(left)
    for start in range(0, k, _BLOCK):
        end = min(start + _BLOCK, k)
        errors = np.empty((*w.shape[:2], end - start))
        for i in range(start, end):
            rounded[..., i] = _round(left[..., i], emax, p_bits, grid)
            error = (left[..., i] - rounded[..., i]) / passes[:, i, i, None]
            errors[..., i - start] = error
            left[..., i + 1 : end] -= error[..., None] * passes[:, None, i, i + 1 : end]
        left[..., end:] -= errors @ passes[:, start:end, end:]
    back = np.empty_like(rounded)
    np.put_along_axis(back, order[:, None], rounded, axis=2)
    return back


def _passes_on(moments: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """Return the upper triangles U with U^T U the inverse of the damped second moments.

    Row i tells how the error of weight i is passed on to the weights behind it.
    """
    damped = moments.copy()
    diagonal = np.einsum("gii->gi", damped)
    diagonal += damping * diagonal.mean(axis=1, keepdims=True)
    diagonal[diagonal <= 0] = 1.0  # inputs that are always 0: any value will do
    inverse = np.linalg.inv(damped)
    lower = np.linalg.cholesky((inverse + inverse.swapaxes(1, 2)) / 2)
    upper: NDArray[np.float64] = lower.swapaxes(1, 2).astype(np.float64)
    return upper


def _emax(w: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the exponent of each output's largest weight, 0 where all are 0."""
    largest = np.abs(w).max(axis=2)
    e = np.frexp(largest)[1].astype(np.int64) - 1
    return np.where(largest == 0, 0, np.maximum(e, EMAX_MIN))


def _round(
    v: NDArray[np.float64], emax: NDArray[np.int64], p_bits: int, grid: bool
) -> NDArray[np.float64]:
    """Return the nearest code's value of one weight per output, or the grid's next to that."""
    full = 1 << p_bits
    top = np.ldexp(2.0 - 1.0 / full, emax)
    size = np.minimum(np.abs(v), top)
    e = np.frexp(size)[1].astype(np.int64) - 1
    coded = np.minimum(np.ldexp(np.rint(np.ldexp(size, p_bits - e)), e - p_bits), top)
    coded = np.where((size == 0) | (emax - e > MAX_J), 0.0, coded)
    if grid:
        # Whole numbers below 128 are codes: they have no more bits than the code they are next to.
        steps = np.minimum(np.floor(np.ldexp(coded, GRID_BITS - emax) + 0.5), LARGEST)
        coded = np.ldexp(steps, emax - GRID_BITS)
    return np.sign(v) * coded
