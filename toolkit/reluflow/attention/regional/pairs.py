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
        pairs = zip(source_graph.sizes[source], target_graph.sizes[target], strict=True)
        self._places = [nearest_places(m, n) for m, n in pairs]
        self._table = self._of_bytes() if source_graph.dtypes[source] == np.uint8 else None

    def write(self, values: Array, into: Array, mask: Mask | None) -> None:
        """Write the values of some pixels.

        Args:
            values: of the source, all of them.
            into: of the target, in place.
            mask: `(n, pixels...)`; None: all pixels.
        """
        given, made = (
            _channels_last(*each) for each in zip((values, into), self._axes, strict=True)
        )
        channels = made.shape[-1]
        if mask is None:
            grid = np.ix_(np.arange(len(into)), *self._places)
            made[...] = self._converted(given[grid][..., :channels])
            return
        at = np.nonzero(mask)
        nearest = (places[i] for places, i in zip(self._places, at[1:], strict=True))
        made[at] = self._converted(given[(at[0], *nearest)][..., :channels])

    def _converted(self, values: Array) -> Array:
        if self._table is not None:
            return np.asarray(self._table[values])
        return self._cast(self._floats(values))

    def _of_bytes(self) -> Array:
        return self._cast(self._floats(np.arange(1 << 8, dtype=np.uint8)))

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
