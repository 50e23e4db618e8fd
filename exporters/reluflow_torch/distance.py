"""D of two forward passes on the same batch, on the device, in one transfer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from reluflow.errors import DataError
from reluflow_torch.patterns import SitePattern


@dataclass(frozen=True, slots=True)
class SiteDistance:
    """How many samples of one site changed their pattern.

    Attributes:
        name: the site.
        changed: number of samples whose pattern differs.
        samples: number of samples n that were compared.
        nans: number of NaN pre-activations in the second pass.
    """

    name: str
    changed: int
    samples: int
    nans: int = 0

    @property
    def distance(self) -> float:
        """D, a fraction in [0, 1] (Definition 5)."""
        return self.changed / self.samples

    @property
    def standard_error(self) -> float:
        """sqrt(D(1 - D)/n): what comparing n samples, taken as independent, leaves open."""
        return math.sqrt(self.distance * (1.0 - self.distance) / self.samples)


@dataclass(frozen=True, slots=True)
class Distances:
    """D of every site of a model for one change of its weights.

    Attributes:
        sites: one entry a site, in the order of the calls.
    """

    sites: tuple[SiteDistance, ...]

    @property
    def mean(self) -> float:
        """Mean D over the sites, the input of the controller (SPEC section 5)."""
        return math.fsum(site.distance for site in self.sites) / len(self.sites)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean D, from those of the sites."""
        return math.hypot(*(site.standard_error for site in self.sites)) / len(self.sites)

    @property
    def nans(self) -> int:
        """Number of NaN pre-activations in the second pass, over all sites."""
        return sum(site.nans for site in self.sites)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"mean": self.mean, "sites": [asdict(site) for site in self.sites]}


def distances(before: Mapping[str, SitePattern], after: Mapping[str, SitePattern]) -> Distances:
    """Return D of every site that both passes ran on the same samples (eq. 3.15).

    Args:
        before: patterns in the first state.
        after: patterns of the same batch in the second state.

    Returns:
        Exact counts; they do not depend on the number of threads or the order of sums.

    Raises:
        DataError: no site is in both.

    Example:
        >>> bits = torch.tensor([[True, False], [True, True]])
        >>> none = torch.tensor(0)
        >>> a = SitePattern("relu", "relu", bits, none, 2)
        >>> b = SitePattern("relu", "relu", bits[:1].expand(2, 2), none, 2)
        >>> distances({"relu": a}, {"relu": b}).mean
        0.5
    """
    pairs = [
        (site, after[name])
        for name, site in before.items()
        if name in after and _size(after[name].bits) == _size(site.bits)
    ]
    if not pairs:
        raise DataError(
            f"the passes have the switch sites {sorted(before)} and {sorted(after)}, none in "
            "common; record both on the same batch with the same model."
        )
    counts = [_changed(a.bits, b.bits) for a, b in pairs] + [b.nans for _, b in pairs]
    home = counts[0].device
    values = torch.stack([count.to(home) for count in counts]).tolist()
    return Distances(
        tuple(
            SiteDistance(a.name, changed, a.samples, nans)
            for (a, _), changed, nans in zip(
                pairs, values[: len(pairs)], values[len(pairs) :], strict=True
            )
        )
    )


def _size(bits: Tensor) -> tuple[int, int]:
    return bits.shape[1], bits.numel()


def _rows(bits: Tensor) -> Tensor:
    """Return `(samples, units)`, whatever the memory layout that the bits were read from."""
    return bits if bits.dim() == 2 else bits.transpose(1, 2).flatten(0, 1)


def _changed(a: Tensor, b: Tensor) -> Tensor:
    if a.dim() != b.dim():
        a, b = _rows(a), _rows(b)
    return (a != b).any(1).sum()
