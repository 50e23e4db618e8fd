"""How many units a step flips: per site, and per example of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reluflow_torch.sites.distance import pairs_of, rows_of
from reluflow_torch.sites.patterns import SitePattern

_Patterns = Mapping[str, SitePattern]


def site_flips(states: Iterable[tuple[_Patterns, _Patterns]]) -> dict[str, float]:
    """Return the share of the units that flip at each site, mean over the samples of all passes.

    Args:
        states: the patterns of each pass before and after.

    Returns:
        Site -> share in [0, 1], of sites with the same samples in both states; one transfer from
        the device.

    Example:
        >>> bits = torch.tensor([[True, False], [True, True]])
        >>> a = SitePattern("relu", "relu", bits, 0, 2)
        >>> b = SitePattern("relu", "relu", torch.tensor([[True, True], [True, True]]), 0, 2)
        >>> site_flips([({"relu": a}, {"relu": b})])
        {'relu': 0.25}

    Reference: docs/measures.md, flips.
    """
    flipped: dict[str, list[Tensor]] = {}
    sizes: dict[str, int] = {}
    for before, after in states:
        for name, unequal in _unequal(before, after):
            flipped.setdefault(name, []).append(unequal.count_nonzero())
            sizes[name] = sizes.get(name, 0) + unequal.numel()
    if not flipped:
        return {}
    sums = torch.stack([torch.stack(counts).sum() for counts in flipped.values()]).tolist()
    return {name: total / sizes[name] for name, total in zip(flipped, sums, strict=True)}


def example_flips(before: _Patterns, after: _Patterns, examples: int) -> NDArray[np.float64]:
    """Return the share of the units of each example that flip, mean over the sites.

    Sites whose samples cannot be divided among the examples are left out.

    Args:
        before: the patterns of a pass in the first state.
        after: those of the same pass in the second.
        examples: how many the pass had, on the first axis of the pre-activations.

    Returns:
        `(examples,)` in [0, 1]; NaN where no site tells the examples apart.

    Example:
        >>> bits = torch.tensor([[True, False], [True, True]])
        >>> a = SitePattern("relu", "relu", bits, 0, 2)
        >>> b = SitePattern("relu", "relu", torch.tensor([[True, True], [True, True]]), 0, 2)
        >>> example_flips({"relu": a}, {"relu": b}, 2).tolist()
        [0.5, 0.0]

    Reference: docs/measures.md, flips; thesis 3.1.7.
    """
    grouped = [
        unequal.reshape(examples, -1)
        for _, unequal in _unequal(before, after)
        if len(unequal) % examples == 0
    ]
    if not grouped:
        return np.full(examples, np.nan)
    flipped = torch.stack([unequal.sum(1) for unequal in grouped]).cpu().numpy()
    sizes = np.array([unequal.shape[1] for unequal in grouped], np.float64)
    found: NDArray[np.float64] = (flipped / sizes[:, None]).mean(axis=0)
    return found


def _unequal(before: _Patterns, after: _Patterns) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the flips of each site, samples of one example adjacent."""
    for first, second in pairs_of(before, after):
        a, b = first.bits, second.bits
        if a.dim() != b.dim():
            a, b = rows_of(a), rows_of(b)
        yield first.name, a != b


def mean_of(shares: Mapping[str, float]) -> float:
    """Return the mean over the sites; 0 where there are none.

    Args:
        shares: site -> share.
    """
    return sum(shares.values()) / max(1, len(shares))


def joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return vectors one after the other; an empty one where there are none.

    Args:
        parts: one per batch.
    """
    return np.concatenate(parts) if parts else np.zeros(0)
