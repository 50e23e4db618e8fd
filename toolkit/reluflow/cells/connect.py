"""Connected pieces of what lies side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Indices = NDArray[np.int64]


def components(n: int, start: Indices, end: Indices) -> tuple[int, Indices]:
    """Return how many connected pieces things have, and the piece of each.

    Args:
        n: number of things, below 2^31.
        start: one side of each connection, a number below `n`.
        end: the other side.

    Example:
        >>> count, pieces = components(3, np.array([0]), np.array([2]))
        >>> count, pieces.tolist()
        (2, [0, 1, 0])
    """
    # scipy takes graphs with numbers of 32 bits alone before 1.13.
    pairs = start.astype(np.int32), end.astype(np.int32)
    graph = coo_array((np.ones(len(start), np.bool_), pairs), shape=(n, n))
    count, labels = connected_components(graph, directed=False)
    return int(count), labels.astype(np.int64)
