"""Boxes around faces: from BlazeFace's outputs, and how far two lists of boxes overlap.

The decoding is that of MediaPipe's face detector (Bazarevsky et al., 2019): an anchor in the middle
of each cell, offsets in pixels, and of overlapping boxes the mean weighted by their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 128
"""Pixels of the picture's side."""
GRIDS = ((16, 2), (8, 6))
"""Of both layers: cells per side, boxes per cell."""
SURE = 0.5
"""Least score of a box."""
_SAME = 0.3  # boxes that overlap more are one face's


class Box(NamedTuple):
    """A box in shares of the picture's side."""

    left: float
    top: float
    right: float
    bottom: float


def iou(a: Box, b: Box) -> float:
    """Return the area that two boxes share over the area they cover."""
    wide = min(a.right, b.right) - max(a.left, b.left)
    high = min(a.bottom, b.bottom) - max(a.top, b.top)
    both = max(0.0, wide) * max(0.0, high)
    either = _area(a) + _area(b) - both
    return both / either if either else 0.0


def _area(box: Box) -> float:
    return max(0.0, box.right - box.left) * max(0.0, box.bottom - box.top)


def matched_overlap(first: Sequence[Box], second: Sequence[Box]) -> tuple[float, int]:
    """Pair boxes of two lists, those that overlap most first.

    Returns:
        The sum of the pairs' IoU, and the number of pairs and of boxes without a partner.
    """
    pairs = sorted(
        ((iou(a, b), i, j) for i, a in enumerate(first) for j, b in enumerate(second)),
        reverse=True,
    )
    left, right, total = set(range(len(first))), set(range(len(second))), 0.0
    for value, i, j in pairs:
        if value > 0 and i in left and j in right:
            left.remove(i)
            right.remove(j)
            total += value
    return total, len(first) + len(right)


def faces(outputs: Sequence[NDArray[np.float32]]) -> list[list[Box]]:
    """Return the boxes of each picture, the surest first.

    Args:
        outputs: logits `(n, 512, 1)` and `(n, 384, 1)`, offsets `(n, 512, 16)` and `(n, 384, 16)`.
    """
    logits = np.concatenate(outputs[:2], axis=1)[..., 0].astype(np.float64)
    offsets = np.concatenate(outputs[2:], axis=1)[..., :4].astype(np.float64) / SIDE
    centres = offsets[..., :2] + _anchors()
    sizes = offsets[..., 2:]
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=-1)
    with np.errstate(over="ignore"):  # exp of a hopeless logit
        scores = 1 / (1 + np.exp(-logits))
    return [_merged(c[s > SURE], s[s > SURE]) for c, s in zip(corners, scores, strict=True)]


def _anchors() -> NDArray[np.float64]:
    """Return the centres of all cells, as often as they have boxes, `(896, 2)`: x, y."""
    found = []
    for cells, each in GRIDS:
        middle = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
        found.append(np.repeat(grid, each, axis=0))
    return np.concatenate(found)


def _merged(corners: NDArray[np.float64], scores: NDArray[np.float64]) -> list[Box]:
    """Return one box for each group of overlapping ones."""
    order = np.argsort(-scores, kind="stable")
    left = [(Box(*corners[i].tolist()), float(scores[i])) for i in order]
    found = []
    while left:
        group = [each for each in left if iou(each[0], left[0][0]) >= _SAME or each is left[0]]
        left = [each for each in left if each not in group]
        boxes, weights = zip(*group, strict=True)
        found.append(Box(*np.average(boxes, axis=0, weights=weights).tolist()))
    return found
