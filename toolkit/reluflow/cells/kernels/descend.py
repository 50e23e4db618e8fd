"""The descent through the sites of a small network on one polygon, cell by cell, depth first.

All tables are of `reluflow.cells.lowering.region.Region`. A slot of the stack holds a polygon, the
affine maps of all rows still needed, the groups of its site that are undecided, and the keys of the
sites so far. Cutting a polygon copies a slot: the maps of its two parts differ by one column of the
weights, so a map costs one addition per row instead of a product of matrices.
"""

from __future__ import annotations

import numba
import numpy as np

from reluflow.cells.kernels.polygon import area, cut, signs

RELATIVE = 1e-12
"""A value below this share of its map's size is taken for 0: it lies on the line."""


@numba.njit(nogil=True, cache=True)
def _tolerance(a0, a1, a2, least):  # type: ignore[no-untyped-def]
    return max(least, RELATIVE * (abs(a0) + abs(a1) + abs(a2)))


@numba.njit(nogil=True, cache=True)
def _row_signs(maps, row, least, x, y, n, values, near):  # type: ignore[no-untyped-def]
    a0, a1, a2 = maps[0, row], maps[1, row], maps[2, row]
    return signs(a0, a1, a2, _tolerance(a0, a1, a2, least[row]), x, y, n, values, near)


@numba.njit(nogil=True, cache=True)
def _difference(maps, p, q, least, x, y, n, values, near):  # type: ignore[no-untyped-def]
    a0, a1, a2 = maps[0, p] - maps[0, q], maps[1, p] - maps[1, q], maps[2, p] - maps[2, q]
    size = 0.0
    for c in range(3):
        size += abs(maps[c, p]) + abs(maps[c, q])
    tol = max(max(least[p], least[q]), RELATIVE * size)
    return signs(a0, a1, a2, tol, x, y, n, values, near)


@numba.njit(nogil=True, cache=True)
def _winners(maps, first, count, least, x, y, n, values, near, alive):  # type: ignore[no-untyped-def]
    """Find the rows that are the greatest somewhere; of rows equal everywhere, the first."""
    for p in range(count):
        alive[p] = True
    left = count
    for p in range(count):
        for q in range(p + 1, count):
            if alive[p] and alive[q]:
                above, below = _difference(maps, first + p, first + q, least, x, y, n, values, near)
                if not below:
                    alive[q] = False
                    left -= 1
                elif not above:
                    alive[p] = False
                    left -= 1
    return left


@numba.njit(nogil=True, cache=True)
def _add(maps, row, weights, lo, hi):  # type: ignore[no-untyped-def]
    """Add what the output with the map of `row` contributes to the rows from lo to hi."""
    a0, a1, a2 = maps[0, row], maps[1, row], maps[2, row]
    out0, out1, out2, w = maps[0, lo:hi], maps[1, lo:hi], maps[2, lo:hi], weights[lo:hi]
    for r in range(hi - lo):
        out0[r] += a0 * w[r]
        out1[r] += a1 * w[r]
        out2[r] += a2 * w[r]


@numba.njit(nogil=True, cache=True)
def _add_four(maps, rows, groups, weights, lo, hi):  # type: ignore[no-untyped-def]
    """Add four outputs at once: the sums stay in registers."""
    a = np.empty((3, 4))
    for i in range(4):
        for c in range(3):
            a[c, i] = maps[c, rows[i]]
    w0, w1 = weights[groups[0], lo:hi], weights[groups[1], lo:hi]
    w2, w3 = weights[groups[2], lo:hi], weights[groups[3], lo:hi]
    for c in range(3):
        out = maps[c, lo:hi]
        a0, a1, a2, a3 = a[c, 0], a[c, 1], a[c, 2], a[c, 3]
        for r in range(hi - lo):
            out[r] += (a0 * w0[r] + a1 * w1[r]) + (a2 * w2[r] + a3 * w3[r])


