"""D of two forward passes on the same batch, on the device, in one transfer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from reluflow.errors import DataError
from reluflow_torch.sites.patterns import SitePattern


@dataclass(frozen=True, slots=True)
class SiteDistance:
    """How many samples of one site changed their pattern.

    Attributes:
        name: the site.
        changed: number of samples whose pattern differs.
        samples: number of samples n that were compared.
        nans: number of NaN pre-activations in the second pass.
        layer: path of the module that feeds the site, "" where none does.
    """

    name: str
    changed: int
    samples: int
    nans: int = 0
    layer: str = ""

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
        """Mean D over the sites, the input of the controller (docs/spec.md, section 5)."""
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
        """Return plain values, ready for JSON; a site without a layer has no such key."""
        sites = [asdict(site) for site in self.sites]
        return {
            "mean": self.mean,
            "sites": [{k: v for k, v in site.items() if k != "layer" or v} for site in sites],
        }


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
        >>> a = SitePattern("relu", "relu", bits, torch.tensor(0), 2)
        >>> b = SitePattern("relu", "relu", bits[:1].expand(2, 2), torch.tensor(0), 2)
        >>> distances({"relu": a}, {"relu": b}).mean
        0.5
    """
    pairs = _pairs(list(before.values()), list(after.values()))
    if not pairs:
        raise DataError(
            f"the passes have the switch sites {sorted(before)} and {sorted(after)}, none in "
            "common; record both on the same batch with the same model."
        )
    nans = [b.nans for _, b in pairs]
    device = pairs[0][0].bits.device
    tensors = [_changed(a.bits, b.bits) for a, b in pairs]
    tensors += [count for count in nans if isinstance(count, Tensor)]
    if device.type == "cpu":
        values = [value.item() for value in tensors]
    else:
        values = torch.stack([value.to(device, torch.float64) for value in tensors]).tolist()
    counted = iter(values[len(pairs) :])
    return Distances(
        tuple(
            SiteDistance(
                a.name,
                int(value),
                a.samples,
                int(next(counted)) if isinstance(count, Tensor) else count,
                a.layer,
            )
            for (a, _), value, count in zip(pairs, values, nans, strict=False)
        )
    )


def pooled(parts: Sequence[Distances]) -> Distances:
    """Return D over the samples of several passes of one step, each sample counted once.

    Args:
        parts: distances of the passes, at least one; they may differ in their sites.

    Example:
        >>> one = Distances((SiteDistance("relu", 1, 2),))
        >>> pooled([one, Distances((SiteDistance("relu", 6, 6),))]).sites[0].distance
        0.875
    """
    if len(parts) == 1:
        return parts[0]
    sites: dict[str, SiteDistance] = {}
    for new in (site for part in parts for site in part.sites):
        old = sites.get(new.name, SiteDistance(new.name, 0, 0))
        sites[new.name] = SiteDistance(
            new.name,
            old.changed + new.changed,
            old.samples + new.samples,
            old.nans + new.nans,
            new.layer,
        )
    return Distances(tuple(sites.values()))


def _pairs(
    before: list[SitePattern], after: list[SitePattern]
) -> list[tuple[SitePattern, SitePattern]]:
    """Match sites by their order where the passes went the same way, else by name."""
    if len(before) == len(after):
        pairs = list(zip(before, after, strict=True))
        if all(a.op == b.op and _size(a.bits) == _size(b.bits) for a, b in pairs):
            return pairs
    named = {site.name: site for site in after}
    return [
        (site, named[site.name])
        for site in before
        if site.name in named and _size(named[site.name].bits) == _size(site.bits)
    ]


def _size(bits: Tensor) -> tuple[int, int]:
    return bits.shape[1], bits.numel()


def _rows(bits: Tensor) -> Tensor:
    """Return `(samples, units)`, whatever the memory layout that the bits were read from."""
    return bits if bits.dim() == 2 else bits.transpose(1, 2).flatten(0, 1)


def _changed(a: Tensor, b: Tensor) -> Tensor:
    """Return in how many samples the patterns differ."""
    if a.dim() != b.dim():
        a, b = _rows(a), _rows(b)
    unequal = a != b
    if a.dim() == 2 and a.shape[1] % 8 == 0:  # eight units at once: much quicker on a CPU
        return unequal.view(torch.int64).amax(1).count_nonzero()
    return unequal.view(torch.uint8).amax(1).count_nonzero()
