"""Line segments from M-LSD's outputs, drawn as a map.

The decoding is that of Gu et al., Towards light-weight and real-time line segment detection (2022):
where the score is high stands the middle of a segment, and the offsets lead to its ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SURE = 0.1
"""Least score of a segment, as the package has it."""
WIDTH = 3
"""Of a drawn segment, in pixels of the output."""


def drawn_lines(outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Return where segments run, `(n, height, width)`.

    Args:
        outputs: offsets `(n, height, width, 4)`, x and y of both ends, and scores
            `(n, height, width, 1)`.
    """
    offsets, scores = outputs
    return np.stack([_draw(a, b[..., 0]) for a, b in zip(offsets, scores, strict=True)])


def _draw(offsets: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    height, width = scores.shape
    picture = Image.new("1", (width, height))
    pen = ImageDraw.Draw(picture)
    for y, x in np.argwhere(scores > SURE):
        ends = offsets[y, x].astype(float) + np.array([x, y, x, y])
        if np.isfinite(ends).all():
            pen.line(ends.clip(-width, 2 * width).tolist(), fill=1, width=WIDTH)
    return np.asarray(picture)
