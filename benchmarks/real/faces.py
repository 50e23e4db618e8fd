"""Faces of scikit-image's lfw_subset pasted on photographs: inputs of a face detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from real.pictures import Array, find_picture, views

N_FACES = 100  # the first ones of the file; the others show no face
_SIDES = (0.3, 0.6)  # of a face, as shares of the picture's side
_EDGE = 0.18  # share of a face's side in which it fades into the picture


def face_pictures(
    names: Sequence[str], each: int, side: int, seed: int, faces: range = range(N_FACES)
) -> Array:
    """Return views of pictures with one or two faces on each.

    Args:
        names: of the pictures.
        each: views of one picture.
        side: of a view in pixels.
        seed: chooses views, faces, their sizes and places.
        faces: numbers of the faces to choose from, below 100.

    Returns:
        `(len(names) * each, side, side, 3)`, red, green, blue from 0 to 255.
    """
    found = views(names, each, side, side, seed)
    known = np.load(Path(find_picture("astronaut")).parent / "lfw_subset.npy")
    rng = np.random.default_rng(seed)
    for picture in found:
        for place in rng.permutation(2)[: rng.integers(1, 3)]:
            _paste(picture, known[rng.choice(faces)], int(place), rng)
    return found


def _paste(picture: Array, face: np.ndarray, half: int, rng: np.random.Generator) -> None:
    """Put a face somewhere into the left (0) or the right (1) half of a picture."""
    side = len(picture)
    size = int(side * rng.uniform(*_SIDES))
    size = min(size, side // 2)
    grey = Image.fromarray(np.uint8(255 * face)).resize((size, size), Image.Resampling.BICUBIC)
    top = int(rng.integers(0, side - size + 1))
    left = half * (side // 2) + int(rng.integers(0, side // 2 - size + 1))
    ramp = np.minimum(1, (0.5 + np.arange(size)) / (_EDGE * size))
    weight = np.minimum.outer(np.minimum(ramp, ramp[::-1]), np.minimum(ramp, ramp[::-1]))[..., None]
    part = picture[top : top + size, left : left + size]
    part += np.float32(weight) * (np.asarray(grey, np.float32)[..., None] - part)
