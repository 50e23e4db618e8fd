"""Errors of layers against a reference, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.pairs import pair_tensors
from reluflow.attention.regional.result import NodeShare
from reluflow.graph import ChainFormat, Reads, SpatialGraph

Floats = NDArray[np.float64]
_SHOWN = 3
"""Layers whose errors are shown: the first, one in the middle, the last."""


def shown_layers(
    nodes: tuple[NodeShare, ...], graph: SpatialGraph, first: SpatialGraph
) -> tuple[NodeShare, ...]:
    """Return the PSB operators whose errors are shown, in graph order.

    Args:
        nodes: of an `AttentionRun`.
        graph: of the model that pass 2 ran.
        first: of the model that pass 1 ran; only layers that it has too are shown.
    """
    layers = [node for node in nodes if node.dense is not None and node.tensor in graph.sizes]
    if first is not graph:
        made = [step.target for step in first.steps if isinstance(step, Reads)]
        pairs = pair_tensors([node.tensor for node in layers], made)
        layers = [node for node in layers if node.tensor in pairs]
    places = np.linspace(0, len(layers) - 1, min(_SHOWN, len(layers))).round().astype(int)
    return tuple(layers[at] for at in dict.fromkeys(places.tolist()))


def pixel_errors(values: NDArray[Any], reference: NDArray[Any], axes: tuple[int, ...]) -> Floats:
    """Return the absolute and the relative error of each pixel.

    Args:
        values: of one input, `(1, ...)`.
        reference: of the same shape.
        axes: of the pixels.

    Returns:
        `(2, pixels...)`: the mean over channels of |x - r|, and that over the mean of |r|; NaN
        where that is 0.

    Example:
        >>> x, r = np.array([[[3.0, 1.0], [1.0, 0.0]]]), np.array([[[2.0, 0.0], [2.0, 0.0]]])
        >>> pixel_errors(x, r, (2,)).tolist()
        [[1.0, 0.5], [0.5, nan]]

    Reference: thesis Fig. 4.4 (b) and (c), where the ratio is taken value by value; behind a ReLU
    many values are 0.
    """
    exact = np.moveaxis(np.asarray(reference, np.float64)[0], [at - 1 for at in axes], _to(axes))
    given = np.moveaxis(np.asarray(values, np.float64)[0], [at - 1 for at in axes], _to(axes))
    channels = tuple(range(len(axes), exact.ndim))
    apart, size = np.abs(given - exact).mean(axis=channels), np.abs(exact).mean(axis=channels)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([apart, np.where(size > 0, apart / size, np.nan)])


def _to(axes: tuple[int, ...]) -> list[int]:
    return list(range(len(axes)))


def as_floats(values: NDArray[Any], layout: ChainFormat | None) -> NDArray[Any]:
    """Return what integers of a chain stand for, in the layout of floats: channels first.

    Args:
        values: of one tensor.
        layout: what its integers stand for; None: they are floats already.
    """
    if layout is None:
        return values
    wide = np.asarray(values, np.float64) - layout.zero
    return np.moveaxis(np.ldexp(wide, -layout.exponent), -1, 1)
