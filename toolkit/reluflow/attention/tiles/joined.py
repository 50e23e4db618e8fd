"""The pixels of two passes by two models as one graph: what pass 2 reads of pass 1, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from reluflow.attention.regional.coarse import coarse_shapes, shared_tensors
from reluflow.attention.regional.pairs import nearest_places
from reluflow.graph import Model, Reads, SpatialEnd, SpatialGraph, read_spatial

Shapes = Mapping[str, tuple[int, ...]]
_BEFORE = "pass 1: "
"""In front of the names of pass 1's tensors, most of which pass 2 has, too."""
_HALF = 2


def read_passes(fine: Model, coarse: Model | None, half: bool, shapes: Shapes) -> SpatialGraph:
    """Read what the pixels of pass 2 depend on: on each other, and on those of pass 1.

    A tensor of pass 2 keeps pass 1's values outside the region. So it depends on its partner,
    whose values are those of the nearest pixels, and on all that this depends on.

    Args:
        fine: the model of pass 2.
        coarse: that of pass 1; None: the same, whose tensors depend on the same pixels.
        half: it runs on the picture at half the side.
        shapes: inputs of `fine`.

    Returns:
        The graph of `fine` with that of `coarse` in front. `live_bytes` counts all tensors, as
        every one of them is kept between the passes.
    """
    second = read_spatial(fine, shapes)
    if coarse is None:
        return replace(second, live_bytes=_bytes(second))
    first = read_spatial(coarse, coarse_shapes(coarse, second, shapes, half))
    pairs, _ = shared_tensors(second, list(second.sizes), first, shapes)
    steps = [
        *(_given(second, first, name) for name in shapes if name in second.sizes),
        *(_renamed(step) for step in first.steps),
        *_handed_over(pairs, second, first),
        *second.steps,
    ]
    beside = (
        replace(each, tensor=_BEFORE + each.tensor, target=_BEFORE + each.target)
        for each in first.beside
    )
    return SpatialGraph(
        _both(second.sizes, first.sizes),
        _both(second.axes, first.axes),
        _both(second.shapes, first.shapes),
        _both(second.dtypes, first.dtypes),
        tuple(steps),
        (*beside, *second.beside),
        _bytes(second) + _bytes(first),
    )


def _both(second: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    return {**second, **{_BEFORE + name: value for name, value in first.items()}}


def _bytes(graph: SpatialGraph) -> int:
    """Return the bytes of all tensors with pixels."""
    return sum(prod(shape) * graph.dtypes[name].itemsize for name, shape in graph.shapes.items())


def _renamed(step: Reads | SpatialEnd) -> Reads | SpatialEnd:
    if isinstance(step, Reads):
        return replace(step, source=_BEFORE + step.source, target=_BEFORE + step.target)
    return replace(
        step,
        sources=tuple(_BEFORE + name for name in step.sources),
        targets=tuple(_BEFORE + name for name in step.targets),
    )


def _given(second: SpatialGraph, first: SpatialGraph, name: str) -> Reads:
    """Return how pass 1's picture depends on the picture: a pixel on those it is the mean of."""
    maps = []
    for size, small in zip(second.sizes[name], first.sizes[name], strict=True):
        at = np.arange(size)
        to = at // _HALF if small != size else at
        maps.append(csr_array((np.ones(size, np.int32), (to, at)), shape=(small, size)))
    return Reads(name, _BEFORE + name, tuple(maps), "pass 1", "the picture of")


def _handed_over(
    pairs: Mapping[str, str], second: SpatialGraph, first: SpatialGraph
) -> Iterator[Reads]:
    """Yield which pixels of pass 1 give their values to which of pass 2."""
    for target, source in pairs.items():
        sizes = list(zip(second.sizes[target], first.sizes[source], strict=False))
        if len(second.sizes[target]) != len(first.sizes[source]):
            continue
        maps = tuple(
            csr_array(
                (np.ones(size, np.int32), (np.arange(size), nearest_places(small, size))),
                shape=(size, small),
            )
            for size, small in sizes
        )
        yield Reads(_BEFORE + source, target, maps, "pass 1", "the values of")
