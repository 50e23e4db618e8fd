"""The lines of one site on a polygon: which cross it, and what the others add to later rows."""

from __future__ import annotations

from reluflow.cells.kernels.compiled import bare, inlined
from reluflow.cells.kernels.polygon import cut, signs
from reluflow.cells.kernels.tables import BEST, CHOICES, CORNERS, LINES, SITE

RELATIVE = 1e-12
"""A value below this share of its map's size is taken for 0: it lies on the line."""


@bare
def tolerance(a0, a1, a2, least):  # type: ignore[no-untyped-def]
    """Return the amount up to which a value of a map counts as 0."""
    return max(least, RELATIVE * (abs(a0) + abs(a1) + abs(a2)))


@bare
def flip(stack, slot, net, group, row):  # type: ignore[no-untyped-def]
    """Note in the keys of a slot that a row is the output of its group."""
    key = net.group_key[group]
    stack.keys[slot, key, 0] ^= net.words[row, 0]
    stack.keys[slot, key, 1] ^= net.words[row, 1]


@bare
def _range(a0, a1, a2, tol, x, y, n, near):  # type: ignore[no-untyped-def]
    """Return the least and the greatest value of a map at the corners, 0 among them."""
    low, high, held = 0.0, 0.0, 0
    for i in range(n):
        f = a0 * x[i] + a1 * y[i] + a2
        low = min(low, f)
        high = max(high, f)
        held += abs(f) <= tol
    if held and (a0 != 0.0 or a1 != 0.0 or a2 != 0.0):
        near[0] += held
    return low, high


@inlined
def sift(stack, source, target, without, net, work, active):  # type: ignore[no-untyped-def]
    """Keep the lines of one slot that cross the polygon of another, but for the one without.

    The others are decided: those above 0 join the `active` groups so far. Returns their number.
    """
    x, y, n = stack.x[target], stack.y[target], stack.numbers[target, CORNERS]
    near = work.near
    kept, best, score = 0, 0, -1.0
    for i in range(stack.numbers[source, LINES]):
        if i == without:
            continue
        a0, a1 = stack.lines[source, i, 0], stack.lines[source, i, 1]
        a2, tol = stack.lines[source, i, 2], stack.lines[source, i, 3]
        group = stack.groups[source, i]
        low, high = _range(a0, a1, a2, tol, x, y, n, near)
        if high <= tol:
            continue
        if low >= -tol:
            work.active[active], work.rows[active] = group, net.group_row[group]
            work.outputs[active, 0], work.outputs[active, 1] = a0, a1
            work.outputs[active, 2] = a2
            active += 1
            continue
        even = min(high, -low) / max(high, -low)
        if even > score:
            best, score = kept, even
        stack.lines[target, kept, 0], stack.lines[target, kept, 1] = a0, a1
        stack.lines[target, kept, 2], stack.lines[target, kept, 3] = a2, tol
        stack.groups[target, kept] = group
        kept += 1
    stack.numbers[target, LINES], stack.numbers[target, BEST] = kept, best
    return active


@bare
def _add_one(maps, source, target, weights, group, output, low, high):  # type: ignore[no-untyped-def]
    for c in range(3):
        a = output[c]
        old, new, w = maps[source, c, low:high], maps[target, c, low:high], weights[group, low:high]
        for r in range(high - low):
            new[r] = old[r] + a * w[r]


@bare
def _add_four(maps, source, target, weights, groups, outputs, i, low, high):  # type: ignore[no-untyped-def]
    """Add four outputs at once: the sums stay in registers."""
    w0, w1 = weights[groups[i], low:high], weights[groups[i + 1], low:high]
    w2, w3 = weights[groups[i + 2], low:high], weights[groups[i + 3], low:high]
    for c in range(3):
        a0, a1, a2, a3 = outputs[i, c], outputs[i + 1, c], outputs[i + 2, c], outputs[i + 3, c]
        old, new = maps[source, c, low:high], maps[target, c, low:high]
        for r in range(high - low):
            new[r] = old[r] + ((a0 * w0[r] + a1 * w1[r]) + (a2 * w2[r] + a3 * w3[r]))


@inlined
def add(stack, source, target, net, work, active):  # type: ignore[no-untyped-def]
    """Make the maps of a slot those of another with the active outputs added; turn their keys."""
    site = stack.numbers[source, SITE]
    low, high = net.low[site], net.high[site]
    maps = stack.maps
    if source != target:
        first = net.site_row[site if stack.numbers[source, CHOICES] else site + 1]
        last = net.reach[site]
        if active == 0:
            low, high = last, last
        for c in range(3):
            for r in range(first, low):
                maps[target, c, r] = maps[source, c, r]
            for r in range(high, last):
                maps[target, c, r] = maps[source, c, r]
    for i in range(active):
        flip(stack, target, net, work.active[i], work.rows[i])
    i = 0
    while i + 4 <= active:
        _add_four(maps, source, target, net.weights, work.active, work.outputs, i, low, high)
        source = target
        i += 4
    while i < active:
        _add_one(maps, source, target, net.weights, work.active[i], work.outputs[i], low, high)
        source = target
        i += 1


@inlined
def cut_in_two(stack, top, net, work):  # type: ignore[no-untyped-def]
    """Cut the top slot along its best line; the part above it becomes the new top."""
    n, i = stack.numbers[top, CORNERS], stack.numbers[top, BEST]
    a0, a1 = stack.lines[top, i, 0], stack.lines[top, i, 1]
    a2, tol = stack.lines[top, i, 2], stack.lines[top, i, 3]
    group = stack.groups[top, i]
    label, values = net.labels[group], work.values
    x, y, edges = stack.x[top], stack.y[top], stack.edges[top]
    signs(a0, a1, a2, tol, x, y, n, values, work.near)
    copy_rest(stack, top, top + 1)
    # The part below takes the place of the whole, so it comes last.
    for side in range(2):
        if side == 0:
            target, sign, active = top + 1, 1.0, 1
            work.active[0], work.rows[0] = group, net.group_row[group]
            work.outputs[0, 0], work.outputs[0, 1], work.outputs[0, 2] = a0, a1, a2
        else:
            target, sign, active = top, -1.0, 0
        m = cut(x, y, edges, n, values, sign, label, work.x, work.y, work.edges)
        for j in range(m):
            stack.x[target, j], stack.y[target, j] = work.x[j], work.y[j]
            stack.edges[target, j] = work.edges[j]
        stack.numbers[target, CORNERS] = m
        active = sift(stack, top, target, i, net, work, active)
        add(stack, top, target, net, work, active)


@inlined
def copy_rest(stack, source, target):  # type: ignore[no-untyped-def]
    """Copy keys, choices, site."""
    for key in range(stack.keys.shape[1]):
        stack.keys[target, key, 0] = stack.keys[source, key, 0]
        stack.keys[target, key, 1] = stack.keys[source, key, 1]
    count = stack.numbers[source, CHOICES]
    for i in range(count):
        stack.choices[target, i] = stack.choices[source, i]
    stack.numbers[target, CHOICES] = count
    stack.numbers[target, SITE] = stack.numbers[source, SITE]