@numba.njit(nogil=True, cache=True)
def _flip(keys, words, row, key):  # type: ignore[no-untyped-def]
    keys[key, 0] ^= words[row, 0]
    keys[key, 1] ^= words[row, 1]


@numba.njit(nogil=True, cache=True)
def _decide(maps, keys, group, row, net, site):  # type: ignore[no-untyped-def]
    """Make `row` the output of a group."""
    weights, words, group_key, low, high = net[1], net[7], net[8], net[9], net[10]
    _flip(keys, words, row, group_key[group])
    _add(maps, row, weights[group], low[site], high[site])


@numba.njit(nogil=True, cache=True)
def _enter(maps, keys, x, y, n, site, net, pending, values, near, alive):  # type: ignore[no-untyped-def]
    """Decide all groups of a site that the polygon does not cross; list the others."""
    base, weights, site_group, group_row, group_rows = net[0], net[1], net[3], net[4], net[5]
    least, words, group_key, low, high = net[6], net[7], net[8], net[9], net[10]
    reach = net[11]
    before = reach[site - 1] if site else site_first_row(net)
    for c in range(3):
        for r in range(max(before, net[2][site]), reach[site]):
            maps[c, r] = base[c, r]
    waiting, quad_rows, quad = 0, np.empty(4, np.int64), np.empty(4, np.int64)
    held = 0
    for group in range(site_group[site], site_group[site + 1]):
        row = group_row[group]
        if group_rows[group] == 1:
            above, below = _row_signs(maps, row, least, x, y, n, values, near)
            if not above:
                continue
            crossed = below
        else:
            count = group_rows[group]
            crossed = _winners(maps, row, count, least, x, y, n, values, near, alive) > 1
            if not crossed:
                for p in range(count):
                    if alive[p]:
                        row += p
                        break
        if crossed:
            pending[waiting] = group
            waiting += 1
            continue
        _flip(keys, words, row, group_key[group])
        quad_rows[held], quad[held] = row, group
        held += 1
        if held == 4:
            _add_four(maps, quad_rows, quad, weights, low[site], high[site])
            held = 0
    for i in range(held):
        _add(maps, quad_rows[i], weights[quad[i]], low[site], high[site])
    return waiting


@numba.njit(nogil=True, cache=True)
def site_first_row(net):  # type: ignore[no-untyped-def]
    """Return the row from which maps start: all rows of the first site are its base."""
    return net[2][0]


@numba.njit(nogil=True, cache=True)
def _copy_slot(slots, keys, site, net, source, target):  # type: ignore[no-untyped-def]
    """Copy maps, pending groups and keys of a slot; the polygon is written by the cut."""
    maps, pending, waiting, sites = slots[0], slots[4], slots[5], slots[6]
    first, last = net[2][site], net[11][site]
    for c in range(3):
        maps[target, c, first:last] = maps[source, c, first:last]
    pending[target, : waiting[source]] = pending[source, : waiting[source]]
    waiting[target] = waiting[source]
    sites[target] = sites[source]
    keys[target] = keys[source]


@numba.njit(nogil=True, cache=True)
def _cut_in_two(slots, keys, corners, top, site, group, p, q, net, values, spare):  # type: ignore[no-untyped-def]
    """Cut the top slot: row p wins where the values are positive, q elsewhere (-1: none)."""
    maps, x, y, edges = slots[0], slots[1], slots[2], slots[3]
    label = net[12][group]
    n = corners[top]
    _copy_slot(slots, keys, site, net, top, top + 1)
    corners[top + 1] = cut(
        x[top], y[top], edges[top], n, values, 1.0, label, x[top + 1], y[top + 1], edges[top + 1]
    )
    _decide(maps[top + 1], keys[top + 1], group, p, net, site)
    spare_x, spare_y, spare_edges = spare
    m = cut(x[top], y[top], edges[top], n, values, -1.0, label, spare_x, spare_y, spare_edges)
    x[top, :m], y[top, :m], edges[top, :m] = spare_x[:m], spare_y[:m], spare_edges[:m]
    corners[top] = m
    if q >= 0:
        _decide(maps[top], keys[top], group, q, net, site)


