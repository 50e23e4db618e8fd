"""Exact cells: the polygons of a plane on which a piecewise linear network is affine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.cells.lowering.pieces import UPPER
from reluflow.cells.lowering.region import Switch
from reluflow.cells.lowering.walk import Walker, cut_network
from reluflow.cells.plane import Floats, Plane
from reluflow.cells.regions import Found, find_cells, whole_window
from reluflow.errors import ModelError, OptionError
from reluflow.graph import Model, read_program
from reluflow.progress import Progress

MOST_CELLS = 2_000_000
"""Cells that are kept at most, unless more are asked for."""

_STAGE, _PARTS = "cutting the window", 100
"""Progress is told in hundredths of the window's area."""


class TooManyCellsError(OptionError):
    """The window has more cells than may be kept.

    Example:
        >>> from reluflow.cells import random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> exact_cells(load("models/fashion_resnet8.onnx"), plane, most=3)
        Traceback (most recent call last):
        reluflow.cells.exact.TooManyCellsError: the window has more than 3 cells; look at ...
    """


@dataclass(frozen=True, slots=True)
class Counted:
    """The number of exact cells, as `count_cells` returns it.

    Attributes:
        cells: distinct patterns of all switches together; each is one convex polygon.
        area: sum of their areas, in units of u times v.
        near: as in `ExactCells`.
    """

    cells: int
    area: float
    near: int


