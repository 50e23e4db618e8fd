"""Tensors that two forms of one network share, and the values of one in the form of the other."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.graph import ChainFormat, SpatialGraph

Array = NDArray[Any]
Mask = NDArray[np.bool_]
_FORM = re.compile(r"/(bytes|int16)(_\d+)?$")


def float_name(tensor: str) -> str:
    """Return the tensor of the float model that a tensor of a chain stands for.

    Args:
        tensor: a tensor of a converted model.

    Example:
        >>> float_name("relu/bytes"), float_name("relu/int16_2"), float_name("relu")
        ('relu', 'relu', 'relu')
    """
    return _FORM.sub("", tensor)


def pair_tensors(fine: Collection[str], coarse: Collection[str]) -> dict[str, str]:
    """Return tensor of the fine model -> the same of the coarse one.

    Args:
        fine: tensors of the one.
        coarse: tensors of the other; of several forms of one tensor the first counts.

    Example:
        >>> pair_tensors(["a/int16", "b"], ["a/bytes", "a/bytes_2", "c"])
        {'a/int16': 'a/bytes'}
    """
    known: dict[str, str] = {}
    for name in coarse:
        known.setdefault(float_name(name), name)
    found = ((name, known.get(float_name(name))) for name in fine)
    return {name: partner for name, partner in found if partner is not None}


class Places:
    """Where the pixels of a mask lie, in a tensor and in another of its sizes or of others.

    Args:
        mask: bool, `(n, pixels...)`.

    Example:
        >>> places = Places(np.array([[[False, True, False, True]]]))
        >>> places.target.tolist(), places.source((1, 2)).tolist()
        ([1, 3], [0, 1])
    """

    def __init__(self, mask: Mask) -> None:
        self._shape = mask.shape
        self.target: NDArray[np.int64] = np.flatnonzero(mask)
        self._sources: dict[tuple[int, ...], NDArray[np.int64]] = {}

    def source(self, sizes: tuple[int, ...]) -> NDArray[np.int64]:
        """Return the nearest pixels of another size, flat.

        Args:
            sizes: its pixels along each axis.
        """
        if sizes == self._shape[1:]:
            return self.target
        if sizes not in self._sources:
            at = np.unravel_index(self.target, self._shape)
            found = at[0]
            for of, size, own in zip(at[1:], sizes, self._shape[1:], strict=True):
                found = found * size + nearest_places(size, own)[of]
            self._sources[sizes] = found
        return self._sources[sizes]


class Converter:
    """Turns values of one tensor into those of another: format, layout, number of pixels.

    A pixel takes the value of the nearest one; a value the nearest that the format has.

    Args:
        source: the coarse tensor.
        source_graph: its graph.
        source_form: what its integers stand for; None: floats.
        target: the fine tensor.
        target_graph: its graph.
        target_form: what its integers stand for; None: floats.

    Attributes:
        plain: the values are floats in both, and of one type.
    """

    def __init__(
        self,
        source: str,
        source_graph: SpatialGraph,
        source_form: ChainFormat | None,
        target: str,
        target_graph: SpatialGraph,
        target_form: ChainFormat | None,
    ) -> None:
        self.source, self.target = source, target
        self._axes = source_graph.axes[source], target_graph.axes[target]
        self._forms = source_form, target_form
        self._dtype = target_graph.dtypes[target]
        self._sizes = source_graph.sizes[source], target_graph.sizes[target]
        given = source_graph.dtypes[source]
        self.plain = given == self._dtype and source_form is None and target_form is None
        self._table = self._of_bytes() if given == np.uint8 else None
        self._shift = self._of_shift()

    def write(self, values: Array, into: Array, places: Places | None) -> None:
        """Write the values of some pixels.

        Args:
            values: of the source, all of them.
            into: of the target, in place.
            places: of the target's pixels; None: all of them.
        """
        given, made = (
            _channels_last(*each) for each in zip((values, into), self._axes, strict=True)
        )
        channels = made.shape[-1]
        if places is None:
            whole = self._converted(given[..., :channels])
            with_sizes(whole, tuple(range(1, whole.ndim - 1)), self._sizes[1], made)
            return
        rows = _taken(given, places.source(self._sizes[0]))
        _put(made, places.target, self._converted(rows[..., :channels]))

    def _converted(self, values: Array) -> Array:
        if self._shift is not None:
            zero, by = self._shift
            found = values.astype(self._dtype)
            if zero:
                found -= zero
            found <<= by
            return found
        if self._table is not None:
            return np.asarray(self._table[values])
        return self._cast(self._floats(values))

    def _of_bytes(self) -> Array:
        return self._cast(self._floats(np.arange(1 << 8, dtype=np.uint8)))

    def _of_shift(self) -> tuple[int, int] | None:
        """Return a zero and a shift that do what the table does, faster; None: there are none."""
        source, target = self._forms
        if self._table is None or source is None or target is None or target.zero:
            return None
        by = target.exponent - source.exponent
        if by < 0:
            return None
        exact = (np.arange(1 << 8, dtype=np.int64) - source.zero) << by
        return (source.zero, by) if (exact == self._table).all() else None

    def _floats(self, values: Array) -> Array:
        form = self._forms[0]
        if form is None:
            return values
        return np.asarray(np.ldexp(values.astype(np.float64) - form.zero, -form.exponent))

    def _cast(self, values: Array) -> Array:
        form = self._forms[1]
        if form is None:
            return values.astype(self._dtype)
        limits = np.iinfo(self._dtype)
        found = np.rint(np.ldexp(values.astype(np.float64), form.exponent)) + form.zero
        lowest = -limits.max if limits.min else 0  # int16 of a chain are symmetric
        return np.asarray(np.nan_to_num(found).clip(lowest, limits.max).astype(self._dtype))


def with_sizes(
    values: Array, axes: tuple[int, ...], sizes: tuple[int, ...], into: Array | None = None
) -> Array:
    """Return values with another number of pixels: each that of the nearest one.

    Args:
        values: of any type.
        axes: of its pixels, rising.
        sizes: wanted along each of them.
        into: memory for them; None: it is new.

    Example:
        >>> with_sizes(np.array([[1, 2]]), (0, 1), (2, 4)).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    if into is None:
        wanted = dict(zip(axes, sizes, strict=True))
        shape = [wanted.get(at, size) for at, size in enumerate(values.shape)]
        into = np.empty(shape, values.dtype)
    pairs = list(zip(axes, sizes, strict=True))
    if all(size % values.shape[at] == 0 for at, size in pairs):
        _repeat(values, into, axes, [size // values.shape[at] for at, size in pairs])
        return into
    found = values
    for at, size in pairs:
        found = found.take(nearest_places(found.shape[at], size), axis=at)
    into[...] = found
    return into


def _repeat(values: Array, into: Array, axes: tuple[int, ...], steps: list[int]) -> None:
    """Write every value so many times along each axis; whole rows are copied last."""
    if not axes:
        into[...] = values
        return
    at, by = axes[0], steps[0]
    of = [tuple([slice(None)] * at + [slice(i, None, by)]) for i in range(by)]
    _repeat(values, into[of[0]], axes[1:], steps[1:])
    for each in of[1:]:
        into[each] = into[of[0]]


def _taken(values: Array, at: NDArray[np.int64]) -> Array:
    """Return rows of channels by the flat number of their pixel."""
    if values.flags.c_contiguous:
        return values.reshape(-1, values.shape[-1]).take(at, axis=0)
    return np.asarray(values[np.unravel_index(at, values.shape[:-1])])


def _put(values: Array, at: NDArray[np.int64], rows: Array) -> None:
    """Write rows of channels by the flat number of their pixel."""
    if values.flags.c_contiguous and at.size:
        whole = f"V{values.shape[-1] * values.itemsize}"  # a row at once takes half the time
        values.view(whole).reshape(-1).put(at, np.ascontiguousarray(rows).view(whole).reshape(-1))
    elif at.size:
        values[np.unravel_index(at, values.shape[:-1])] = rows


def nearest_places(n: int, size: int) -> NDArray[np.int64]:
    """Return for each of `size` pixels the nearest of n.

    Args:
        n: pixels of the source.
        size: pixels of the target.

    Example:
        >>> nearest_places(2, 4).tolist(), nearest_places(3, 3).tolist()
        ([0, 0, 1, 1], [0, 1, 2])
    """
    return np.minimum((2 * np.arange(size) + 1) * n // (2 * size), n - 1)


def _channels_last(values: Array, axes: tuple[int, ...]) -> Array:
    """Return a view with the axes of pixels behind the first, and the channels last."""
    return np.moveaxis(values, axes, range(1, 1 + len(axes)))
