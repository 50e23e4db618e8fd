"""A plane in a network's input space, and the window of it that is looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError

Floats = NDArray[np.float64]
SPANNING = 3
"""Points that a plane goes through."""
SIDE = 5.0
"""Half the side of the default window (thesis 2.2.4)."""
MOST_NUMBERS = 1 << 27
"""Numbers of one input, at most, through which a random plane is laid: its directions are drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A window of a plane: the inputs origin + u across + v up.

    Attributes:
        origin: `(...)`, the input at (0, 0), one input without a batch axis.
        across: `(...)`, what one unit of u adds.
        up: `(...)`, what one unit of v adds.
        window: least u, greatest u, least v, greatest v.
        points: `(n, 2)` coordinates of data points to show, may be empty.

    Example:
        >>> plane = plane_of_inputs((0, 4, 0, 2))
        >>> plane.at(np.array([[1.0, 2.0]])).tolist(), plane.middle, plane.half, plane.area
        ([[1.0, 2.0]], (2.0, 1.0), (2.0, 1.0), 8.0)
        >>> plane.grid(2, 1).tolist()
        [[1.0, 1.0], [3.0, 1.0]]
    """

    origin: Floats
    across: Floats
    up: Floats
    window: tuple[float, float, float, float] = (-SIDE, SIDE, -SIDE, SIDE)
    points: Floats | None = None

    def __post_init__(self) -> None:
        u0, u1, v0, v1 = self.window
        if not (np.isfinite(self.window).all() and u0 < u1 and v0 < v1):
            raise OptionError(
                f"the window is {list(self.window)}; give the least and the greatest u, then the "
                "least and the greatest v."
            )
        arrays = (self.origin, self.across, self.up)
        if not all(a.shape == self.origin.shape and np.isfinite(a).all() for a in arrays):
            raise OptionError(
                f"the plane's origin and directions have shapes {[list(a.shape) for a in arrays]}; "
                "give three finite arrays of the model's input shape."
            )
        if np.linalg.matrix_rank(np.stack([self.across.ravel(), self.up.ravel()])) < 2:
            raise OptionError(
                "the plane's two directions lie on one line; give three points that do not."
            )

    def at(self, coordinates: Floats) -> Floats:
        """Return the inputs at coordinates.

        Args:
            coordinates: `(n, 2)` of u and v.

        Returns:
            `(n, ...)` float64.
        """
        u, v = np.asarray(coordinates, np.float64).T.reshape(2, -1, *(1,) * self.origin.ndim)
        return np.asarray(self.origin + u * self.across + v * self.up)

    @property
    def middle(self) -> tuple[float, float]:
        """The window's centre."""
        u0, u1, v0, v1 = self.window
        return (u0 + u1) / 2, (v0 + v1) / 2

    @property
    def half(self) -> tuple[float, float]:
        """Half the window's width and height."""
        u0, u1, v0, v1 = self.window
        return (u1 - u0) / 2, (v1 - v0) / 2

    @property
    def area(self) -> float:
        """The window's area, in units of u times v."""
        return 4 * self.half[0] * self.half[1]

    def grid(self, width: int, height: int) -> Floats:
        """Return the coordinates of pixel centres.

        Args:
            width: number of pixels across.
            height: number of pixels up.

        Returns:
            `(height * width, 2)` of u and v, the top row first.
        """
        u0, u1, v0, v1 = self.window
        u = u0 + (np.arange(width) + 0.5) * (u1 - u0) / width
        v = v1 - (np.arange(height) + 0.5) * (v1 - v0) / height
        return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)


def plane_of_inputs(
    window: tuple[float, float, float, float] = (-SIDE, SIDE, -SIDE, SIDE),
) -> Plane:
    """Return the plane of a model that reads two numbers.

    Args:
        window: as in `Plane`.

    Raises:
        OptionError: the window has no width or no height.

    Example:
        >>> plane_of_inputs().window
        (-5.0, 5.0, -5.0, 5.0)
    """
    return Plane(np.zeros(2), np.array([1.0, 0.0]), np.array([0.0, 1.0]), window)


def plane_through(
    points: Sequence[Any] | NDArray[Any], window: tuple[float, float, float, float] | None = None
) -> Plane:
    """Return the plane through three inputs, which lie at (0, 0), (1, 0) and (0, 1).

    Args:
        points: three inputs, of one shape.
        window: as in `Plane`; the three points and a margin by default.

    Returns:
        The plane, with the three points marked.

    Raises:
        OptionError: they are not three, of different shapes or on one line.

    Example:
        >>> plane = plane_through([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
        >>> plane.at(np.array([[1.0, 1.0]])).tolist()
        [[2.0, 3.0, 1.0]]

    Reference: thesis, Fig. 2.11.
    """
    arrays = [np.asarray(point, np.float64) for point in points]
    if len(arrays) != SPANNING or len({array.shape for array in arrays}) != 1:
        raise OptionError(
            f"{len(arrays)} points of shapes {[list(a.shape) for a in arrays]} span no plane; give "
            "three inputs of one shape."
        )
    a, b, c = arrays
    own = window or (-0.5, 1.5, -0.5, 1.5)
    return Plane(a, b - a, c - a, own, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))


def random_plane(
    shape: Sequence[int],
    *,
    seed: int = 0,
    origin: NDArray[Any] | None = None,
    window: tuple[float, float, float, float] = (-SIDE, SIDE, -SIDE, SIDE),
) -> Plane:
    """Return a plane through an input along two random directions, of length 1 and at right angles.

    Args:
        shape: of one input.
        seed: of the directions.
        origin: `(...)` the input at (0, 0); zeros by default.
        window: as in `Plane`.

    Returns:
        The plane.

    Raises:
        OptionError: the window has no width or no height, or an input has fewer than two numbers
            or more than `MOST_NUMBERS`.

    Example:
        >>> plane = random_plane((3, 4), seed=1)
        >>> round(float(np.vdot(plane.across, plane.up)), 12)
        0.0
    """
    numbers = math.prod(shape)
    if not 2 <= numbers <= MOST_NUMBERS:
        raise OptionError(
            f"an input of shape {list(shape)} has {numbers:,} numbers, but random planes are laid "
            f"through inputs of 2 to {MOST_NUMBERS:,}; give another model."
        )
    draws = np.random.default_rng(seed).standard_normal((numbers, 2))
    directions = np.linalg.qr(draws)[0].T.reshape(2, *shape)
    start = np.zeros(tuple(shape)) if origin is None else np.asarray(origin, np.float64)
    return Plane(start, directions[0], directions[1], window)