@dataclass(frozen=True, slots=True, eq=False)
class ExactCells:
    """The exact cells of a window, as `exact_cells` returns them.

    Two cells differ in at least one switch. Each is convex.

    Attributes:
        plane: the plane and its window.
        switches: names of the switches in the order of the graph: sites by their names, second
            knees, MaxPools, and "(decision)", the greatest output, where it was asked for.
        first_labels: `(n_switches,)` label of the first unit of each switch.
        sizes: `(n,)` corners of each cell.
        points: `(n_corners, 2)` u and v of all corners, counter-clockwise cell by cell.
        edges: `(n_corners,)` label of the edge from each corner to the next: the number of the unit
            that is 0 on it; -1 to -4 for the window's lower, right, upper and left edge.
        areas: `(n,)` in units of u times v.
        keys: `(n, n_switches, 2)` uint64, the fingerprint of each switch's pattern, the same as
            that of `reluflow.patterns.fingerprint` over the site's units.
        maps: `(n, n_outputs, 3)`: output = a u + b v + c on the cell; no outputs where the walk
            ends at a site.
        near: how often a value at a corner was taken for 0, as it was within 1e-12 of the size of
            its map; 0: no sign depends on this tolerance. Repeated units, lines through one point
            and biases of 0 count too, though 0 may be their true value; units that are 0
            everywhere do not.
        notes: what was left out, in sentences.
    """

    plane: Plane
    switches: tuple[str, ...]
    first_labels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    points: Floats
    edges: NDArray[np.int64]
    areas: Floats
    keys: NDArray[np.uint64]
    maps: Floats
    near: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Return `(n,)` position of each cell's first corner."""
        return np.cumsum(self.sizes) - self.sizes

    def polygon(self, cell: int) -> Floats:
        """Return the corners of one cell.

        Args:
            cell: its number.

        Returns:
            `(n_corners, 2)` of u and v, counter-clockwise.
        """
        start = int(self.starts[cell])
        return self.points[start : start + int(self.sizes[cell])]

    def switch_of(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the switch that each label of an edge belongs to.

        Args:
            labels: `(n,)` of `edges`.

        Returns:
            `(n,)` index among `switches`, -1 for the window's edges.
        """
        return np.asarray(np.searchsorted(self.first_labels, labels, side="right") - 1)


def exact_cells(
    model: Model,
    plane: Plane,
    *,
    until: str | None = None,
    classes: bool = False,
    threads: int = 1,
    most: int = MOST_CELLS,
    progress: Progress | None = None,
) -> ExactCells:
    """Return the polygons of a plane on which a network's pattern, and so its map, is one.

    Within a polygon every tensor is affine in the plane's coordinates. The window is cut first into
    regions that few units cross; there, what has one sign everywhere is multiplied out, and the
    small network left is followed depth first: a unit whose zero line crosses a polygon cuts it.
    A value is taken for 0 within 1e-12 of the size of its map, so that repeated units, or three
    lines through one point, leave no slivers; weights count as float64.

    Args:
        model: the model; Relu, LeakyRelu, PRelu, Clip, HardSigmoid, Abs, Max, Min and MaxPool
            are followed, and the linear operators.
        plane: of the model's input shape, without its batch axis.
        until: name of the last switch wanted; all by default, and the maps of the first output.
        classes: also cut by which output is the greatest.
        threads: regions handled at once.
        most: number of cells that may be kept.
        progress: called as progress(stage, hundredths of the window done, 100).

    Returns:
        The polygons with their patterns and maps.

    Raises:
        ModelError: an operator is not piecewise linear, or has several inputs.
        OptionError: no switch has this name, the plane does not fit, or, as
            `TooManyCellsError`, there are more cells than `most`.

    Example:
        >>> import onnx.parser
        >>> from reluflow.cells import plane_of_inputs
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,1] y) <float[2,1] w = {1, 1}>
        ...     { r = Relu(x) y = MatMul(r, w) }''')
        >>> found = exact_cells(load(proto), plane_of_inputs((-1, 1, -1, 1)))
        >>> len(found), found.areas.tolist(), found.switches
        (4, [1.0, 1.0, 1.0, 1.0], ('r',))
        >>> sorted(found.maps[:, 0].tolist())
        [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
        >>> found.polygon(0).shape, found.starts.tolist()
        ((4, 2), [0, 4, 8, 12])
        >>> found.switch_of(np.array([-1, 0, 1])).tolist()
        [-1, 0, 0]

    Reference: docs/spec.md, section 4; thesis 2.2, Definitions 1 to 3.
    """
    walker = make_walker(model, plane, until=until, classes=classes)
    found: list[Found] = []
    total, done = 0, 0.0
    for each in find_cells(walker, store=True, threads=threads, most=most):
        total += each.count
        if each.count < 0 or total > most:
            raise TooManyCellsError(
                f"the window has more than {most} cells; look at a smaller window or earlier "
                "sites, allow more, or only count them."
            )
        found.append(each)
        done += each.area
        if progress is not None:
            progress(_STAGE, round(_PARTS * done / whole_window().area), _PARTS)
    return _joined(walker, plane, _switches(walker), found)


def count_cells(
    model: Model,
    plane: Plane,
    *,
    until: str | None = None,
    classes: bool = False,
    threads: int = 1,
) -> Counted:
    """Return how many exact cells a window has; the cells themselves are not kept.

    Memory does not grow with their number.

    Args:
        model: as for `exact_cells`.
        plane: as for `exact_cells`.
        until: as for `exact_cells`.
        classes: as for `exact_cells`.
        threads: regions handled at once.

    Returns:
        Their number and area.

    Raises:
        ModelError: as for `exact_cells`.
        OptionError: likewise.

    Example:
        >>> from reluflow.cells import random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> count_cells(load("models/fashion_resnet8.onnx"), plane).cells > 1
        True
    """
    walker = make_walker(model, plane, until=until, classes=classes)
    unlimited = np.iinfo(np.int64).max
    cells, area, near = 0, 0.0, 0
    for found in find_cells(walker, store=False, threads=threads, most=unlimited):
        cells += found.count
        area += found.area
        near += found.near
    return Counted(cells, area * plane.half[0] * plane.half[1], near)


def stream_cells(
    model: Model,
    plane: Plane,
    *,
    until: str | None = None,
    classes: bool = False,
    threads: int = 1,
) -> Iterator[ExactCells]:
    """Yield the exact cells of a window region by region, so that memory stays bounded.

    Args:
        model: as for `exact_cells`.
        plane: as for `exact_cells`.
        until: as for `exact_cells`.
        classes: as for `exact_cells`.
        threads: regions handled at once.

    Yields:
        The cells of one region after another; regions are parts of the window.

    Raises:
        ModelError: as for `exact_cells`.
        OptionError: likewise.

    Example:
        >>> from reluflow.cells import random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> parts = stream_cells(load("models/fashion_resnet8.onnx"), plane)
        >>> round(float(sum(part.areas.sum() for part in parts)), 6)
        0.0001
    """
    walker = make_walker(model, plane, until=until, classes=classes)
    unlimited = np.iinfo(np.int64).max
    switches = _switches(walker)
    for found in find_cells(walker, store=True, threads=threads, most=unlimited):
        yield _joined(walker, plane, switches, [found])


def _switches(walker: Walker) -> Sequence[Switch]:
    """Return the switches, by a walk at one point, where nothing is open."""
    corner = whole_window().corners[:1]
    return walker.walk(corner, np.iinfo(np.int64).max).tracker.switches


def make_walker(
    model: Model, plane: Plane, *, until: str | None = None, classes: bool = False
) -> Walker:
    """Return what walks a model on a plane.

    Raises:
        ModelError: the model has several inputs.
        OptionError: no switch has the name `until`, or the plane does not fit the input.
    """
    if len(model.inputs) != 1:
        raise ModelError(
            f"the model has {len(model.inputs)} inputs, and a plane lies in the space of one; give "
            "a model with one input."
        )
    check_fit(model, plane)
    program = read_program(model)
    if until is not None and until.removesuffix(UPPER) not in {s.name for s in program.operations}:
        raise OptionError(
            f"the model has no switch {until!r}; give one of those that inspect lists."
        )
    network = cut_network(program, until.removesuffix(UPPER) if until else None)
    (u, v), (du, dv) = plane.middle, plane.half
    centre = plane.origin + u * plane.across + v * plane.up
    frame = np.stack([du * plane.across, dv * plane.up, centre])
    return Walker(network, frame, classes and until is None)


def check_fit(model: Model, plane: Plane) -> None:
    """Refuse a plane that does not have the shape of the model's first input."""
    shape = model.inputs[0].shape
    wanted = None if shape is None else shape[1:]
    have = plane.origin.shape
    fits = wanted is None or (
        len(wanted) == len(have)
        and all(not isinstance(w, int) or w == h for w, h in zip(wanted, have, strict=True))
    )
    if not fits:
        raise OptionError(
            f"the plane has inputs of shape {list(have)}, but the model reads "
            f"{model.inputs[0]}; give points of that shape."
        )


def _joined(
    walker: Walker, plane: Plane, switches: Sequence[Switch], found: list[Found]
) -> ExactCells:
    """Join regions, and go over from [-1, 1]^2 to the plane's coordinates."""
    (u, v), (du, dv) = plane.middle, plane.half
    points = np.concatenate([each.points for each in found]) * (du, dv) + (u, v)
    maps = np.concatenate([each.maps for each in found])
    maps[..., 0] /= du
    maps[..., 1] /= dv
    maps[..., 2] -= maps[..., 0] * u + maps[..., 1] * v
    return ExactCells(
        plane=plane,
        switches=tuple(switch.name for switch in switches),
        first_labels=np.array([switch.offset for switch in switches], np.int64),
        sizes=np.concatenate([each.sizes for each in found]),
        points=points,
        edges=np.concatenate([each.edges for each in found]),
        areas=np.concatenate([each.areas for each in found]) * du * dv,
        keys=np.concatenate([each.keys for each in found]),
        maps=maps,
        near=sum(each.near for each in found),
        notes=walker.network.notes,
    )
