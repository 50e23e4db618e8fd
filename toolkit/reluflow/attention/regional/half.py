"""Pictures of half the side for a first pass that costs less, and what it answers, enlarged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.pairs import with_sizes

Array = NDArray[Any]
_HALF = 2


def half_sizes(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a picture of half the side.

    Args:
        shape: of the picture.
        axes: of its pixels; an odd number of them is rounded up.

    Example:
        >>> half_sizes((1, 3, 5, 8), (2, 3))
        (1, 3, 3, 4)
    """
    return tuple(-(-size // _HALF) if at in axes else size for at, size in enumerate(shape))


class Halves:
    """Halves pictures, in memory that stays: new pages cost more than the sums."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Array] = {}

    def __call__(self, name: str, values: Array, axes: tuple[int, ...]) -> Array:
        """Return a picture of half the side: the mean of each 2 x 2 pixels.

        Args:
            name: of the picture, whose memory is written over by the next one.
            values: floats.
            axes: of its pixels; where their number is odd, the last one is repeated.

        Example:
            >>> Halves()("image", np.array([[[1.0, 3.0, 5.0]]]), (2,)).tolist()
            [[[2.0, 5.0]]]
        """
        found = np.asarray(values)
        for at in axes:  # rows first: they are added whole
            made = self._memory(name, half_sizes(found.shape, (at,)), found.dtype)
            _add_pairs(np.moveaxis(found, at, 0), np.moveaxis(made, at, 0))
            found = made
        found *= found.dtype.type(1 / _HALF ** len(axes))
        return found

    def _memory(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        key = name, shape, dtype
        if key not in self._kept:
            self._kept[key] = np.empty(shape, dtype)
        return self._kept[key]


def _add_pairs(values: Array, into: Array) -> None:
    """Write the sum of each two along the first axis; a last one without partner counts twice."""
    pairs = len(values) // _HALF
    np.add(values[: pairs * _HALF : _HALF], values[1::_HALF], out=into[:pairs])
    if pairs < len(into):
        np.multiply(values[-1:], _HALF, out=into[pairs:])


class Enlarged(Mapping[str, Array]):
    """Outputs with the pixels of another model, each made when it is asked for.

    Args:
        values: output -> values.
        axes: output -> axes of its pixels.
        sizes: output -> wanted pixels along each of them.

    Example:
        >>> small = {"map": np.array([[[1.0, 2.0]]])}
        >>> Enlarged(small, {"map": (2,)}, {"map": (4,)})["map"].tolist()
        [[[1.0, 1.0, 2.0, 2.0]]]
    """

    def __init__(
        self,
        values: dict[str, Array],
        axes: Mapping[str, tuple[int, ...]],
        sizes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self._small, self._axes, self._sizes = values, axes, sizes
        self._made: dict[str, Array] = {}

    def new(self, name: str) -> Array:
        """Return an output in memory of its own.

        Args:
            name: of the output.
        """
        return with_sizes(self._small[name], self._axes[name], self._sizes[name])

    def __getitem__(self, name: str) -> Array:
        if name not in self._made:
            self._made[name] = self.new(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._small)

    def __len__(self) -> int:
        return len(self._small)
