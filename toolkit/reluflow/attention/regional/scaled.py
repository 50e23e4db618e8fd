"""A region of one tensor scaled to every tensor by relative position: the scaled masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.choose import with_margin
from reluflow.attention.region import Region, check_mask
from reluflow.graph import SpatialGraph

Mask = NDArray[np.bool_]


def scaled_region(graph: SpatialGraph, tensor: str, mask: Mask, margin: int = 0) -> Region:
    """Scale a region of one tensor to every tensor with pixels, by relative position.

    A pixel of a tensor belongs to it where the part of the picture that it stands for overlaps a
    part that the region stands for. The taps at its rim read values from outside, which a second
    pass takes from the first; `receptive_region` adds them to the region instead.

    Args:
        graph: of `reluflow.graph.read_spatial`.
        tensor: the tensor in which the region lies.
        mask: bool, of the shape of its pixels.
        margin: pixels of each tensor that are added around, at least 0.

    Returns:
        The region in every tensor. Where one has another number of axes of pixels, all of its
        pixels belong.

    Raises:
        DataError: the tensor has no pixels, or the mask has another shape.
        OptionError: the margin is below 0.

    Example:
        >>> from reluflow.graph import load, read_spatial
        >>> graph = read_spatial(load("models/fashion_resnet8.onnx"), {"image": (1, 1, 28, 28)})
        >>> mask = np.zeros((28, 28), bool)
        >>> mask[:7, :14] = True
        >>> region = scaled_region(graph, "image", mask)
        >>> last = list(graph.sizes)[-2]
        >>> graph.sizes[last], region.coverage("image"), region.coverage(last)
        ((7, 7), 0.125, 0.163...)
        >>> bool(scaled_region(graph, "image", mask, 1).coverage("image") == 8 * 15 / 28**2)
        True

    Reference: thesis 4.2.5, "used as scaled masks"; docs/attention.md, regions.
    """
    return rescaled_region(graph, check_mask(graph, tensor, mask), margin)


def rescaled_region(graph: SpatialGraph, mask: Mask, margin: int = 0) -> Region:
    """Scale a region to every tensor of a graph; it may lie in a tensor of another graph.

    Args:
        graph: of `reluflow.graph.read_spatial`.
        mask: bool, one to three axes.
        margin: pixels of each tensor that are added around, at least 0.

    Returns:
        The region in every tensor.

    Raises:
        OptionError: the margin is below 0.
    """
    given = np.asarray(mask, bool)
    made: dict[tuple[int, ...], Mask] = {}
    masks = {}
    for name, sizes in graph.sizes.items():
        if sizes not in made:
            made[sizes] = with_margin(rescaled(given, sizes), margin)
        if made[sizes].any():
            masks[name] = made[sizes]
    return Region(masks, dict(graph.sizes), ())


def rescaled(mask: Mask, sizes: tuple[int, ...]) -> Mask:
    """Return which pixels of another size overlap a region.

    Args:
        mask: bool, one to three axes.
        sizes: pixels along each axis; with another number of axes all belong, if any does.

    Returns:
        bool, of the shape `sizes`.

    Example:
        >>> rescaled(np.array([True, False, False]), (2,)).tolist()
        [True, False]
        >>> rescaled(np.array([False, True, False]), (2,)).tolist()
        [True, True]
    """
    if len(sizes) != mask.ndim:
        return np.full(sizes, mask.any())
    found = np.asarray(mask, bool)
    for axis, size in reversed(list(enumerate(sizes))):  # rows last: they are copied whole
        found = np.moveaxis(_along(np.moveaxis(found, axis, 0), size), 0, axis)
    return np.ascontiguousarray(found)


def _along(mask: Mask, size: int) -> Mask:
    """Rescale the first axis: pixel i of m covers [i / m, (i + 1) / m), so does j of n."""
    n, at = len(mask), np.arange(size)
    if size % n == 0:
        return mask if size == n else np.repeat(mask, size // n, axis=0)
    if n % size == 0:
        return np.asarray(mask.reshape(size, n // size, *mask.shape[1:]).any(axis=1))
    first = at * n // size
    last = -(-(at + 1) * n // size)  # exclusive
    before = np.concatenate([np.zeros((1, *mask.shape[1:]), np.int64), mask.cumsum(axis=0)])
    return np.asarray(before[last] > before[first])
