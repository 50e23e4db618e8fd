"""What a layer's inputs look like on data: means and second moments, added up batch by batch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.psb._window import Window, place_window

_F64 = NDArray[np.float64]
_ROWS_AT_ONCE = 4096
"""Rows of one matrix product in float32; the products are added in float64."""


class InputMoments:
    """Moments of the numbers that a layer's weights multiply, with and without quantisation.

    An output's K = C / group * taps inputs at one place are a row. Means are those of all rows;
    second moments are those of a random choice of rows, the same in both.

    Args:
        shape: of the layer's weights, output channels first.
        window: strides, dilations, pads, auto_pad and group of a convolution; None: a matrix.
        rows: rows per sample of a batch that second moments are made of, at most.
        seed: of the choice.
        products: whether second moments are wanted; without them memory is small.

    Attributes:
        n_rows: rows that went into the second moments.

    Example:
        >>> found = InputMoments((1, 2), None, rows=9, seed=0)
        >>> x = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
        >>> found.add(2 * x, x)
        >>> found.mean.tolist(), found.exact_mean.tolist()
        ([[2.0, 3.0]], [[4.0, 6.0]])
        >>> found.second(centred=True).tolist(), found.cross(centred=True).tolist()
        ([[[1.0, 1.0], [1.0, 1.0]]], [[[2.0, 2.0], [2.0, 2.0]]])

    Reference: Frantar et al., GPTQ (2022), section 3: the Hessian of a layer's squared error.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        window: Mapping[str, Any] | None,
        *,
        rows: int,
        seed: int,
        products: bool = True,
    ) -> None:
        self._window = window
        self._kernel = shape[2:] if window is not None else ()
        self._groups = 1 if window is None else int(window.get("group", 1))
        self._k = math.prod(shape[1:])
        self._rows = rows
        self._rng = np.random.default_rng(seed)
        inputs, outputs = (self._groups, self._k), (self._groups, shape[0] // self._groups)
        self._sums = {
            **{name: np.zeros(inputs) for name in ("x", "exact", "chosen x", "chosen exact")},
            **{name: np.zeros(outputs) for name in ("beside", "chosen beside")},
        }
        squares = {"x": inputs, "exact": inputs, "beside": outputs} if products else {}
        self._products = {name: np.zeros((*size, self._k)) for name, size in squares.items()}
        self._count = 0
        self.n_rows = 0

    @property
    def has_products(self) -> bool:
        """Whether second moments are made."""
        return bool(self._products)

    @property
    def mean(self) -> _F64:
        """Mean `(groups, K)` of the quantised inputs."""
        return self._sums["x"] / max(self._count, 1)

    @property
    def exact_mean(self) -> _F64:
        """Mean `(groups, K)` of the exact inputs."""
        return self._sums["exact"] / max(self._count, 1)

    @property
    def beside_mean(self) -> _F64:
        """Mean `(groups, outputs / groups)` of what is missing beside the layer."""
        return self._sums["beside"] / max(self._count, 1)

    def second(self, *, centred: bool) -> _F64:
        """Return E[x x^T] `(groups, K, K)` of the quantised inputs.

        Args:
            centred: take off the product of the means, as a corrected bias does.
        """
        return self._moment("x", centred)

    def cross(self, *, centred: bool) -> _F64:
        """Return E[z x^T] `(groups, K, K)` of the exact inputs z and the quantised inputs x.

        Args:
            centred: take off the product of the means.
        """
        return self._moment("exact", centred)

    def beside(self, *, centred: bool) -> _F64:
        """Return E[r x^T] `(groups, outputs / groups, K)`, r what is missing beside the layer.

        Args:
            centred: take off the product of the means.
        """
        return self._moment("beside", centred)

    def _moment(self, name: str, centred: bool) -> _F64:
        n = max(self.n_rows, 1)
        moment = self._products[name] / n
        if centred:
            means = self._sums[f"chosen {name}"] / n, self._sums["chosen x"] / n
            moment -= means[0][:, :, None] * means[1][:, None, :]
        return moment

    def include(self, other: InputMoments) -> None:
        """Add the rows of other moments of the same layer.

        Args:
            other: made with the same shape and window.
        """
        for mine, theirs in ((self._sums, other._sums), (self._products, other._products)):
            for name, value in theirs.items():
                mine[name] += value
        self._count += other._count
        self.n_rows += other.n_rows

    def add(
        self,
        exact: NDArray[np.float32],
        x: NDArray[np.float32],
        beside: NDArray[np.float32] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            exact: what the layer gets in the float model.
            x: what it gets in the quantised model, of the same shape.
            beside: of the shape of the layer's output: what another tensor that is added to it
                lacks in the quantised model.
        """
        total, chosen, means, rows = self._taken(exact, x)
        self._count += total
        self.n_rows += len(chosen)
        self._sums["exact"] += total * means[0]
        self._sums["x"] += total * means[1]
        self._add_products("exact", rows[0], rows[1])
        self._add_products("x", rows[1], rows[1])
        if beside is not None:
            axis = -1 if self._window is None else 1
            flat = np.moveaxis(beside, axis, 0).reshape(*self._sums["beside"].shape, -1)
            self._sums["beside"] += flat.sum(axis=2, dtype=np.float64)
            self._add_products("beside", flat[:, :, chosen], rows[1])

    def _taken(
        self, *pair: NDArray[np.float32]
    ) -> tuple[int, NDArray[np.int64], list[_F64], list[NDArray[np.float32]]]:
        """Return the number of rows, those chosen, and means and values `(groups, K, rows)`."""
        samples = len(pair[0])
        if self._window is None:
            flat = [each.reshape(-1, self._k) for each in pair]
            total = len(flat[0])
            chosen = self._choose(total, samples)
            means = [each.mean(axis=0, dtype=np.float64)[None] for each in flat]
            return total, chosen, means, [each[chosen].T[None] for each in flat]
        place = self._place(pair[0])
        total = samples * math.prod(place.output)
        chosen = self._choose(total, samples)
        taken = [_take(each, place, chosen) for each in pair]
        means = [each[0].reshape(self._groups, self._k) for each in taken]
        return total, chosen, means, [e[1].reshape(self._groups, self._k, -1) for e in taken]

    def _choose(self, total: int, samples: int) -> NDArray[np.int64]:
        most = min(total, self._rows * samples)
        if most == total:
            return np.arange(total)
        return np.sort(self._rng.choice(total, most, replace=False))

    def _place(self, x: NDArray[np.float32]) -> Window:
        given = dict(self._window or {})
        given.pop("group", None)
        return place_window(x.shape[2:], self._kernel, **given)

    def _add_products(self, name: str, left: NDArray[np.float32], x: NDArray[np.float32]) -> None:
        """Add products of two `(groups, numbers, rows)`."""
        if name not in self._products:
            return
        self._sums[f"chosen {name}"] += left.sum(axis=2, dtype=np.float64)
        for start in range(0, x.shape[2], _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            self._products[name] += left[:, :, part] @ x[:, :, part].transpose(0, 2, 1)


def _take(
    x: NDArray[np.float32], window: Window, chosen: NDArray[np.int64]
) -> tuple[_F64, NDArray[np.float32]]:
    """Return the mean `(C, taps)` of all places and the values `(C, taps, rows)` at some."""
    inner = tuple(
        slice(max(0, -b), n + min(0, e))
        for n, b, e in zip(x.shape[2:], window.begin, window.end, strict=True)
    )
    around = [(max(0, b), max(0, e)) for b, e in zip(window.begin, window.end, strict=True)]
    cut = x[(slice(None), slice(None), *inner)]
    # channels first: a tap's values at all places of all samples are then one row
    padded = np.pad(cut.swapaxes(0, 1), [(0, 0), (0, 0), *around])
    means, rows = [], []
    for tap in itertools.product(*(range(k) for k in window.kernel)):
        seen = [
            slice(t * gap, t * gap + (n - 1) * step + 1, step)
            for t, gap, n, step in zip(
                tap, window.dilations, window.output, window.strides, strict=True
            )
        ]
        flat = padded[(slice(None), slice(None), *seen)].reshape(x.shape[1], -1)
        means.append(flat.mean(axis=1, dtype=np.float64))
        rows.append(flat[:, chosen])
    return np.stack(means, axis=1), np.stack(rows, axis=1)
