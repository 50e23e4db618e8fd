"""The window cut into regions of few open units, each handed to a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.cells.kernels.descend import descend as _descend
from reluflow.cells.kernels.polygon import area, cut, signs
from reluflow.cells.lowering.region import Lines
from reluflow.cells.lowering.walk import Walker
from reluflow.errors import ModelError

Floats = NDArray[np.float64]
MOST_GROUPS = 512
"""Open units beyond which a region is cut first."""
MOST_OPEN = 8192
"""Open units of a region that cannot be cut, at most: their bounds take the square of it."""
LINES, ALONE = 32, 128
"""A region is crossed by at most this many lines of the units that are open first; by more where no
switch follows, which bounds over a larger region would leave open in vain."""
BORDERS = (-1, -2, -3, -4)
"""Labels of the window's edges: bottom, right, top, left."""


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A convex polygon: `(n,)` coordinates counter-clockwise, and the label of each edge.

    `near` counts the values that the tolerance made 0 when it was cut.
    """

    x: Floats
    y: Floats
    edges: NDArray[np.int64]
    near: int = 0

    @property
    def corners(self) -> Floats:
        """Return `(n, 2)`."""
        return np.column_stack([self.x, self.y])

    @property
    def area(self) -> float:
        """Return the area."""
        return float(area(self.x, self.y, len(self.x)))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The cells of one region, in coordinates within [-1, 1].

    Attributes:
        count: number of cells.
        area: sum of their areas.
        sizes: `(count,)` corners of each; empty, like what follows, unless cells are kept.
        points: `(n, 2)` all corners.
        edges: `(n,)` label of the edge from each corner on.
        areas: `(count,)`.
        keys: `(count, n_switches, 2)` uint64.
        maps: `(count, n_outputs, 3)`.
        near: values at corners that the tolerance made 0.
    """

    count: int
    area: float
    sizes: NDArray[np.int64]
    points: Floats
    edges: NDArray[np.int64]
    areas: Floats
    keys: NDArray[np.uint64]
    maps: Floats
    near: int


def whole_window() -> Polygon:
    """Return the square [-1, 1]^2."""
    x, y = np.array([-1.0, 1.0, 1.0, -1.0]), np.array([-1.0, -1.0, 1.0, 1.0])
    return Polygon(x, y, np.array(BORDERS, np.int64))


def find_cells(
    walker: Walker, *, store: bool, threads: int, most: int, lines: int | None = None
) -> Iterator[Found]:
    """Yield the cells of a window, region by region, in an order that does not depend on threads.

    Args:
        walker: of the network and the plane.
        store: keep polygons, keys and maps, not only numbers.
        threads: regions handled at once.
        most: cells of one region beyond which its count is -1.
        lines: as `LINES`, which it is by default.
    """
    lines = lines or (LINES if walker.is_deep else ALONE)

    def work(polygon: Polygon) -> list[Found]:
        return list(_descended(walker, polygon, store, most, lines))

    start = whole_window()
    walk = walker.walk(start.corners, 0)
    pieces = [start]
    if walk.region is None and walk.tracker.lines is not None:
        pieces = pieces_of(start, walk.tracker.lines, lines)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[list[Found]]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _descended(
    walker: Walker, polygon: Polygon, store: bool, most: int, lines: int
) -> Iterator[Found]:
    walk = walker.walk(polygon.corners, MOST_GROUPS, polygon.edges)
    if walk.region is None:
        first = walk.tracker.lines
        pieces = [polygon] if first is None else pieces_of(polygon, first, max(lines // 2, 2))
        if len(pieces) > 1:
            for piece in pieces:
                yield from _descended(walker, piece, store, most, max(lines // 2, 2))
            return
        walk = walker.walk(polygon.corners, MOST_OPEN, polygon.edges)
    if walk.region is None:
        raise ModelError(
            f"there are no exact cells: more than {MOST_OPEN:,} units change their sign on a piece "
            "of the window that no line of the first ones crosses, or more than fit into "
            "gigabytes; look at a smaller window, or ask for raster cells."
        )
    region = walk.region
    descend: Any = _descend
    x, y, edges = polygon.x, polygon.y, polygon.edges
    found = Found(
        *descend(region.tables, x, y, edges, region.keys, region.outputs, int(store), most)
    )
    yield replace(found, near=found.near + walk.tracker.near + polygon.near)


def pieces_of(polygon: Polygon, lines: Lines, most: int) -> list[Polygon]:
    """Cut a polygon along lines until at most so many cross each piece, and return the pieces."""
    done: list[Polygon] = []
    stack = [(polygon, np.arange(len(lines.maps)))]
    while stack:
        piece, candidates = stack.pop()
        maps = lines.maps[candidates]
        values = np.column_stack([piece.corners, np.ones(len(piece.x))]) @ maps.T
        tolerance = lines.least[candidates]
        crossing = (values > tolerance).any(axis=0) & (values < -tolerance).any(axis=0)
        if crossing.sum() <= most:
            done.append(piece)
            continue
        left = candidates[crossing]
        distance = np.abs(values[:, crossing].mean(axis=0)) / np.hypot(*maps[crossing, :2].T)
        chosen = int(np.argmin(distance))
        halves = halved(piece, lines.maps[left[chosen]], lines, int(left[chosen]))
        rest = np.delete(left, chosen)
        stack.extend((half, rest) for half in halves)
    return done


def halved(polygon: Polygon, map_: Floats, lines: Lines, number: int) -> list[Polygon]:
    """Cut a polygon along one line that crosses it."""
    n = len(polygon.x)
    values = np.empty(n)
    a, b, c = map_
    near = np.zeros(1, np.int64)
    signs(a, b, c, lines.least[number], polygon.x, polygon.y, n, values, near)
    held = polygon.near + int(near[0])
    parts = []
    for sign in (1.0, -1.0):
        x, y, edges = np.empty(n + 1), np.empty(n + 1), np.empty(n + 1, np.int64)
        label = lines.labels[number]
        m = cut(polygon.x, polygon.y, polygon.edges, n, values, sign, label, x, y, edges)
        parts.append(Polygon(x[:m].copy(), y[:m].copy(), edges[:m].copy(), held))
        held = 0
    return parts