@numba.njit(nogil=True, cache=True)
def _cut_in_many(slots, keys, corners, top, site, group, net, values, near, alive, spare):  # type: ignore[no-untyped-def]
    """Replace the top slot by one for each row of its group that is the greatest somewhere."""
    maps, x, y, edges = slots[0], slots[1], slots[2], slots[3]
    first, count, label = net[4][group], net[5][group], net[12][group]
    least, n = net[6], corners[top]
    spare_x, spare_y, spare_edges = spare
    new = top
    for p in range(count):
        if not alive[p]:
            continue
        at = new + 1
        x[at, :n], y[at, :n], edges[at, :n] = x[top, :n], y[top, :n], edges[top, :n]
        m = n
        for q in range(count):
            if q == p or not alive[q]:
                continue
            above, below = _difference(
                maps[top], first + p, first + q, least, x[at], y[at], m, values, near
            )
            if not above and (below or q < p):
                m = 0
                break
            if below:
                m = cut(x[at], y[at], edges[at], m, values, 1.0, label, *spare)
                x[at, :m], y[at, :m], edges[at, :m] = spare_x[:m], spare_y[:m], spare_edges[:m]
        if m < 3:
            continue
        _copy_slot(slots, keys, site, net, top, at)
        corners[at] = m
        _decide(maps[at], keys[at], group, first + p, net, site)
        new = at
    # The last one takes the place of the polygon that was replaced.
    _move_slot(slots, keys, corners, new, top)
    return new - 1


@numba.njit(nogil=True, cache=True)
def _move_slot(slots, keys, corners, source, target):  # type: ignore[no-untyped-def]
    maps, x, y, edges = slots[0], slots[1], slots[2], slots[3]
    pending, waiting, sites = slots[4], slots[5], slots[6]
    n = corners[source]
    maps[target] = maps[source]
    x[target, :n], y[target, :n] = x[source, :n], y[source, :n]
    edges[target, :n] = edges[source, :n]
    corners[target] = n
    pending[target] = pending[source]
    waiting[target], sites[target] = waiting[source], sites[source]
    keys[target] = keys[source]


@numba.njit(nogil=True, cache=True)
def _settle(slots, keys, corners, top, net, values, near, alive, spare):  # type: ignore[no-untyped-def]
    """Take one undecided group of the top slot: decide it, or cut; return the new top."""
    maps, x, y = slots[0][top], slots[1][top], slots[2][top]
    pending, waiting, site = slots[4], slots[5], slots[6][top]
    waiting[top] -= 1
    group = pending[top, waiting[top]]
    row, count, least, n = net[4][group], net[5][group], net[6], corners[top]
    if count == 1:
        above, below = _row_signs(maps, row, least, x, y, n, values, near)
        if above and below:
            _cut_in_two(slots, keys, corners, top, site, group, row, -1, net, values, spare)
            return top + 1
        if above:
            _decide(maps, keys[top], group, row, net, site)
        return top
    left = _winners(maps, row, count, least, x, y, n, values, near, alive)
    if left > 2:
        return _cut_in_many(slots, keys, corners, top, site, group, net, values, near, alive, spare)
    p = 0
    while not alive[p]:
        p += 1
    if left == 1:
        _decide(maps, keys[top], group, row + p, net, site)
        return top
    q = p + 1
    while not alive[q]:
        q += 1
    _difference(maps, row + p, row + q, least, x, y, n, values, near)
    _cut_in_two(slots, keys, corners, top, site, group, row + p, row + q, net, values, spare)
    return top + 1


@numba.njit(nogil=True, cache=True)
def _grown(array, wanted):  # type: ignore[no-untyped-def]
    if wanted <= array.shape[0]:
        return array
    larger = np.empty((max(wanted, 2 * array.shape[0]), *array.shape[1:]), array.dtype)
    larger[: array.shape[0]] = array
    return larger


