"""The descent through the sites of a small network on one polygon, cell by cell, depth first.

A slot of the stack holds a polygon, the affine maps of all rows still needed, the groups of its
site that are undecided, and the keys of the sites so far. Of the lines that cross a polygon the one
that cuts it most evenly cuts it; then both parts leave out the lines that no longer cross them, so
that a cell meets only few lines that are not its own. The maps of two parts differ by few columns
of the weights, so that a map costs some additions per row instead of a product of matrices.
"""

from __future__ import annotations

import numba
import numpy as np

from reluflow.cells.kernels.choices import choose
from reluflow.cells.kernels.compiled import bare
from reluflow.cells.kernels.lines import add, cut_in_two, sift, tolerance
from reluflow.cells.kernels.polygon import area
from reluflow.cells.kernels.tables import (
    CHOICES,
    CORNERS,
    LINES,
    SITE,
    Cells,
    new_stack,
    new_work,
)


@bare
def _enter(stack, top, net, work):  # type: ignore[no-untyped-def]
    """Decide all groups of the top's site that the polygon does not cross; list the others."""
    site, maps = stack.numbers[top, SITE], stack.maps
    reached = net.reach[site - 1] if site else net.site_row[0]
    for c in range(3):
        for r in range(max(reached, net.site_row[site]), net.reach[site]):
            maps[top, c, r] = net.base[c, r]
    singles, choices = 0, 0
    for group in range(net.site_group[site], net.site_group[site + 1]):
        if net.group_rows[group] > 1:
            stack.choices[top, choices] = group
            choices += 1
            continue
        row = net.group_row[group]
        a0, a1, a2 = maps[top, 0, row], maps[top, 1, row], maps[top, 2, row]
        stack.lines[top, singles, 0], stack.lines[top, singles, 1] = a0, a1
        stack.lines[top, singles, 2] = a2
        stack.lines[top, singles, 3] = tolerance(a0, a1, a2, net.least[row])
        stack.groups[top, singles] = group
        singles += 1
    stack.numbers[top, LINES], stack.numbers[top, CHOICES] = singles, choices
    active = sift(stack, top, top, -1, net, work, 0)
    add(stack, top, top, net, work, active)


@numba.njit(nogil=True, cache=True)
def _new_cells(n, n_points, n_keys, n_out):  # type: ignore[no-untyped-def]
    return Cells(
        np.empty(n, np.int64),
        np.empty(n),
        np.empty((n, n_keys, 2), np.uint64),
        np.empty((n, n_out, 3)),
        np.empty((n_points, 2)),
        np.empty(n_points, np.int64),
    )


@numba.njit(nogil=True, cache=True)
def _grown(cells, found, used, wanted):  # type: ignore[no-untyped-def]
    """Return larger arrays with what there is: room for twice as much, and the points wanted."""
    n_keys, n_out = cells.keys.shape[1], cells.maps.shape[1]
    more = _new_cells(2 * found + 64, max(2 * used, used + wanted) + 256, n_keys, n_out)
    more.sizes[:found], more.areas[:found] = cells.sizes[:found], cells.areas[:found]
    more.keys[:found], more.maps[:found] = cells.keys[:found], cells.maps[:found]
    more.points[:used], more.edges[:used] = cells.points[:used], cells.edges[:used]
    return more


@bare
def _keep(stack, top, net, cells, found, used, size):  # type: ignore[no-untyped-def]
    """Write the polygon of a slot behind the cells found so far."""
    n = stack.numbers[top, CORNERS]
    cells.sizes[found], cells.areas[found] = n, size
    for key in range(cells.keys.shape[1]):
        cells.keys[found, key, 0] = stack.keys[top, key, 0]
        cells.keys[found, key, 1] = stack.keys[top, key, 1]
    n_out = cells.maps.shape[1]
    first = net.base.shape[1] - n_out
    for r in range(n_out):
        for c in range(3):
            cells.maps[found, r, c] = stack.maps[top, c, first + r]
    for i in range(n):
        cells.points[used + i, 0], cells.points[used + i, 1] = stack.x[top, i], stack.y[top, i]
        cells.edges[used + i] = stack.edges[top, i]


@bare
def _follow(stack, top, net, work, cells, store, found, used, most):  # type: ignore[no-untyped-def]
    """Take cells off the stack until it is empty, there are too many, or no room to keep one.

    Returns the top slot (-1: none is left), cells and corners found so far, and the area of those
    found now.
    """
    numbers, last, total = stack.numbers, net.site_group.shape[0] - 2, 0.0
    while top >= 0:
        if numbers[top, LINES]:
            cut_in_two(stack, top, net, work)
            top += 1
        elif numbers[top, CHOICES]:
            top = choose(stack, top, net, work)
        elif numbers[top, SITE] < last:
            numbers[top, SITE] += 1
            _enter(stack, top, net, work)
        else:
            n = numbers[top, CORNERS]
            full = found == cells.sizes.shape[0] or used + n > cells.edges.shape[0]
            if found == most or (store and full):
                break
            size = area(stack.x[top], stack.y[top], n)
            if store:
                _keep(stack, top, net, cells, found, used, size)
                used += n
            total += size
            found += 1
            top -= 1
    return top, found, used, total


@numba.njit(nogil=True, cache=True)
def descend(net, x0, y0, edges0, keys0, n_out, store, most):  # type: ignore[no-untyped-def]
    """Return the cells of a polygon.

    Args:
        net: the small network of the polygon.
        x0: `(n,)` first coordinates of the polygon's corners.
        y0: `(n,)` second coordinates.
        edges0: `(n,)` labels of its edges.
        keys0: `(n_keys, 2)` uint64, what the units of one sign everywhere contribute to each key.
        n_out: number of outputs, the last rows, whose maps are returned.
        store: 0: only count and add up areas; 1: keep cells too.
        most: stop after this many cells.

    Returns:
        Number of cells (-1: more than `most`), sum of areas, then, empty unless stored: corners of
        each cell `(n_cells,)`, all corners `(n, 2)`, their edges `(n,)`, areas, keys and maps; then
        the number of values at corners that the tolerance made 0.
    """
    n0, n_keys = len(x0), len(keys0)
    stack, work = new_stack(net, n0, n_keys), new_work(net, n0)
    stack.x[0, :n0], stack.y[0, :n0], stack.edges[0, :n0] = x0, y0, edges0
    stack.numbers[0, CORNERS], stack.keys[0], stack.maps[0] = n0, keys0, net.base
    cells = _new_cells(0, 0, n_keys, n_out)
    if len(net.site_group) > 1:
        _enter(stack, 0, net, work)
    top, found, used, total = 0, 0, 0, 0.0
    while top >= 0:
        if store:
            cells = _grown(cells, found, used, stack.numbers[top, CORNERS])
        top, found, used, more = _follow(stack, top, net, work, cells, store, found, used, most)
        total += more
        if top >= 0 and found == most:
            found = -1
            break
    kept = max(found, 0) if store else 0
    return (
        found,
        total,
        cells.sizes[:kept],
        cells.points[:used],
        cells.edges[:used],
        cells.areas[:kept],
        cells.keys[:kept],
        cells.maps[:kept],
        work.near[0],
    )
