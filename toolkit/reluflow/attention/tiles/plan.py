"""Which crops of a picture give which parts of the outputs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.tiles.lattice import Lattice
from reluflow.errors import OptionError
from reluflow.graph import Reads

Span = tuple[int, int]
_CANDIDATES = 24
"""Sizes of crops along an axis among which the cheapest is looked for."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the outputs and the crop that it is computed from.

    Attributes:
        starts: where the crop begins in the first picture along each axis.
        spans: output -> its pixels that are kept, first and last but one, along each axis.
    """

    starts: tuple[int, ...]
    spans: Mapping[str, tuple[Span, ...]]


@dataclass(frozen=True)
class TilePlan:
    """How a picture is run in tiles, as returned by `plan_tiles`.

    Attributes:
        lattice: how tensors move with the picture.
        crop: pixels of every crop along each axis.
        tiles: in the order in which they run.
    """

    lattice: Lattice
    crop: tuple[int, ...]
    tiles: tuple[Tile, ...]

    @property
    def overhead(self) -> float:
        """Pixels of all crops over those of the picture; 1 where nothing is computed twice."""
        return len(self.tiles) * math.prod(self.crop) / math.prod(self.lattice.sizes)


_SOME = 7
"""Cells along an axis by which the pixels are judged that crops have in common."""


class _Axis:
    """What parts of the outputs need along one axis."""

    def __init__(self, lattice: Lattice, axis: int) -> None:
        self.lattice, self.axis = lattice, axis
        self.size, self.unit = lattice.sizes[axis], lattice.unit[axis]
        self.cells = -(-self.size // self.unit)
        self._known: dict[Span, Span] = {}

    def span(self, output: str, first: int, end: int) -> Span:
        """Return the pixels of an output that belong to some cells."""
        n = self.lattice.graph.sizes[output][self.axis]
        begin = self.lattice.shift(output, self.axis, first * self.unit)
        over = n if end == self.cells else self.lattice.shift(output, self.axis, end * self.unit)
        return min(begin, n), min(over, n)

    def needs(self, first: int, end: int) -> Span:
        """Return the pixels of the picture that a crop for some cells holds at least.

        The crop begins at a multiple of the unit, and ends where one does from the picture's end.
        """
        if (first, end) not in self._known:
            self._known[first, end] = self._find(first, end)
        return self._known[first, end]

    def _find(self, first: int, end: int) -> Span:
        low, high = [self.size], [0]
        for tensor, wanted in self._wanted(first, end).items():
            places = np.flatnonzero(wanted)
            if places.size:
                ratio = self.lattice.ratios[tensor][self.axis]
                low.append(math.floor(int(places[0]) / ratio / self.unit) * self.unit)
                after = (len(wanted) - int(places[-1]) - 1) / ratio
                high.append(self.size - math.floor(after / self.unit) * self.unit)
        return max(0, min(low)), max(high)

    def _wanted(self, first: int, end: int) -> dict[str, NDArray[np.bool_]]:
        """Return which pixels of each tensor some cells of the outputs need."""
        sizes = self.lattice.graph.sizes
        wanted = {name: np.zeros(size[self.axis], bool) for name, size in sizes.items()}
        for name in self.lattice.outputs:
            wanted[name][slice(*self.span(name, first, end))] = True
        for step in reversed(self.lattice.graph.steps):
            if isinstance(step, Reads) and wanted[step.target].any():
                wanted[step.source] |= step.maps[self.axis].T @ wanted[step.target] > 0
        return wanted

    @cached_property
    def rim(self) -> int:
        """Pixels of a crop beside those of its own cells, at most, by some of them."""
        some = np.linspace(0, self.cells - 1, min(self.cells, _SOME)).astype(int).tolist()
        found = [self.needs(each, each + 1) for each in some]
        return max(end - begin for begin, end in found) - self.unit

    def candidates(self) -> list[int]:
        """Return sizes of crops that could do, the whole picture's among them."""
        least = min(self.size, self.rim + self.unit)
        step = max(1, (self.size - least) // self.unit // _CANDIDATES) * self.unit
        return [*range(self.size, least - 1, -step)]

    def tiles(self, crop: int) -> list[tuple[int, Span]] | None:
        """Return where crops of a size begin, with their cells; None: it is too small."""
        found, first = [], 0
        while first < self.cells:
            end = self._most(first, crop)
            if end == first:
                return None
            begin = min(self.needs(first, end)[0], self.size - crop)
            found.append((begin, (first, end)))
            first = end
        return found

    def _most(self, first: int, crop: int) -> int:
        """Return the end of the longest run of cells that a crop is enough for."""
        low, high = first, self.cells
        while low < high:
            middle = (low + high + 1) // 2
            begin, end = self.needs(first, middle)
            fits = end - min(begin, self.size - crop) <= crop
            low, high = (middle, high) if fits else (low, middle - 1)
        return low


def plan_tiles(lattice: Lattice, most_pixels: int, crop: Sequence[int] | None = None) -> TilePlan:
    """Choose the crops that together have the fewest pixels, each of them a limited number.

    Args:
        lattice: of `find_lattice`.
        most_pixels: of a crop of the first picture.
        crop: pixels along each axis; rounded to what fits the lattice. None: chosen.

    Raises:
        OptionError: the limit or the crop is too small for a single unit of the output.
    """
    axes = [_Axis(lattice, at) for at in range(len(lattice.sizes))]
    if crop is None:
        sizes = _cheapest(axes, most_pixels)
    else:
        sizes = _rounded(axes, crop)
    along = [axis.tiles(size) for axis, size in zip(axes, sizes, strict=True)]
    if None in along:
        least = [min(axis.candidates()) for axis in axes]
        raise OptionError(
            f"a crop of {list(sizes)} pixels is too small for this model, whose windows reach over "
            f"many; give at least {least}."
        )
    kept = [each for each in along if each is not None]
    tiles = tuple(_tile(lattice, axes, chosen) for chosen in itertools.product(*kept))
    return TilePlan(lattice, tuple(sizes), tiles)


def _tile(lattice: Lattice, axes: list[_Axis], chosen: Sequence[tuple[int, Span]]) -> Tile:
    spans = {
        name: tuple(axis.span(name, *cells) for axis, (_, cells) in zip(axes, chosen, strict=True))
        for name in lattice.outputs
    }
    return Tile(tuple(begin for begin, _ in chosen), spans)


def _cheapest(axes: list[_Axis], most_pixels: int) -> tuple[int, ...]:
    """Return the crop with which the fewest pixels are computed, by the usual rim of one."""
    best, cost = None, math.inf
    for sizes in itertools.product(*(axis.candidates() for axis in axes)):
        if math.prod(sizes) > most_pixels:
            continue
        counts = (_count(axis, size) for axis, size in zip(axes, sizes, strict=True))
        total = math.prod(sizes) * math.prod(counts)
        if total < cost:
            best, cost = sizes, total
    if best is None:
        least = math.prod(min(axis.candidates()) for axis in axes)
        raise OptionError(
            f"the memory limit allows crops of {most_pixels} pixels, but the windows of this model "
            f"need {least}; give {least / max(most_pixels, 1):.1f} times as much."
        )
    return best


def _count(axis: _Axis, crop: int) -> int:
    return 1 if crop >= axis.size else -(-(axis.size - axis.rim) // (crop - axis.rim))


def _rounded(axes: list[_Axis], crop: Sequence[int]) -> tuple[int, ...]:
    if len(crop) != len(axes) or min(crop, default=0) < 1:
        raise OptionError(
            f"crop is {list(crop)}, but the picture has {len(axes)} axes of pixels; give a "
            "positive number for each."
        )
    return tuple(
        axis.size - max(0, (axis.size - size) // axis.unit) * axis.unit
        for axis, size in zip(axes, crop, strict=True)
    )
