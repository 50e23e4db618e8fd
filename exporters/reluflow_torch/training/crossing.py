"""The curve of D over the rate of every site, from one change of the pre-activations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from reluflow.errors import DataError, OptionError
from reluflow.temperature import CrossingCurve, CrossingCurves
from reluflow.temperature.crossing.lattice import BINS, LOWEST, PER_OCTAVE
from reluflow_torch.sites.distance import pairs_of, rows_of
from reluflow_torch.sites.patterns import SitePattern

_TINY = torch.finfo(torch.float32).tiny


def curves_of(
    before: Mapping[str, SitePattern], after: Mapping[str, SitePattern], rate: float
) -> CrossingCurves:
    """Return the curves of all sites, to first order in what one step changed.

    A sample with the pre-activations c before and c' after a step of rate eta changes its pattern
    at the least rate eta c / (c - c') above 0. The samples are counted on the device; one
    transfer brings the counts of all sites to the host.

    Args:
        before: patterns in the first state, captured with `values=True`.
        after: patterns of the same batch in the second state, captured alike.
        rate: learning rate of the step between them; where only a part s of a step was made,
            s times its rate.

    Returns:
        The curves by site.

    Raises:
        DataError: no site is in both, or patterns were captured without values.
        OptionError: a rate that is not above 0 and finite.

    Example:
        >>> def site(*values):
        ...     found = torch.tensor([values] * 8)
        ...     return {"relu": SitePattern("relu", "relu", found > 0, 0, 8, values=found)}
        >>> curves = curves_of(site(1.0, -4.0), site(0.5, -3.0), rate=0.1)
        >>> round(curves["relu"].rate(1.0), 2)  # the first unit is at 0 after two such steps
        0.2

    Source: docs/spec.md, section 5 (crossing rates).
    """
    if not 0.0 < rate < math.inf:
        raise OptionError(f"rate is {rate}; give that of the step, above 0 and finite.")
    sites, starts, ends = [], [], []
    for a, b in pairs_of(before, after):
        start, end = _values(a), _values(b)
        alike = start.dim() == end.dim()
        sites.append(a)
        starts.append(start if alike else rows_of(start))
        ends.append(end if alike else rows_of(end))
    return _curves(sites, starts, torch._foreach_sub(ends, starts), rate)


def _values(site: SitePattern) -> Tensor:
    if site.values is None:
        raise DataError(
            f"the patterns of site {site.name} are bits without pre-activations; capture them "
            "with values=True."
        )
    return site.values


def _curves(
    sites: Sequence[SitePattern], starts: Sequence[Tensor], changes: Sequence[Tensor], rate: float
) -> CrossingCurves:
    """Return curves from pre-activations and what a step of some rate adds to them."""
    counts = _counts(starts, changes, rate).cpu().double().numpy()
    return CrossingCurves(
        {site.name: CrossingCurve(row, site.units) for site, row in zip(sites, counts, strict=True)}
    )


def _counts(starts: Sequence[Tensor], changes: Sequence[Tensor], rate: float) -> Tensor:
    """Return `(sites, BINS)` numbers of samples, on the device of the first site."""
    device = starts[0].device
    # 1 over the crossing rate is -g / c, the greatest of a sample: a division and one reduction.
    # A unit at 0 is off: it is put just below (and all that is above by less than a normal
    # number can be with it), where it crosses at once if it moves up.
    lowest = [
        change.div_(start).nan_to_num_(0.0).amin(1).reshape(-1)
        for start, change in zip(torch._foreach_sub(list(starts), _TINY), changes, strict=True)
    ]
    sizes = tuple(map(len, lowest))
    wide = torch.float32 if device.type == "mps" else torch.float64
    inverse = torch.cat([each.to(device, wide) for each in lowest]).neg_().clamp_(min=0.0)
    place = (math.log2(rate) - inverse.log2_() - LOWEST).mul_(PER_OCTAVE).floor_().add_(1)
    bins = place.clamp_(0, BINS - 1).long() + _offsets(sizes, str(device))
    counts = torch.zeros(len(sizes) * BINS, dtype=torch.int32, device=device)
    ones = torch.ones((), dtype=torch.int32, device=device).expand(len(bins))
    return counts.index_add_(0, bins, ones).view(len(sizes), BINS)


@lru_cache(maxsize=16)
def _offsets(sizes: tuple[int, ...], device: str) -> Tensor:
    """Return for every sample where the counts of its site begin."""
    starts = torch.arange(len(sizes)) * BINS
    return starts.repeat_interleave(torch.tensor(sizes)).to(device)
