"""Groups of several rows on a polygon: which row is the greatest where."""

from __future__ import annotations

from reluflow.cells.kernels.compiled import bare
from reluflow.cells.kernels.lines import RELATIVE, add, copy_rest
from reluflow.cells.kernels.polygon import cut, signs
from reluflow.cells.kernels.tables import CHOICES, CORNERS, LINES


@bare
def _difference(maps, p, q, least, x, y, n, work):  # type: ignore[no-untyped-def]
    a0, a1, a2 = maps[0, p] - maps[0, q], maps[1, p] - maps[1, q], maps[2, p] - maps[2, q]
    size = 0.0
    for c in range(3):
        size += abs(maps[c, p]) + abs(maps[c, q])
    tol = max(max(least[p], least[q]), RELATIVE * size)
    return signs(a0, a1, a2, tol, x, y, n, work.values, work.near)


@bare
def _winners(stack, slot, net, group, work):  # type: ignore[no-untyped-def]
    """Mark the rows that are the greatest somewhere; of rows equal everywhere, the first.

    Returns their number and the first of them.
    """
    maps, x, y = stack.maps[slot], stack.x[slot], stack.y[slot]
    first, count, n = net.group_row[group], net.group_rows[group], stack.numbers[slot, CORNERS]
    alive, left = work.alive, count
    for p in range(count):
        alive[p] = True
    for p in range(count):
        for q in range(p + 1, count):
            if alive[p] and alive[q]:
                above, below = _difference(maps, first + p, first + q, net.least, x, y, n, work)
                if not below:
                    alive[q] = False
                    left -= 1
                elif not above:
                    alive[p] = False
                    left -= 1
    p = 0
    while not alive[p]:
        p += 1
    return left, first + p


@bare
def _decide(stack, source, target, net, group, row, work):  # type: ignore[no-untyped-def]
    """Make a row the output of its group."""
    work.active[0], work.rows[0] = group, row
    for c in range(3):
        work.outputs[0, c] = stack.maps[source, c, row]
    add(stack, source, target, net, work, 1)


@bare
def choose(stack, top, net, work):  # type: ignore[no-untyped-def]
    """Take the last undecided choice of the top slot: decide it, or cut; return the new top."""
    stack.numbers[top, CHOICES] -= 1
    group = stack.choices[top, stack.numbers[top, CHOICES]]
    left, row = _winners(stack, top, net, group, work)
    if left == 1:
        _decide(stack, top, top, net, group, row, work)
        return top
    return _cut_in_many(stack, top, net, group, work)


@bare
def _copy(x, y, edges, new_x, new_y, new_edges, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        new_x[i], new_y[i], new_edges[i] = x[i], y[i], edges[i]


@bare
def _cut_in_many(stack, top, net, group, work):  # type: ignore[no-untyped-def]
    """Replace the top slot by one for each row of its group that is the greatest somewhere."""
    first, count, label = net.group_row[group], net.group_rows[group], net.labels[group]
    alive, n, new = work.alive, stack.numbers[top, CORNERS], top
    for p in range(count):
        if not alive[p]:
            continue
        at, m = new + 1, n
        x, y, edges = stack.x[at], stack.y[at], stack.edges[at]
        _copy(stack.x[top], stack.y[top], stack.edges[top], x, y, edges, n)
        for q in range(count):
            if q == p or not alive[q]:
                continue
            above, below = _difference(
                stack.maps[top], first + p, first + q, net.least, x, y, m, work
            )
            if not above and (below or q < p):
                m = 0
                break
            if below:
                m = cut(x, y, edges, m, work.values, 1.0, label, work.x, work.y, work.edges)
                _copy(work.x, work.y, work.edges, x, y, edges, m)
        if m < 3:
            continue
        copy_rest(stack, top, at)
        stack.numbers[at, CORNERS], stack.numbers[at, LINES] = m, 0
        _decide(stack, top, at, net, group, first + p, work)
        new = at
    # The last one takes the place of the polygon that was replaced.
    m = stack.numbers[new, CORNERS]
    for c in range(3):
        for r in range(stack.maps.shape[2]):
            stack.maps[top, c, r] = stack.maps[new, c, r]
    _copy(
        stack.x[new],
        stack.y[new],
        stack.edges[new],
        stack.x[top],
        stack.y[top],
        stack.edges[top],
        m,
    )
    copy_rest(stack, new, top)
    stack.numbers[top, CORNERS], stack.numbers[top, LINES] = m, 0
    return new - 1
