"""Convex polygons in fixed memory: values at corners, and the cut by a line.

A polygon is three rows of one slot: the coordinates of its corners in order, and for each corner
the label of the edge that starts there. A value whose amount is at most the tolerance lies on the
line, so that a line through a corner makes no sliver.
"""

from __future__ import annotations

from reluflow.cells.kernels.compiled import bare


@bare
def signs(a0, a1, a2, tol, x, y, n, values, near):  # type: ignore[no-untyped-def]
    """Write an affine function's values at the corners; tell whether it is above and below 0.

    What the tolerance made 0 is added to `near`, a counter of one entry; a function that is 0
    everywhere is not counted.
    """
    above, below = False, False
    for i in range(n):
        f = a0 * x[i] + a1 * y[i] + a2
        if f > tol:
            above = True
        elif f < -tol:
            below = True
        else:
            f = 0.0
            if a0 != 0.0 or a1 != 0.0 or a2 != 0.0:
                near[0] += 1
        values[i] = f
    return above, below


@bare
def cut(x, y, edges, n, values, sign, label, out_x, out_y, out_edges):  # type: ignore[no-untyped-def]
    """Keep the part of a polygon where sign * values >= 0; return its number of corners.

    The values are of `signs` and have both signs. The new edge gets the label.
    """
    m = 0
    f = sign * values[0]
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        g = sign * values[j]
        if f >= 0.0:
            out_x[m], out_y[m] = x[i], y[i]
            out_edges[m] = label if f == 0.0 and g < 0.0 else edges[i]
            m += 1
        if (f > 0.0 and g < 0.0) or (f < 0.0 and g > 0.0):
            t = f / (f - g)
            out_x[m], out_y[m] = x[i] + t * (x[j] - x[i]), y[i] + t * (y[j] - y[i])
            out_edges[m] = label if f > 0.0 else edges[i]
            m += 1
        f = g
    return m


@bare
def area(x, y, n):  # type: ignore[no-untyped-def]
    """Return the area of a polygon whose corners run counter-clockwise."""
    twice = 0.0
    for i in range(1, n - 1):
        twice += (x[i] - x[0]) * (y[i + 1] - y[0]) - (x[i + 1] - x[0]) * (y[i] - y[0])
    return 0.5 * twice
