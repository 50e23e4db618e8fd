"""What the kernels read, and the stack of polygons that they work on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

CORNERS, LINES, CHOICES, SITE, BEST = range(5)
"""Columns of `Stack.numbers`."""


class Tables(NamedTuple):
    """A small network, of sites in order; a site is a list of groups, a group a list of rows.

    Attributes:
        base: `(3, n_rows)` affine maps of the rows, without what earlier groups contribute.
        weights: `(n_groups, n_rows)` with which the output of a group reaches later rows.
        site_row: `(n_sites + 1,)` first row of each site.
        site_group: `(n_sites + 1,)` first group of each site.
        group_row: `(n_groups,)` first row of each group.
        group_rows: `(n_groups,)` number of its rows: 1: max(0, row); more: their maximum.
        least: `(n_rows,)` least tolerance.
        words: `(n_rows, 2)` uint64, what a row adds to a key where it is the output.
        group_key: `(n_groups,)` which key that is.
        low: `(n_sites,)` first row that groups of a site reach.
        high: `(n_sites,)` row behind the last of these.
        reach: `(n_sites,)` row behind the last that groups of a site or of an earlier one reach.
        labels: `(n_groups,)` of the edges on which a group changes.
    """

    base: Any
    weights: Any
    site_row: Any
    site_group: Any
    group_row: Any
    group_rows: Any
    least: Any
    words: Any
    group_key: Any
    low: Any
    high: Any
    reach: Any
    labels: Any


class Stack(NamedTuple):
    """Slots, each a polygon and what is known of it.

    Attributes:
        maps: `(depth, 3, n_rows)` affine maps of rows; those of lines lie in `lines`.
        x: `(depth, most_corners)` of the polygon.
        y: `(depth, most_corners)` likewise.
        edges: `(depth, most_corners)` label of the edge from each corner on.
        lines: `(depth, most_lines, 4)` maps and tolerances of the groups of one row of the site
            that change their sign on the polygon.
        groups: `(depth, most_lines)` whose they are.
        choices: `(depth, most_choices)` groups of several rows that are undecided.
        keys: `(depth, n_keys, 2)` of the decided groups.
        numbers: `(depth, 5)` corners, lines, choices, site, and which line cuts best.
    """

    maps: Any
    x: Any
    y: Any
    edges: Any
    lines: Any
    groups: Any
    choices: Any
    keys: Any
    numbers: Any


class Work(NamedTuple):
    """Memory that is used again and again.

    Attributes:
        values: `(most_corners,)` of one line.
        x: `(most_corners,)` of a part of a polygon.
        y: `(most_corners,)` likewise.
        edges: `(most_corners,)` likewise.
        alive: `(n_rows,)` whether a row of a group may be the greatest.
        active: `(n_groups,)` groups whose outputs are to be added.
        rows: `(n_groups,)` which row of each that is.
        outputs: `(n_groups, 3)` its map.
        near: `(1,)` values that the tolerance made 0.
    """

    values: Any
    x: Any
    y: Any
    edges: Any
    alive: Any
    active: Any
    rows: Any
    outputs: Any
    near: Any


class Cells(NamedTuple):
    """Room for the cells that are found.

    Attributes:
        sizes: `(n,)` corners of each.
        areas: `(n,)`.
        keys: `(n, n_keys, 2)`.
        maps: `(n, n_out, 3)`.
        points: `(n_points, 2)` all corners.
        edges: `(n_points,)` label of the edge from each corner on.
    """

    sizes: Any
    areas: Any
    keys: Any
    maps: Any
    points: Any
    edges: Any


@numba.njit(nogil=True, cache=True)
def new_stack(net, n_corners, n_keys):  # type: ignore[no-untyped-def]
    """Return a stack for polygons that start with so many corners.

    A cut adds one slot and at most one corner, and each group of a path is cut at most once, but
    for groups of several rows, which add a slot for each row.
    """
    n_rows = net.weights.shape[1]
    depth, most_corners = n_rows + 3, n_corners + n_rows + 4
    most = 1
    for site in range(len(net.site_group) - 1):
        most = max(most, net.site_group[site + 1] - net.site_group[site])
    return Stack(
        np.empty((depth, 3, n_rows)),
        np.empty((depth, most_corners)),
        np.empty((depth, most_corners)),
        np.empty((depth, most_corners), np.int64),
        np.empty((depth, most, 4)),
        np.empty((depth, most), np.int64),
        np.empty((depth, most), np.int64),
        np.empty((depth, n_keys, 2), np.uint64),
        np.zeros((depth, 5), np.int64),
    )


@numba.njit(nogil=True, cache=True)
def new_work(net, n_corners):  # type: ignore[no-untyped-def]
    """Return the memory for one stack."""
    n_groups, n_rows = net.weights.shape
    most_corners = n_corners + n_rows + 4
    return Work(
        np.empty(most_corners),
        np.empty(most_corners),
        np.empty(most_corners),
        np.empty(most_corners, np.int64),
        np.empty(max(n_rows, 1), np.bool_),
        np.empty(max(n_groups, 1), np.int64),
        np.empty(max(n_groups, 1), np.int64),
        np.empty((max(n_groups, 1), 3)),
        np.zeros(1, np.int64),
    )