@numba.njit(nogil=True, cache=True)
def descend(net, x0, y0, edges0, keys0, outputs, store, most):  # type: ignore[no-untyped-def]
    """Return the cells of a polygon.

    Args:
        net: the tables of a region, in the order of `Region.tables`.
        x0: `(n,)` first coordinates of the polygon's corners.
        y0: `(n,)` second coordinates.
        edges0: `(n,)` labels of its edges.
        keys0: `(n_keys, 2)` uint64, what the units of one sign everywhere contribute to each key.
        outputs: first and last row of the output, whose maps are returned.
        store: 0: only count and add up areas; 1: keep cells too.
        most: stop after this many cells.

    Returns:
        Number of cells (-1: more than `most`), sum of areas, then, empty unless stored: corners of
        each cell `(n_cells,)`, all corners `(n, 2)`, their edges `(n,)`, areas, keys and maps; then
        the number of values at corners that the tolerance made 0.
    """
    n_sites = net[3].shape[0] - 1
    n_rows, n_groups = net[0].shape[1], net[1].shape[0]
    depth, cap = n_rows + 3, len(x0) + n_rows + 4
    slots = (
        np.empty((depth, 3, n_rows)),
        np.empty((depth, cap)),
        np.empty((depth, cap)),
        np.empty((depth, cap), np.int64),
        np.empty((depth, max(n_groups, 1)), np.int64),
        np.zeros(depth, np.int64),
        np.zeros(depth, np.int64),
    )
    maps, x, y, edges, pending, waiting, sites = slots
    keys = np.zeros((depth, *keys0.shape), np.uint64)
    corners = np.zeros(depth, np.int64)
    entered = np.zeros(depth, np.bool_)
    values, alive = np.empty(cap), np.empty(max(n_rows, 1), np.bool_)
    near = np.zeros(1, np.int64)
    spare = (np.empty(cap), np.empty(cap), np.empty(cap, np.int64))
    n0 = len(x0)
    x[0, :n0], y[0, :n0], edges[0, :n0] = x0, y0, edges0
    corners[0], keys[0] = n0, keys0
    maps[0] = net[0]
    found, total = 0, 0.0
    start = 64 if store else 0
    sizes, areas = np.empty(start, np.int64), np.empty(start)
    points, labels = np.empty((4 * start, 2)), np.empty(4 * start, np.int64)
    n_out = outputs[1] - outputs[0]
    out_keys = np.empty((start, *keys0.shape), np.uint64)
    out_maps = np.empty((start, n_out, 3))
    used = 0
    top = 0
    while top >= 0:
        site = sites[top]
        if site == n_sites:
            n = corners[top]
            size = area(x[top], y[top], n)
            total += size
            if found == most:
                found = -1
                break
            if store:
                sizes, areas = _grown(sizes, found + 1), _grown(areas, found + 1)
                out_keys, out_maps = _grown(out_keys, found + 1), _grown(out_maps, found + 1)
                points, labels = _grown(points, used + n), _grown(labels, used + n)
                sizes[found], areas[found], out_keys[found] = n, size, keys[top]
                for r in range(n_out):
                    for c in range(3):
                        out_maps[found, r, c] = maps[top, c, outputs[0] + r]
                points[used : used + n, 0], points[used : used + n, 1] = x[top, :n], y[top, :n]
                labels[used : used + n] = edges[top, :n]
                used += n
            found += 1
            top -= 1
        elif not entered[top]:
            waiting[top] = _enter(
                maps[top],
                keys[top],
                x[top],
                y[top],
                corners[top],
                site,
                net,
                pending[top],
                values,
                near,
                alive,
            )
            entered[top] = True
        elif waiting[top]:
            new = _settle(slots, keys, corners, top, net, values, near, alive, spare)
            for i in range(top + 1, new + 1):
                entered[i] = True
            top = new
        else:
            sites[top] += 1
            entered[top] = False
    kept = max(found, 0) if store else 0
    return (
        found,
        total,
        sizes[:kept],
        points[:used],
        labels[:used],
        areas[:kept],
        out_keys[:kept],
        out_maps[:kept],
        near[0],
    )
