"""The rate at which a sample changes its pattern, from one derivative (docs/spec.md, section 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluflow.errors import DataError


def crossing_rates(before: ArrayLike, slope: ArrayLike) -> NDArray[np.float64]:
    """Return the least rate at which each sample changes its pattern, to first order.

    Unit i with the pre-activation c_i and the derivative g_i along a step of rate eta is at
    c_i + eta g_i, and switches at eta_i = -c_i / g_i. The pattern changes with the first of them.

    Args:
        before: `(rows, units)` or `(rows, units, pixels)` pre-activations less the threshold; a
            unit is on above 0.
        slope: their derivatives by the rate, same shape; or their change over one step, divided by
            its rate.

    Returns:
        `(rows * pixels,)` rates; infinite where no unit ever switches. 0 where a unit is at the
        threshold and moves up. NaN counts as a unit that does not switch, and so does an
            infinite pre-activation.

    Raises:
        DataError: the shapes differ or have fewer than two axes.

    Example:
        >>> crossing_rates([[1.0, -2.0], [3.0, -1.0]], [[-2.0, 1.0], [1.0, 0.0]]).tolist()
        [0.5, inf]

    Source: docs/spec.md, section 5, out of the proof of Theorem 1 (thesis 3.2.2).
    """
    c, g = np.asarray(before, np.float64), np.asarray(slope, np.float64)
    if c.shape != g.shape or c.ndim < 2:
        raise DataError(
            f"before has the shape {c.shape} and slope {g.shape}; give both as (rows, units) or "
            "(rows, units, pixels)."
        )
    switches = ((c > 0) & (g < 0)) | ((c <= 0) & (g > 0))
    rates = np.full(c.shape, np.inf)
    with np.errstate(invalid="ignore"):  # infinity by infinity says nothing
        np.divide(-c, g, out=rates, where=switches)
    np.copyto(rates, np.inf, where=np.isnan(rates))
    # Without the sign of -0.0, where a unit is at the threshold.
    first: NDArray[np.float64] = np.abs(rates.min(axis=1, initial=np.inf)).reshape(-1)
    return first
