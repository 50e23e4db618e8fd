"""Textured grounds drawn by code: each kind is a function of a generator and a size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial import KDTree

Grey = NDArray[np.floating[Any]]
Size = tuple[int, int]


def clouds(rng: np.random.Generator, size: Size) -> Grey:
    """Draws soft noise: octaves of random values, each half as coarse as the one before."""
    coarsest = rng.uniform(16, 96)
    total = np.zeros(size, np.float32)
    for octave in range(5):
        step = max(coarsest / 2**octave, 1.0)
        few = rng.random([int(n / step) + 2 for n in size], np.float32)
        fine = zoom(few, [n / m for n, m in zip(size, few.shape, strict=True)], order=1)
        total += 0.6**octave * fine[: size[0], : size[1]]
    return total


def stripes(rng: np.random.Generator, size: Size) -> Grey:
    """Draws bent parallel waves."""
    across, along = _turned(rng, size)
    bend = rng.uniform(0, 6) * np.sin(along / rng.uniform(15, 60))
    wave = np.sin((across + bend) * 2 * np.pi / rng.uniform(5, 40))
    return np.sign(wave) * np.abs(wave) ** rng.uniform(0.3, 1.5)


def checks(rng: np.random.Generator, size: Size) -> Grey:
    """Draws a plaid: two crossed waves, one times the other or added."""
    across, along = _turned(rng, size)
    first, second = (
        np.sin(x * 2 * np.pi / rng.uniform(8, 50) + rng.uniform(0, 6)) for x in (across, along)
    )
    if rng.random() < 0.5:
        return np.tanh(rng.uniform(1, 6) * first * second)
    return first + rng.uniform(0.3, 1) * second


def cells(rng: np.random.Generator, size: Size) -> Grey:
    """Draws random cells, each of its own grey, with or without a rim."""
    distance, nearest = _nearest(rng, size, rng.uniform(10, 40))
    grey = rng.random(nearest.max() + 1)[nearest[..., 0]]
    rim = distance[..., 1] - distance[..., 0] < rng.uniform(0, 3)
    return np.where(rim, rng.random(), grey)


def grain(rng: np.random.Generator, size: Size) -> Grey:
    """Draws noise blurred more along one axis than along the other."""
    noise = rng.standard_normal(size, np.float32)
    return gaussian_filter(noise, rng.uniform(0.3, 4, 2))


def blobs(rng: np.random.Generator, size: Size) -> Grey:
    """Draws islands: soft noise cut at two levels."""
    noise = gaussian_filter(rng.standard_normal(size, np.float32), rng.uniform(2, 9))
    low, high = np.quantile(noise, np.sort(rng.uniform(0.1, 0.9, 2)))
    return (noise > low).astype(np.float32) + rng.random() * (noise > high)


def rings(rng: np.random.Generator, size: Size) -> Grey:
    """Draws wood: warped rings around a far centre."""
    rows, columns = np.indices(size)
    centre = rng.uniform(-0.5, 1.5, 2) * size
    warp = clouds(rng, size) * rng.uniform(5, 25)
    radius = np.hypot(rows - centre[0], (columns - centre[1]) * rng.uniform(0.2, 1)) + warp
    return np.sin(radius * 2 * np.pi / rng.uniform(6, 30))


def bricks(rng: np.random.Generator, size: Size) -> Grey:
    """Draws a wall: shifted rows of bricks, each of its own grey, with mortar between."""
    height, width = rng.integers(10, 24), rng.integers(20, 60)
    rows, columns = np.indices(size)
    row = rows // height
    shifted = columns + row * (width // 2)
    grey = rng.random((row.max() + 1, shifted.max() // width + 1))[row, shifted // width]
    mortar = (rows % height < 2) | (shifted % width < 2)
    return np.where(mortar, rng.random(), grey) + 0.1 * rng.standard_normal(size)


def pebbles(rng: np.random.Generator, size: Size) -> Grey:
    """Draws round stones, lit from one side."""
    spacing = rng.uniform(8, 24)
    distance, nearest = _nearest(rng, size, spacing)
    grey = rng.random(nearest.max() + 1)[nearest[..., 0]]
    height = np.clip(1 - distance[..., 0] / (0.6 * spacing), 0, None) ** 0.5
    return grey * (height > 0) + np.gradient(height, axis=int(rng.integers(2))) * 2


def weave(rng: np.random.Generator, size: Size) -> Grey:
    """Draws cloth: threads that go over and under each other."""
    pitch = rng.uniform(4, 16)
    across, along = _turned(rng, size)
    over = (np.floor(across / pitch) + np.floor(along / pitch)) % 2
    thread = np.where(over > 0, across % pitch, along % pitch) / pitch
    return np.sin(np.pi * thread) + rng.uniform(0, 0.5) * over


KINDS: dict[str, Callable[[np.random.Generator, Size], Grey]] = {
    kind.__name__: kind
    for kind in (clouds, stripes, checks, cells, grain, blobs, rings, bricks, pebbles, weave)
}
UNSEEN_KINDS = ("pebbles", "weave")
"""Kinds that training has none of; of the other kinds the test has other textures."""
TRAINING_KINDS = tuple(kind for kind in KINDS if kind not in UNSEEN_KINDS)
TEST_KINDS = tuple(KINDS)
CONTRASTS = (0.15, 0.45)
"""Between the darkest and the brightest value of a ground, of 1: least and most."""


def draw_texture(kind: str, seed: int, size: Size) -> NDArray[np.float32]:
    """Draws one ground.

    Args:
        kind: one of `KINDS`.
        seed: of all that is random in it.
        size: rows and columns.

    Returns:
        float32 of that size, in [0, 1]; neither all black nor all of one grey.

    Raises:
        SystemExit: there is no such kind.
    """
    if kind not in KINDS:
        raise SystemExit(f"kind is {kind!r}, but the textures are {', '.join(KINDS)}.")
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    drawn = np.asarray(KINDS[kind](rng, size), np.float64)
    low, high = np.quantile(drawn, (0.005, 0.995))
    unit = np.clip((drawn - low) / max(high - low, 1e-9), 0, 1)
    contrast = rng.uniform(*CONTRASTS)
    dark = rng.uniform(0, 1 - contrast)
    return np.asarray(dark + contrast * unit, np.float32)


def _turned(rng: np.random.Generator, size: Size) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the coordinates of all pixels on two axes turned by a random angle."""
    rows, columns = np.indices(size)
    angle = rng.uniform(0, np.pi)
    return (
        rows * np.cos(angle) - columns * np.sin(angle),
        rows * np.sin(angle) + columns * np.cos(angle),
    )


def _nearest(
    rng: np.random.Generator, size: Size, spacing: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns each pixel's distance to its two nearest random points, and which they are."""
    count = max(int(size[0] * size[1] / spacing**2), 2)
    points = rng.random((count, 2)) * size
    pixels = np.moveaxis(np.indices(size), 0, -1)
    distance, nearest = KDTree(points).query(pixels, k=2)
    return distance, nearest
