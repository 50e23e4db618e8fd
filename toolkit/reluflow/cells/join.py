"""What adjacent cells have in common: patterns of some sites, or one affine map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from reluflow.cells.connect import components
from reluflow.cells.exact import ExactCells
from reluflow.cells.lowering.walk import DECISION
from reluflow.cells.plane import Floats
from reluflow.errors import OptionError

_NEAR = 1e-8
"""Middles of edges this near, in half the window's size, belong to one edge."""
_SAME = 1e-9
"""Maps this near, relative to the largest entry of the two, are one."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Which cells share an edge, as `neighbours` finds them.

    Attributes:
        pairs: `(n, 2)` cells.
        corners: `(n, 2)` for each pair the corner, of either cell, at which their edge starts.
        unmatched: edges inside the window whose other side was not found: they are shorter than
            1e-8 of half the window, or end at a corner where rounding differs.
    """

    pairs: NDArray[np.int64]
    corners: NDArray[np.int64]
    unmatched: int


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Cells joined where they have something in common, by `activation_cells`, `affine_regions`.

    Attributes:
        labels: `(n_cells,)` number of the piece that each cell belongs to, from 0.
        count: number of pieces.
    """

    labels: NDArray[np.int64]
    count: int


def neighbours(cells: ExactCells) -> Neighbours:
    """Find the pairs of cells that share an edge.

    Cells of all switches meet edge to edge, so an edge's middle names it.

    Args:
        cells: from `exact_cells`, of the whole window.

    Returns:
        The pairs, each once.

    Example:
        >>> import onnx.parser
        >>> from reluflow.cells import exact_cells, plane_of_inputs
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> cells = exact_cells(load(proto), plane_of_inputs((-1, 1, -1, 1)), classes=True)
        >>> len(cells), len(neighbours(cells).pairs), neighbours(cells).unmatched
        (5, 5, 0)
    """
    middles = (cells.points + cells.points[_next(cells)]) / 2
    middles = (middles - cells.plane.middle) / cells.plane.half
    owner = np.repeat(np.arange(len(cells)), cells.sizes)
    open_ = np.flatnonzero(cells.edges >= 0)
    found = []
    for shift in (0.0, 0.5):
        pairs = open_[_pairs(np.floor(middles[open_] / _NEAR + shift))]
        pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
        found.append(pairs)
        open_ = np.setdiff1d(open_, pairs.ravel(), assume_unique=True)
    if len(open_):
        near = cKDTree(middles[open_]).query_pairs(2 * _NEAR, output_type="ndarray")
        near = near[owner[open_[near[:, 0]]] != owner[open_[near[:, 1]]]]
        found.append(open_[near])
        open_ = np.setdiff1d(open_, open_[near].ravel())
    corners = np.concatenate(found)
    return Neighbours(owner[corners], corners, len(open_))


def activation_cells(
    cells: ExactCells, switches: Sequence[str] | None = None, known: Neighbours | None = None
) -> Joined:
    """Join adjacent cells that have the same pattern at some switches.

    The pieces are the activation cells of these switches: a distinct pattern on a connected piece.
    Those of one site need not be convex (thesis, Prop. 2).

    Args:
        cells: from `exact_cells`.
        switches: names; all by default.
        known: from `neighbours`, where they are found already.

    Returns:
        The piece of each cell.

    Raises:
        OptionError: no switch has such a name.

    Example:
        >>> import onnx.parser
        >>> from reluflow.cells import exact_cells, plane_of_inputs
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> cells = exact_cells(load(proto), plane_of_inputs((-1, 1, -1, 1)), classes=True)
        >>> activation_cells(cells).count, activation_cells(cells, [cells.switches[0]]).count
        (5, 4)

    Reference: thesis, Definition 2; docs/spec.md, section 4.
    """
    chosen = list(range(len(cells.switches)))
    if switches is not None:
        for name in switches:
            if name not in cells.switches:
                raise OptionError(
                    f"there is no switch {name!r}; give some of {', '.join(cells.switches)}."
                )
        chosen = [cells.switches.index(name) for name in switches]
    keys = cells.keys[:, chosen]
    pairs = (known or neighbours(cells)).pairs
    same = (keys[pairs[:, 0]] == keys[pairs[:, 1]]).all(axis=(1, 2))
    return _components(len(cells), pairs[same])


def affine_regions(cells: ExactCells, known: Neighbours | None = None) -> Joined:
    """Join adjacent cells on which the outputs have the same map, up to rounding (1e-9).

    Args:
        cells: from `exact_cells`, of a whole model.
        known: from `neighbours`, where they are found already.

    Returns:
        The region of each cell.

    Raises:
        OptionError: the cells were found without outputs.

    Example:
        >>> import onnx.parser
        >>> from reluflow.cells import exact_cells, plane_of_inputs
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> cells = exact_cells(load(proto), plane_of_inputs((-1, 1, -1, 1)), classes=True)
        >>> affine_regions(cells).count
        4

    Reference: docs/spec.md, section 4.
    """
    if not cells.maps.shape[1]:
        raise OptionError("the cells end at a site, without maps; give those of the whole model.")
    pairs = (known or neighbours(cells)).pairs
    left, right = cells.maps[pairs[:, 0]], cells.maps[pairs[:, 1]]
    size = np.maximum(np.abs(left).max(axis=(1, 2)), np.abs(right).max(axis=(1, 2)))
    same = np.abs(left - right).max(axis=(1, 2)) <= _SAME * np.maximum(size, 1e-300)
    return _components(len(cells), pairs[same])


def decision_boundary(cells: ExactCells) -> Floats:
    """Return the segments on which two outputs are both the greatest.

    Args:
        cells: from `exact_cells` with `classes`.

    Returns:
        `(n, 2, 2)`: the ends of each segment, each of u and v; a segment occurs once per side.

    Raises:
        OptionError: the cells were not cut by the greatest output.

    Example:
        >>> import onnx.parser
        >>> from reluflow.cells import exact_cells, plane_of_inputs
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> cells = exact_cells(load(proto), plane_of_inputs((-1, 1, -1, 1)), classes=True)
        >>> decision_boundary(cells).tolist()
        [[[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]]
    """
    if DECISION not in cells.switches:
        raise OptionError("the cells are not cut by class; give those found with classes.")
    index = cells.switches.index(DECISION)
    on = np.flatnonzero(cells.switch_of(cells.edges) == index)
    ends = cells.points[_next(cells)]
    segments = np.stack([cells.points[on], ends[on]], axis=1)
    return segments


def classes_of(cells: ExactCells) -> NDArray[np.int64]:
    """Return the index of the greatest output on each cell, at its centre.

    Args:
        cells: from `exact_cells`, of a whole model.

    Returns:
        `(n_cells,)`, of equal outputs the first.

    Example:
        >>> import onnx.parser
        >>> from reluflow.cells import exact_cells, plane_of_inputs
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> cells = exact_cells(load(proto), plane_of_inputs((-1, 1, -1, 1)), classes=True)
        >>> sorted(classes_of(cells).tolist())
        [0, 0, 0, 1, 1]
    """
    centres = centres_of(cells)
    at = np.column_stack([centres, np.ones(len(cells))])
    return np.asarray(np.argmax(np.einsum("nkc,nc->nk", cells.maps, at), axis=1))


def centres_of(cells: ExactCells) -> Floats:
    """Return the mean of the corners of each cell, a point inside it.

    Args:
        cells: from `exact_cells`.

    Returns:
        `(n_cells, 2)` of u and v.

    Example:
        >>> import onnx.parser
        >>> from reluflow.cells import exact_cells, plane_of_inputs
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> cells = exact_cells(load(proto), plane_of_inputs((-1, 1, -1, 1)), classes=True)
        >>> bool((abs(centres_of(cells)) < 1).all())
        True
    """
    if not len(cells):
        return np.zeros((0, 2))
    sums = np.add.reduceat(cells.points, cells.starts, axis=0)
    return np.asarray(sums / cells.sizes[:, None])


def _next(cells: ExactCells) -> NDArray[np.int64]:
    """Return for each corner the next one of its cell."""
    following = np.arange(len(cells.points)) + 1
    following[cells.starts + cells.sizes - 1] = cells.starts
    return following


def _pairs(places: Floats) -> NDArray[np.int64]:
    """Return the positions `(n, 2)` of places that occur exactly twice."""
    if len(places) < 2:
        return np.zeros((0, 2), np.int64)
    order = np.lexsort(places.T)
    same = (places[order[1:]] == places[order[:-1]]).all(axis=1)
    before, after = np.append(False, same[:-1]), np.append(same[1:], False)
    alone = np.flatnonzero(same & ~before & ~after)
    return np.column_stack([order[alone], order[alone + 1]])


def _components(n: int, pairs: NDArray[np.int64]) -> Joined:
    count, labels = components(n, pairs[:, 0], pairs[:, 1])
    return Joined(labels, count)
