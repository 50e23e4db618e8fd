"""Magnitude pruning: which weights to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.psb._check import check_choice


def magnitude_mask(
    arrays: Sequence[NDArray[Any]], share: float, scope: str = "tensor"
) -> list[NDArray[np.bool_]]:
    """Return a mask for each array: True keeps a weight, False marks one closest to zero.

    Exactly round(share * size) weights are marked; among equal magnitudes the first ones.

    Args:
        arrays: weight tensors, any shapes.
        share: fraction of the weights to remove, in [0, 1).
        scope: "tensor" removes the share of each array, "global" of all of them together.

    Returns:
        Boolean arrays shaped like the given ones, in the same order.

    Raises:
        OptionError: an option is not accepted, or a weight is NaN.

    Example:
        >>> magnitude_mask([np.array([3.0, -1.0, 2.0, 0.5])], 0.5)[0].tolist()
        [True, False, True, False]

    Reference: thesis 4.2.4; docs/spec.md, section 7.
    """
    check_choice("scope", scope, ("tensor", "global"))
    if not 0 <= share < 1:
        raise OptionError(f"share={share!r} is out of range: give a fraction, 0 <= share < 1.")
    if any(np.isnan(array).any() for array in arrays):
        raise OptionError("arrays hold NaN weights: mend or remove them before pruning.")
    flat = [np.abs(array).reshape(-1) for array in arrays]
    if scope == "tensor":
        kept = [_keep(magnitudes, share) for magnitudes in flat]
    else:
        joined = _keep(np.concatenate(flat), share) if flat else np.empty(0, np.bool_)
        kept = np.split(joined, np.cumsum([m.size for m in flat])[:-1]) if flat else []
    return [mask.reshape(array.shape) for mask, array in zip(kept, arrays, strict=True)]


def _keep(magnitudes: NDArray[Any], share: float) -> NDArray[np.bool_]:
    """Return False for the `round(share * size)` smallest, the first ones among equals."""
    count = round(share * magnitudes.size)
    if count == 0:
        return np.ones(magnitudes.size, np.bool_)
    limit = np.partition(magnitudes, count - 1)[count - 1]
    keep: NDArray[np.bool_] = magnitudes > limit
    ties = np.flatnonzero(magnitudes == limit)
    keep[ties[count - int(np.count_nonzero(magnitudes < limit)) :]] = True
    return keep
