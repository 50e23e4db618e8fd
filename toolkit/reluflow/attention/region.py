"""Regions of pixels carried through a graph: down to what they read, up to what they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError
from reluflow.graph import Reads, SpatialGraph

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Region:
    """Which pixels of each tensor a region covers, as returned by `receptive_region`.

    Attributes:
        masks: tensor -> bool, a pixel each; tensors without any pixel in it are left out.
        sizes: tensor with pixels -> their number along each axis.
        ends: sentences on where pixels could not be told apart, so that all of them count.
    """

    masks: Mapping[str, Mask]
    sizes: Mapping[str, tuple[int, ...]]
    ends: tuple[str, ...]

    def mask(self, tensor: str) -> Mask:
        """Return the pixels of one tensor.

        Args:
            tensor: its name.

        Returns:
            bool, of the shape of its pixels.

        Raises:
            DataError: it has no pixels, or is not there.
        """
        if tensor not in self.sizes:
            raise DataError(
                f"tensor is {tensor!r}, which has no pixels; name one of those that do."
            )
        found = self.masks.get(tensor)
        return np.zeros(self.sizes[tensor], bool) if found is None else found

    def coverage(self, tensor: str) -> float:
        """Return the fraction in [0, 1] of a tensor's pixels.

        Args:
            tensor: its name.

        Raises:
            DataError: it has no pixels, or is not there.
        """
        return float(self.mask(tensor).mean())

    def blocks(self, tensor: str, side: int) -> Mask:
        """Return which blocks of a tensor hold a pixel of the region.

        Args:
            tensor: its name.
            side: pixels along each axis of a block, at least 1; the last blocks may be smaller.

        Returns:
            bool, a block each.

        Raises:
            DataError: it has no pixels, or is not there.
            OptionError: the side is below 1.
        """
        return blocks_of(self.mask(tensor), side)


def receptive_region(graph: SpatialGraph, tensor: str, mask: Mask) -> Region:
    """Carry a region back: which pixels of each tensor before it its values depend on.

    Args:
        graph: of `reluflow.graph.read_spatial`.
        tensor: the tensor in which the region lies.
        mask: bool, of the shape of its pixels.

    Returns:
        The region in every tensor that it reads, and in `tensor` itself.

    Raises:
        DataError: the tensor has no pixels, or the mask has another shape.

    Example:
        >>> from reluflow.graph import load, read_spatial
        >>> graph = read_spatial(load("models/fashion_resnet8.onnx"), {"image": (1, 1, 28, 28)})
        >>> last = list(graph.sizes)[-2]
        >>> mask = np.zeros(graph.sizes[last], bool)
        >>> mask[0, 0] = True
        >>> region = receptive_region(graph, last, mask)
        >>> bool(region.coverage("image") == region.mask("image").mean())
        True
        >>> region.blocks("image", 14).tolist()
        [[True, False], [False, False]]

    Reference: thesis 4.2.5, "identifying the receptive fields of interesting regions throughout
    the network"; docs/attention.md, regions.
    """
    return _carried(graph, tensor, mask, back=True)


def changed_region(graph: SpatialGraph, tensor: str, mask: Mask) -> Region:
    """Carry a region forward: which pixels of each later tensor can change when it changes.

    Args:
        graph: of `reluflow.graph.read_spatial`.
        tensor: the tensor in which the region lies.
        mask: bool, of the shape of its pixels.

    Returns:
        The region in every tensor that reads it, and in `tensor` itself.

    Raises:
        DataError: the tensor has no pixels, or the mask has another shape.

    Example:
        >>> from reluflow.graph import load, read_spatial
        >>> graph = read_spatial(load("models/fashion_resnet8.onnx"), {"image": (1, 1, 28, 28)})
        >>> mask = np.zeros((28, 28), bool)
        >>> mask[:2, :2] = True
        >>> region = changed_region(graph, "image", mask)
        >>> region.coverage("image") < region.coverage(list(graph.sizes)[1]) < 1
        True

    Reference: docs/attention.md, regions.
    """
    return _carried(graph, tensor, mask, back=False)


def _carried(graph: SpatialGraph, tensor: str, mask: Mask, *, back: bool) -> Region:
    """Carry a region through the steps of a graph, from the last to the first if `back`."""
    marked, flagged = _start(graph, tensor, mask)
    said: dict[str, None] = {}
    for step in reversed(graph.steps) if back else graph.steps:
        if isinstance(step, Reads):
            known, next_one = (step.target, step.source) if back else (step.source, step.target)
            if known in marked:
                carry = read_pixels if back else _forth
                _join(marked, next_one, carry(step, marked[known]))
            continue
        known_ones, next_ones = step.sources, step.targets
        if back:
            known_ones, next_ones = next_ones, known_ones
        if any(name in marked or name in flagged for name in known_ones):
            _mark_all(graph, next_ones, marked, flagged)
            if step.reason:
                said[step.sentence()] = None
    return Region(marked, dict(graph.sizes), tuple(said))


def blocks_of(mask: Mask, side: int) -> Mask:
    """Return which blocks of a mask hold a True.

    Args:
        mask: bool, one to three axes.
        side: pixels along each axis of a block, at least 1; the last blocks may be smaller.

    Returns:
        bool, a block each.

    Raises:
        OptionError: the side is below 1.

    Example:
        >>> blocks_of(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 1]], bool), 2).tolist()
        [[True, False], [False, True]]
    """
    _check_side(side)
    ends = [(0, -size % side) for size in mask.shape]
    full = np.pad(mask, ends)
    shape = [part for size in full.shape for part in (size // side, side)]
    return np.asarray(full.reshape(shape).any(axis=tuple(range(1, 2 * mask.ndim, 2))))


def pixels_of(blocks: Mask, side: int, sizes: tuple[int, ...]) -> Mask:
    """Return the pixels that blocks cover.

    Args:
        blocks: bool, a block each, as of `blocks_of`.
        side: pixels along each axis of a block, at least 1.
        sizes: pixels along each axis.

    Returns:
        bool, of the shape `sizes`.

    Raises:
        OptionError: the side is below 1.
        DataError: the blocks are not as many as the pixels need.

    Example:
        >>> pixels_of(np.array([[True, False]]), 2, (2, 3)).tolist()
        [[True, True, False], [True, True, False]]
    """
    _check_side(side)
    needed = tuple(-(-size // side) for size in sizes)
    if blocks.shape != needed:
        raise DataError(
            f"blocks are {list(blocks.shape)}, but {list(sizes)} pixels have {list(needed)} blocks "
            f"of side {side}; give those of `blocks_of`."
        )
    found = blocks
    for at in range(blocks.ndim):
        found = np.repeat(found, side, axis=at)
    return np.ascontiguousarray(found[tuple(slice(size) for size in sizes)])


def _check_side(side: int) -> None:
    if side < 1:
        raise OptionError(f"side is {side}; give a whole number of pixels from 1 on.")


def check_mask(graph: SpatialGraph, tensor: str, mask: Mask) -> Mask:
    """Return a mask as bool.

    Args:
        graph: of `reluflow.graph.read_spatial`.
        tensor: the tensor in which it lies.
        mask: of the shape of its pixels.

    Raises:
        DataError: the tensor has no pixels, or the mask has another shape.
    """
    sizes = graph.check(tensor)
    given = np.asarray(mask, bool)
    if given.shape != sizes:
        raise DataError(
            f"mask is {list(given.shape)}, but tensor {tensor!r} has {list(sizes)} pixels; give "
            "one value for each."
        )
    return given


def _start(graph: SpatialGraph, tensor: str, mask: Mask) -> tuple[dict[str, Mask], set[str]]:
    given = check_mask(graph, tensor, mask)
    return ({tensor: given.copy()} if given.any() else {}), set()


def _mark_all(
    graph: SpatialGraph, names: tuple[str, ...], marked: dict[str, Mask], flagged: set[str]
) -> None:
    for name in names:
        if name in graph.sizes:
            marked[name] = np.ones(graph.sizes[name], bool)
        else:
            flagged.add(name)


def _join(marked: dict[str, Mask], name: str, mask: Mask) -> None:
    if mask.any():
        marked[name] = marked[name] | mask if name in marked else mask


def read_pixels(step: Reads, mask: Mask) -> Mask:
    """Return the source's pixels that some pixel of the target reads."""
    return _through(mask, [matrix.T for matrix in step.maps])


def _forth(step: Reads, mask: Mask) -> Mask:
    """Return the target's pixels that read some pixel of the source."""
    return _through(mask, list(step.maps))


def _through(mask: Mask, matrices: list[Any]) -> Mask:
    found: Any = mask
    for at, matrix in enumerate(matrices):
        ahead = np.moveaxis(found, at, 0)
        flat = ahead.reshape(len(ahead), -1).astype(np.int32)
        product = (matrix.astype(np.int32) @ flat) > 0
        found = np.moveaxis(product.reshape(-1, *ahead.shape[1:]), 0, at)
    return np.ascontiguousarray(found)
