"""Regions through a relation of pixels: as a few strided slices where it is regular."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
_MOST = 24
"""Slices of an axis from which on a sparse product is no slower."""


class AxisRelation:
    """Which pixels along one axis read which others, ready to carry masks.

    The taps of a window, of a pooling or of a Resize are arithmetic sequences: pixels of the one
    side, 1 or s apart, read pixels of the other side, s or 1 apart. Masks are then carried by
    slices, one for each tap; what is irregular is carried by a sparse product.

    Args:
        matrix: `(target pixels, source pixels)`, sparse, 0-1.

    Example:
        >>> from scipy.sparse import csr_array
        >>> pairs = AxisRelation(csr_array(np.array([[1, 1, 0, 0], [0, 0, 1, 1]])))
        >>> pairs.carried(np.array([True, False]), 0, back=True).tolist()
        [True, True, False, False]
        >>> pairs.carried(np.array([False, False, False, True]), 0, back=False).tolist()
        [False, True]
    """

    def __init__(self, matrix: Any) -> None:
        self._n_target, self._n_source = matrix.shape
        self._all = matrix.nnz == self._n_target * self._n_source
        self._matrix = matrix.astype(np.int32)
        self._slices = [] if self._all else _slices(matrix)

    @property
    def key(self) -> Hashable:
        """What is equal for relations that are known to be."""
        shape = self._n_target, self._n_source, self._all
        if self._slices is None:
            return *shape, id(self)
        ends = [(t.start, t.stop, t.step, s.start, s.stop, s.step) for t, s in self._slices]
        return *shape, tuple(ends)

    def carried(self, mask: Mask, axis: int, *, back: bool) -> Mask:
        """Carry a mask along one axis.

        Args:
            mask: bool, any shape; pixels of the target along `axis` if `back`, else of the source.
            axis: that is carried.
            back: to the pixels that are read; otherwise to those that read.

        Returns:
            bool, with the pixels of the other side along `axis`.
        """
        n = self._n_source if back else self._n_target
        shape = (*mask.shape[:axis], n, *mask.shape[axis + 1 :])
        if self._all:
            return np.broadcast_to(mask.any(axis=axis, keepdims=True), shape)
        if self._slices is None:
            return self._multiplied(mask, axis, back)
        found = np.zeros(shape, bool)
        before = (slice(None),) * axis
        for target, source in self._slices:
            given, made = (target, source) if back else (source, target)
            found[(*before, made)] |= mask[(*before, given)]
        return found

    def _multiplied(self, mask: Mask, axis: int, back: bool) -> Mask:
        ahead = np.moveaxis(mask, axis, 0)
        flat = ahead.reshape(len(ahead), -1).astype(np.int32)
        product = ((self._matrix.T if back else self._matrix) @ flat) > 0
        return np.moveaxis(product.reshape(-1, *ahead.shape[1:]), 0, axis)


def carried(relations: Sequence[AxisRelation], mask: Mask, *, back: bool, first: int = 0) -> Mask:
    """Carry a mask along all axes of pixels.

    Args:
        relations: one for each axis.
        mask: bool.
        back: to the pixels that are read; otherwise to those that read.
        first: axis of the mask that is the first with pixels.

    Returns:
        bool, in C order.
    """
    found = mask
    # rows last: their slices are contiguous, and most masks grow on the way to what is read
    for axis, relation in reversed(list(enumerate(relations, first))):
        found = relation.carried(found, axis, back=back)
    return np.ascontiguousarray(found)


def _slices(matrix: Any) -> list[tuple[slice, slice]] | None:
    """Return slices of both sides that cover all pairs, None where they would be too many."""
    targets, sources = (each.astype(np.int64) for each in matrix.nonzero())
    n_target, n_source = matrix.shape
    if not len(targets):
        return []
    if n_source >= n_target:
        return _sequences(targets, sources, max(1, round(n_source / n_target)))
    found = _sequences(sources, targets, round(n_target / n_source))
    return None if found is None else [(target, source) for source, target in found]


def _sequences(
    near: NDArray[np.int64], far: NDArray[np.int64], step: int
) -> list[tuple[slice, slice]] | None:
    """Return slices of places i and step i + c, one or more for each c."""
    order = np.lexsort((near, far - step * near))
    near, far = near[order], far[order]
    apart = far - step * near
    breaks = np.flatnonzero((np.diff(apart) != 0) | (np.diff(near) != 1)) + 1
    if len(breaks) >= _MOST:
        return None
    starts, ends = [0, *breaks], [*breaks, len(near)]
    return [
        (slice(int(near[a]), int(near[b - 1]) + 1), slice(int(far[a]), int(far[b - 1]) + 1, step))
        for a, b in zip(starts, ends, strict=True)
    ]
