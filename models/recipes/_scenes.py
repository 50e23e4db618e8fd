"""Wide scenes: pictures of FashionMNIST at random places of a textured ground, labels known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from _textures import TEST_KINDS, draw_texture
from numpy.typing import NDArray

SIDE = 28
"""Pixels of an object's box along each axis."""
GROUND, VOID = 10, 255
"""Labels beside the ten classes: the ground, and a cell that is neither one nor the other."""
DARKEST = 16
"""Stored value (of 255) from which a pixel of a picture belongs to the object."""
GAP = 4
"""Least number of pixels between the boxes of two objects."""
COVERAGES = (0.01, 0.1)
"""Of the first and of the last scene of a set; the others lie evenly between."""
SIZE = (256, 1024)
"""Rows and columns of a scene, unless something else is asked for."""
CELL_SHARE = 0.25
"""Share of a cell that an object has to cover for the cell to have its label."""


@dataclass(frozen=True)
class Scene:
    """One composed picture and what is in it.

    Attributes:
        image: float32 `(1, h, w)` in [0, 1].
        labels: uint8 `(h, w)`: class of the object in a pixel, or `GROUND`.
        number: int32 `(h, w)`: which object covers a pixel, from 0 on, or -1.
        classes: int64 `(n,)`: class of each object.
        places: int64 `(n, 2)`: first row and column of each object's box.
        kind: of the ground's texture.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    number: NDArray[np.int32]
    classes: NDArray[np.int64]
    places: NDArray[np.int64]
    kind: str

    @property
    def coverage(self) -> float:
        """Share of the pixels that objects cover, in [0, 1]."""
        return float((self.number >= 0).mean())


def compose(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    coverage: float,
    seed: int,
    size: tuple[int, int] = SIZE,
    kinds: tuple[str, ...] = TEST_KINDS,
) -> Scene:
    """Composes one scene: a ground, and objects on it until they cover what is wanted.

    Objects are drawn with replacement, half of them mirrored, and put at places where no other
    one lies. A pixel of an object is what is stored; those darker than `DARKEST` show the ground.

    Args:
        images: uint8 `(n, 28, 28)`, as stored.
        labels: whole numbers `(n,)` from 0 to 9.
        coverage: share of the scene's pixels for objects, above 0; it is passed by less than one.
        seed: of the ground, the objects and their places.
        size: rows and columns, each at least 28.
        kinds: of textures to choose from.

    Returns:
        The scene.

    Raises:
        SystemExit: an argument is out of range, or so many objects find no place.
    """
    _check(images, labels, coverage, size, kinds)
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(kinds))
    ground = draw_texture(kind, int(rng.integers(2**31)), size)
    scene = place_objects(images, labels, coverage, rng, ground, kind)
    if scene.coverage < coverage:
        raise SystemExit(
            f"coverage is {coverage}, but only {scene.coverage:.3f} found a place in {size[0]} x "
            f"{size[1]} pixels; give a smaller coverage or a larger scene."
        )
    return scene


def scene_set(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    n: int,
    seed: int,
    size: tuple[int, int] = SIZE,
    kinds: tuple[str, ...] = TEST_KINDS,
) -> Iterator[Scene]:
    """Composes scenes of 1 to 10 % of objects, the kinds of ground in turn in an order of the seed.

    Args:
        images: as in `compose`.
        labels: as in `compose`.
        n: number of scenes, at least 1.
        seed: of the set; sets of other seeds have no scene in common.
        size: as in `compose`.
        kinds: of textures.

    Yields:
        The scenes, one at a time.

    Raises:
        SystemExit: an argument is out of range.
    """
    if n < 1:
        raise SystemExit(f"n is {n}; give a number of scenes from 1 on.")
    if not kinds:
        raise SystemExit("kinds are none; name at least one texture.")
    seeds = np.random.SeedSequence(seed).generate_state(n)
    order = np.random.default_rng(seed).permutation(len(kinds))
    for number, coverage in enumerate(np.linspace(*COVERAGES, n)):
        kind = kinds[order[number % len(kinds)]]
        yield compose(images, labels, float(coverage), int(seeds[number]), size, (kind,))


def place_objects(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    coverage: float,
    rng: np.random.Generator,
    ground: NDArray[np.float32],
    kind: str,
) -> Scene:
    """Puts objects on a ground until they cover what is wanted or find no place.

    Args:
        images: as in `compose`.
        labels: as in `compose`.
        coverage: as in `compose`.
        rng: chooses objects and places.
        ground: float32 `(h, w)` in [0, 1].
        kind: of its texture.

    Returns:
        The scene.
    """
    size = ground.shape
    image = ground.copy()
    number = np.full(size, -1, np.int32)
    free = np.ones([n - SIDE + 1 for n in size], bool)
    chosen: list[int] = []
    places: list[tuple[int, int]] = []
    covered = 0
    while covered < coverage * ground.size:
        place = _find_place(rng, free)
        if place is None:
            break
        which = int(rng.integers(len(images)))
        picture = images[which][:, :: int(rng.choice([-1, 1]))]
        inside = picture >= DARKEST
        box = tuple(slice(first, first + SIDE) for first in place)
        image[box] = np.where(inside, picture.astype(np.float32) / np.float32(255), image[box])
        number[box] = np.where(inside, len(chosen), number[box])
        near = tuple(slice(max(first - SIDE - GAP + 1, 0), first + SIDE + GAP) for first in place)
        free[near] = False
        chosen.append(which)
        places.append(place)
        covered += int(inside.sum())
    classes = np.asarray(labels, np.int64)[chosen]
    of_pixel = np.append(classes, GROUND)[number].astype(np.uint8)  # -1 is the last: the ground
    return Scene(image[None], of_pixel, number, classes, np.array(places, np.int64), kind)


def cell_labels(labels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Returns the label of each square cell of a scene.

    A cell has an object's label where it covers a quarter of it or more, that of the ground
    where none covers any of it, and is `VOID` between.

    Args:
        labels: uint8 `(h, w)`, of `Scene.labels`.
        side: pixels along each axis of a cell; the last cells may be smaller.

    Returns:
        uint8 `(ceil(h / side), ceil(w / side))`.
    """
    rows, columns = (-(-n // side) for n in labels.shape)
    down, right = (np.arange(n) // side for n in labels.shape)
    slot = (down[:, None] * columns + right) * (GROUND + 1) + labels
    counts = np.bincount(slot.reshape(-1), minlength=rows * columns * (GROUND + 1))
    of_class = counts.reshape(rows, columns, GROUND + 1)[..., :GROUND]
    most = of_class.max(-1)
    found = np.where(most >= CELL_SHARE * side**2, of_class.argmax(-1), VOID)
    return np.where(most == 0, GROUND, found).astype(np.uint8)


def cell_shares(mask: NDArray[np.bool_], side: int) -> NDArray[np.float64]:
    """Returns the share of each cell that a mask covers; the arguments are as in `cell_labels`."""
    ends = [(0, -n % side) for n in mask.shape]
    padded = np.pad(mask, ends)
    rows, columns = (n // side for n in padded.shape)
    return padded.reshape(rows, side, columns, side).mean((1, 3))


def halve(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns pictures `(..., h, w)` at half the side: the mean of each 2 x 2 pixels."""
    rows, columns = (n // 2 * 2 for n in image.shape[-2:])
    even = image[..., :rows, :columns]
    parts = even.reshape(*image.shape[:-2], rows // 2, 2, columns // 2, 2)
    return parts.mean((-3, -1), dtype=np.float32)


def _find_place(rng: np.random.Generator, free: NDArray[np.bool_]) -> tuple[int, int] | None:
    left = np.flatnonzero(free)
    if not len(left):
        return None
    row, column = divmod(int(left[rng.integers(len(left))]), free.shape[1])
    return row, column


def _check(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    coverage: float,
    size: tuple[int, int],
    kinds: Iterable[str],
) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise SystemExit(
            f"images are {images.dtype} {list(images.shape)}; give uint8 (n, 28, 28), at least one."
        )
    if labels.shape != (len(images),) or labels.min() < 0 or labels.max() >= GROUND:
        raise SystemExit(
            f"labels are {list(labels.shape)} from {labels.min()} to {labels.max()}; give one for "
            f"each of the {len(images)} images, from 0 to 9."
        )
    if not 0 < coverage < 1:
        raise SystemExit(f"coverage is {coverage}; give a share above 0 and below 1.")
    if len(size) != 2 or min(size) < SIDE:
        raise SystemExit(f"size is {size}; give rows and columns, each at least {SIDE}.")
    if not kinds:
        raise SystemExit("kinds are none; name at least one texture.")
