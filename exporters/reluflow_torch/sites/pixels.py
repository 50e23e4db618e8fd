"""Choose the samples of a pre-activation: every pixel is one, a bounded number is kept."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_GOLDEN = 0.6180339887498949
"""Multiples of it modulo 1 stay spread however many there are: a fixed sample without clumps."""
_IMAGE_AXES = 4


def sample_units(x: Tensor, unit_axis: int, max_samples: int) -> Tensor:
    """Return the pre-activations of at most about `max_samples` samples.

    The choice spreads over all images and all positions (multiples of the golden ratio
    modulo the number of pixels) and depends on the shape alone.

    Args:
        x: pre-activations of any rank above 0; `channels_last` memory is read in its own order.
        unit_axis: 1 for channels of images and signals, -1 for features on the last axis.
        max_samples: bound on the samples; never less than one of each image is kept.

    Returns:
        `(rows, units)` or `(images, units, pixels)`: units are on axis 1.

    Example:
        >>> sample_units(torch.zeros(2, 3, 8, 8), 1, 32).shape
        torch.Size([2, 3, 16])
    """
    if x.dim() <= 2:
        return _some_rows(x.reshape(-1, x.shape[-1]), max_samples)
    images, units = x.shape[0], x.shape[unit_axis]
    if unit_axis == -1:
        return _pixel_rows(x.reshape(-1, units), images, max_samples)
    # channels last in memory: whole rows of units are cheaper to take than strided ones
    if x.dim() == _IMAGE_AXES and x.stride(1) == 1 and units > 1:
        return _pixel_rows(x.permute(0, 2, 3, 1).reshape(-1, units), images, max_samples)
    flat = x.flatten(2)
    kept = _positions(images, flat.shape[2], max_samples, x.device)
    if kept is None:
        return flat
    return flat.gather(2, kept[:, None, :].expand(images, units, kept.shape[1]))


def _pixel_rows(rows: Tensor, images: int, max_samples: int) -> Tensor:
    """Return some of the rows of each image; rows of an image are adjacent."""
    pixels = len(rows) // images
    kept = _positions(images, pixels, max_samples, rows.device)
    if kept is None:
        return rows
    starts = torch.arange(0, images * pixels, pixels, device=rows.device)
    return rows.index_select(0, (kept + starts[:, None]).flatten())


def _some_rows(rows: Tensor, max_samples: int) -> Tensor:
    if len(rows) <= max_samples:
        return rows
    kept = spread_at(1, len(rows), max_samples, str(rows.device))
    return rows.index_select(0, kept[0])


def _positions(images: int, pixels: int, max_samples: int, device: torch.device) -> Tensor | None:
    """Return `(images, kept)` pixel indices, None where all pixels are kept."""
    kept = max(1, max_samples // images)
    return None if kept >= pixels else spread_at(images, pixels, kept, str(device))


def spread_at(images: int, size: int, kept: int, device: str) -> Tensor:
    """Return `(images, kept)` distinct indices below `size` per image, the same every time.

    Args:
        images: number of images.
        size: number of places in each.
        kept: how many of these are kept.
        device: of the indices.

    Example:
        >>> spread_at(2, 4, 2, "cpu").tolist()
        [[0, 2], [1, 3]]
    """
    return _spread(images, size, kept, device)


@lru_cache(maxsize=256)
def _spread(images: int, size: int, kept: int, device: str) -> Tensor:
    order = (torch.arange(size, dtype=torch.float64) * _GOLDEN).frac().argsort()
    starts = ((torch.arange(images, dtype=torch.float64) * _GOLDEN).frac() * size).long()
    index = (starts[:, None] + torch.arange(kept)) % size
    return order[index].to(device)
