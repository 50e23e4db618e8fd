"""Which blocks of a picture are computed again because the network is unsure there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.region import changed_region
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.tiles.lattice import Lattice
from reluflow.attention.video.changes import move
from reluflow.graph import SpatialGraph

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Told(Protocol):
    """What tells how unsure each pixel is, such as `reluflow.attention.open_map` returns."""

    tensor: str

    def read(self, values: Array, inputs: Mapping[str, Array] | None = None) -> Floats:
        """Return `(n, pixels...)` from the values of `tensor`."""


class UnsureBlocks:
    """Keeps which blocks are stale, and how unsure the kept answers are of each.

    A block is stale where pixels changed within its receptive field since it was computed: what is
    kept of it may differ from a dense pass. One that is not stale is left as it is, so that a still
    picture comes to rest.

    Args:
        told: reads the uncertainties from a tensor of the model.
        options: which of the stale blocks count as unsure.
        patience: frames that a block waits after it was computed.
        side: pixels along each axis of a block.
        sizes: pixels of the picture along each axis.
        reach: of `reach_of`.
    """

    def __init__(
        self,
        told: Told,
        options: RegionOptions,
        patience: int,
        side: int,
        sizes: tuple[int, ...],
        reach: tuple[int, ...],
    ) -> None:
        self.told = told
        self._options, self._patience = options, patience
        self._side, self._sizes = side, sizes
        self._reach = tuple(-(-pixels // side) for pixels in reach)
        shape = tuple(-(-size // side) for size in sizes)
        self._stale, self._age = np.zeros(shape, bool), np.zeros(shape, np.int64)
        self._unsure: Floats = np.zeros(shape)

    def changed(self, blocks: Mask) -> None:
        """Note a new frame.

        Args:
            blocks: that hold a changed pixel; what reads them is stale.
        """
        self._age += 1
        self._stale |= self._reached(blocks)

    def moved(self, pixels: tuple[int, ...], uncovered: Mask) -> None:
        """Note that the kept values moved with the picture.

        Args:
            pixels: by which they moved, along each axis.
            uncovered: blocks that came into the picture or to its border.
        """
        if any(by % self._side for by in pixels):
            self._stale[...], self._age[...] = True, self._patience
            return
        by = [each // self._side for each in pixels]
        for kept in (self._stale, self._age, self._unsure):
            move(kept, range(kept.ndim), by)
        self._stale |= self._reached(uncovered)

    def choose(self, counted: Mask, number: int) -> Mask:
        """Return the blocks that are computed because the network is unsure.

        Args:
            counted: blocks that are computed anyway, and not chosen among.
            number: of the frame, so that random blocks differ.
        """
        ready = self._stale & (self._age >= self._patience) & ~counted
        if not ready.any():
            return ready
        known = np.where(ready, self._unsure, -np.inf)
        unsure = replace(self._options, random=None).choose(known) & ready
        if self._options.random is None:
            return unsure
        drawn = np.random.default_rng([self._options.random, number])
        found = np.zeros(ready.shape, bool)
        found.flat[drawn.choice(np.flatnonzero(ready), int(unsure.sum()), replace=False)] = True
        return found

    def computed(self, blocks: Mask | None) -> None:
        """Note which blocks were computed; None: all."""
        fresh = ... if blocks is None else blocks
        self._stale[fresh], self._age[fresh] = False, 0

    def look(self, values: Array, inputs: Mapping[str, Array]) -> None:
        """Read how unsure each block is of what was computed.

        Args:
            values: of the tensor that tells it, `(1, ...)`.
            inputs: scalars that the run was given, such as samples and seed.

        Raises:
            DataError: nothing tells how unsure the network is.
        """
        found = np.asarray(self.told.read(values, inputs), np.float64)[0]
        self._unsure = mean_of_blocks(found, self._sizes, self._side)

    def _reached(self, blocks: Mask) -> Mask:
        """Return the blocks within reach of some, along each axis."""
        found = blocks
        for axis, by in enumerate(self._reach):
            rows = np.moveaxis(found, axis, 0)
            n, at = len(rows), np.arange(len(rows))
            none = np.zeros((1, *rows.shape[1:]), np.int64)
            before = np.concatenate([none, rows.cumsum(axis=0)])
            grown = before[np.minimum(at + by + 1, n)] > before[np.maximum(at - by, 0)]
            found = np.moveaxis(grown, 0, axis)
        return np.asarray(found)


def mean_of_blocks(values: Floats, sizes: tuple[int, ...], side: int) -> Floats:
    """Return the mean of a map's pixels that overlap each block of a picture.

    Args:
        values: `(pixels...)` of a map; with other axes than the picture its mean counts
            everywhere.
        sizes: pixels of the picture along each axis.
        side: pixels along each axis of a block.

    Example:
        >>> mean_of_blocks(np.array([0.0, 3.0, 1.0]), (12,), 4).tolist()
        [0.0, 3.0, 1.0]
        >>> mean_of_blocks(np.array([0.0, 3.0]), (12,), 4).tolist()
        [0.0, 1.5, 3.0]
    """
    if values.ndim != len(sizes):
        return np.full([-(-size // side) for size in sizes], values.mean())
    found = values
    for axis, size in enumerate(sizes):
        n, rows = values.shape[axis], np.moveaxis(found, axis, 0)
        begins = np.arange(0, size, side)
        first = begins * n // size
        last = -(-np.minimum(begins + side, size) * n // size)  # exclusive, beyond the first
        padded = np.concatenate([rows, np.zeros_like(rows[:1])])
        sums = np.add.reduceat(padded, np.stack([first, last], axis=1).reshape(-1))[::2]
        counts = (last - first).reshape(-1, *[1] * (sums.ndim - 1))
        found = np.moveaxis(sums / counts, 0, axis)
    return found


def reach_of(graph: SpatialGraph, picture: str, lattice: Lattice | None) -> tuple[int, ...]:
    """Return how far a pixel of the picture reaches in any tensor, in the picture's pixels.

    Args:
        graph: of the model.
        picture: name of its input.
        lattice: how tensors move with the picture; None: what one pixel reaches does not tell what
            another does, so it is the whole picture.
    """
    sizes = graph.sizes[picture]
    if lattice is None:
        return sizes
    # what holds for one cell of the lattice holds for every one
    begin = [n // unit // 2 * unit for n, unit in zip(sizes, lattice.unit, strict=True)]
    end = [min(at + unit, n) for at, unit, n in zip(begin, lattice.unit, sizes, strict=True)]
    cell = np.zeros(sizes, bool)
    cell[tuple(slice(*each) for each in zip(begin, end, strict=True))] = True
    region = changed_region(graph, picture, cell)
    found = list(lattice.unit)
    for tensor, mask in region.masks.items():
        if mask.ndim != len(sizes):
            return sizes
        for axis, size in enumerate(sizes):
            others = tuple(at for at in range(mask.ndim) if at != axis)
            places, n = np.flatnonzero(mask.any(axis=others)), graph.sizes[tensor][axis]
            if places[0] == 0 or places[-1] == n - 1:
                found[axis] = size  # it may reach beyond this picture
                continue
            low, high = int(places[0]) * size // n, -(-(int(places[-1]) + 1) * size // n)
            beyond = max(begin[axis] - low, high - end[axis]) + lattice.unit[axis]
            found[axis] = max(found[axis], beyond)
    return tuple(found)
