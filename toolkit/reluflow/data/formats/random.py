"""Random inputs, used only on explicit request."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reluflow.data.sources.column import Array, Column
from reluflow.data.sources.spec import InputSpec
from reluflow.data.sources.validate import is_floating
from reluflow.errors import OptionError

_LARGEST_BYTES = 2**33
"""More than this is a mistaken size, or more memory than most machines have."""


@dataclass(frozen=True, slots=True)
class RandomData:
    """Ask for random inputs in the shapes that the model wants.

    Floats are standard normal, booleans fair coins, uint8 uniform in 0..255 and other
    integers uniform in 0..high-1. Sample i depends only on the seed, the name of the input and i.

    Attributes:
        n_samples: number of samples.
        seed: of all draws.
        dims: sizes of symbolic dimensions by name, e.g. {"H": 224}, or by place for nameless
            ones, e.g. {"x[2]": 224}; the batch axis needs none.
        high: bound of integer inputs, one for all or by input name (a vocabulary's size);
            2 suits masks and every vocabulary.

    Raises:
        OptionError: a number that is not a whole number, or too small.

    Example:
        >>> from reluflow.data import open_data
        >>> spec = InputSpec("x", np.dtype("float32"), ("N", 3, "H"))
        >>> data = open_data(RandomData(8, seed=1, dims={"H": 5}), [spec])
        >>> next(data.batches(8))["x"].shape
        (8, 3, 5)
    """

    n_samples: int
    seed: int = 0
    dims: Mapping[str, int] = field(default_factory=dict)
    high: int | Mapping[str, int] = 2

    def __post_init__(self) -> None:
        _whole("n_samples", self.n_samples, 1)
        _whole("seed", self.seed, 0)
        for name, size in self.dims.items():
            _whole(f"dims[{name!r}]", size, 1)
        highs = self.high if isinstance(self.high, Mapping) else {"": self.high}
        for name, bound in highs.items():
            _whole(f"high[{name!r}]" if name else "high", bound, 1)


def _whole(name: str, value: object, least: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        raise OptionError(f"{name} is {value!r}; give a whole number of at least {least}.")


class RandomColumn(Column):
    """Draws sample by sample, so that batches of any size agree."""

    def __init__(self, spec: InputSpec, asked: RandomData) -> None:
        self.n_samples = int(asked.n_samples)
        self.shape = _sizes(spec, asked)
        self.dtype = spec.dtype
        _check_size(spec, self.shape)
        self._seed = (int(asked.seed), zlib.crc32(spec.name.encode()))
        self._high = _bound(spec, asked)

    def stream(self, start: int, batch_size: int) -> Iterator[Array]:
        """Yield batches of draws."""
        for first in range(start, self.n_samples, batch_size):
            yield self.take(range(first, min(first + batch_size, self.n_samples)))

    def take(self, indices: Sequence[int]) -> Array:
        """Draw the samples at `indices`."""
        batch = np.empty((len(indices), *self.shape), self.dtype)
        for row, index in enumerate(indices):
            batch[row] = self._draw(index)
        return batch

    def _draw(self, index: int) -> Array:
        generator = np.random.default_rng((*self._seed, index))
        if is_floating(self.dtype):
            wide = np.float64 if self.dtype == np.float64 else np.float32
            draws: Array = generator.standard_normal(self.shape, wide)
            return draws.astype(self.dtype)
        if self.dtype.kind == "c":
            draws = generator.standard_normal((2, *self.shape))
            return np.asarray(draws[0] + 1j * draws[1], self.dtype)
        draws = generator.integers(0, self._high, self.shape)
        return draws.astype(self.dtype)


def _bound(spec: InputSpec, asked: RandomData) -> int:
    if spec.dtype == np.bool_:
        return 2
    high = asked.high.get(spec.name) if isinstance(asked.high, Mapping) else asked.high
    if spec.dtype == np.uint8 and not isinstance(asked.high, Mapping):
        high = 256
    bound = int(high or (256 if spec.dtype == np.uint8 else 2))
    if spec.dtype.kind in "iu" and bound - 1 > np.iinfo(spec.dtype).max:
        raise OptionError(
            f"high is {bound} for input '{spec.name}', but {spec.dtype} ends at "
            f"{np.iinfo(spec.dtype).max}; give a smaller bound."
        )
    return bound


def _sizes(spec: InputSpec, asked: RandomData) -> tuple[int, ...]:
    if spec.shape is None:
        raise OptionError(
            f"input '{spec.name}' has an unknown rank, so random data cannot be drawn for it; "
            "give data of the right shape."
        )
    sizes: list[int] = []
    for axis, dim in enumerate(spec.shape[1:], start=1):
        place = f"{spec.name}[{axis}]"
        size = asked.dims.get(place, asked.dims.get(dim) if isinstance(dim, str) else None)
        size = dim if isinstance(dim, int) else size
        if size is None:
            key = dim if isinstance(dim, str) else place
            raise OptionError(
                f"input '{spec.name}' wants {spec}, and axis {axis} has no size; "
                f"give it one: RandomData({asked.n_samples}, dims={{'{key}': 224}})."
            )
        sizes.append(int(size))
    return tuple(sizes)


def _check_size(spec: InputSpec, sizes: tuple[int, ...]) -> None:
    taken = math.prod(sizes) * spec.dtype.itemsize
    if taken > _LARGEST_BYTES:
        raise OptionError(
            f"one sample of input '{spec.name}' is {spec.dtype} {list(sizes)} and takes {taken:,} "
            f"bytes, more than the {_LARGEST_BYTES:,} that are drawn at most; give smaller sizes."
        )


def idle_dims(specs: Sequence[InputSpec], asked: RandomData) -> list[str]:
    """Return the dimensions that sizes were given to and that no input leaves open."""
    free = {
        name
        for spec in specs
        for axis, dim in enumerate(spec.shape or ())
        if axis and not isinstance(dim, int)
        for name in (f"{spec.name}[{axis}]", dim)
    }
    return [name for name in asked.dims if name not in free]


def random_identity(asked: RandomData, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return what distinguishes these draws from others, in plain JSON values."""
    shapes = {name: [str(column.dtype), *column.shape] for name, column in columns.items()}
    high = dict(asked.high) if isinstance(asked.high, Mapping) else asked.high
    return {"seed": int(asked.seed), "shapes": shapes, "high": high}
