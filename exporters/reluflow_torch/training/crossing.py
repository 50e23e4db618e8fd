"""The curve of D over the rate of every site, from one change of the pre-activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reluflow.errors import DataError, OptionError
from reluflow.temperature import CrossingCurve, CrossingCurves
from reluflow.temperature.crossing.lattice import BINS, LOWEST, PER_OCTAVE
from reluflow_torch.sites.device.transfer import Transfer
from reluflow_torch.sites.distance import pairs_of, rows_of
from reluflow_torch.sites.patterns import SitePattern

State = Mapping[str, SitePattern]
_TINY = torch.finfo(torch.float32).tiny


def curves_of(before: State, after: State, rate: float) -> CrossingCurves:
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
    return curves_along(before, [(rate, after)])


def curves_along(before: State, states: Sequence[tuple[float, State]]) -> CrossingCurves:
    """Return the curves of all sites along a path of steps of increasing rates.

    Between neighbouring states pre-activations are taken as linear in the rate, and beyond the last
    one they go on as before it. A first short step tells the start of the curve; longer ones
    correct what the kinks of earlier layers and normalisation do to the rest.

    Args:
        before: patterns in the first state, captured with `values=True`.
        states: rates and the patterns of the same batch after a step of that rate, captured alike.

    Returns:
        The curves by site.

    Raises:
        DataError: a state has no site in common with the first, or other ones than the states
            before it; patterns were captured without values.
        OptionError: no state, or rates that do not increase from above 0.

    Example:
        >>> def site(*values):
        ...     found = torch.tensor([values] * 8)
        ...     return {"relu": SitePattern("relu", "relu", found > 0, 0, 8, values=found)}
        >>> way = [(0.1, site(0.9)), (0.2, site(0.6)), (0.3, site(0.1))]
        >>> round(curves_along(site(1.0), way)["relu"].rate(1.0), 2)  # 0.5 less for 0.1 more
        0.32

    Source: docs/spec.md, section 5 (crossing rates).
    """
    return ask_curves(before, states, Transfer())()


def ask_curves(
    before: State, states: Sequence[tuple[float, State]], transfer: Transfer
) -> Callable[[], CrossingCurves]:
    """Return a function that gives what `curves_along` does, once the counts are there.

    Args:
        before: patterns in the first state.
        states: rates and the patterns after a step of that rate.
        transfer: which is asked for the counts; it may bring other numbers on the same way.

    Raises:
        DataError: as for `curves_along`.
        OptionError: as for `curves_along`.

    Example:
        >>> def site(*values):
        ...     found = torch.tensor([values] * 8)
        ...     return {"relu": SitePattern("relu", "relu", found > 0, 0, 8, values=found)}
        >>> transfer = Transfer()
        >>> read = ask_curves(site(1.0), [(0.1, site(0.5))], transfer)
        >>> norm = transfer.ask(torch.ones(4).norm())
        >>> round(read().rate(1.0), 2), float(norm())
        (0.2, 2.0)

    Source: docs/spec.md, section 5 (crossing rates).
    """
    rates = [rate for rate, _ in states]
    if not rates or not all(a < b for a, b in pairwise([0.0, *rates, math.inf])):
        raise OptionError(f"rates of the states are {rates}; give increasing ones above 0.")
    pairs = [pairs_of(before, after) for _, after in states]
    sites = [a for a, _ in pairs[0]]
    if any([a for a, _ in each] != sites for each in pairs):
        raise DataError(
            "the states differ in the sites that they ran; record all on the same batch with the "
            "same model."
        )
    is_flat = [any(_values(b).dim() != _values(a).dim() for b in bs) for a, *bs in _columns(pairs)]
    way = [_laid_out(sites, is_flat)] + [_laid_out([b for _, b in e], is_flat) for e in pairs]
    counts = transfer.ask(_counts(_first_rates(way, rates), [each.samples for each in sites]))
    names = [(each.name, each.units) for each in sites]  # not the values themselves

    def read() -> CrossingCurves:
        rows = zip(names, counts().astype(np.float64), strict=True)
        return CrossingCurves({name: CrossingCurve(row, units) for (name, units), row in rows})

    return read


def _columns(pairs: Sequence[Sequence[tuple[SitePattern, SitePattern]]]) -> Iterator[Any]:
    """Give for each site its pattern in the first state and in all others."""
    for column in zip(*pairs, strict=True):
        yield [column[0][0], *(b for _, b in column)]


def _laid_out(sites: Sequence[SitePattern], is_flat: Sequence[bool]) -> list[Tensor]:
    """Return the values of a state in a layout that all states share."""
    return [
        rows_of(_values(site)) if flat else _values(site)
        for site, flat in zip(sites, is_flat, strict=True)
    ]


def _values(site: SitePattern) -> Tensor:
    if site.values is None:
        raise DataError(
            f"the patterns of site {site.name} are bits without pre-activations; give "
            "patterns that were captured with values=True."
        )
    return site.values


def _first_rates(way: Sequence[list[Tensor]], rates: Sequence[float]) -> Tensor:
    """Return the crossing rates of the samples of all sites in turn, on the first one's device."""
    first = _part(way[0], way[1], 0.0, rates[0])
    for index, (left, right) in enumerate(pairwise(rates), start=1):
        later = _part(way[index], way[index + 1], left, right)
        first = torch.where(first <= left, first, later)
    return first


def _part(starts: list[Tensor], ends: list[Tensor], left: float, right: float) -> Tensor:
    """Return the crossing rates on the straight line through the states at two rates."""
    changes = torch._foreach_sub(ends, starts)
    # 1 over the crossing rate is -g / c, the greatest of a sample: a division and one reduction.
    # A unit at 0 is off: it is put just below (and all that is above by less than a normal
    # number can be with it), where it crosses at once if it moves up.
    lowest = [
        change.div_(start).nan_to_num_(0.0).amin(1).reshape(-1)
        for start, change in zip(torch._foreach_sub(starts, _TINY), changes, strict=True)
    ]
    device = starts[0].device
    wide = torch.float32 if device.type == "mps" else torch.float64
    inverse = torch.cat([each.to(device, wide) for each in lowest]).clamp_(max=0.0).abs_()
    return left + (right - left) / inverse


def _counts(rates: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return `(sites, BINS)` numbers of samples, on the device of the rates."""
    place = (rates.log2() - LOWEST).mul_(PER_OCTAVE).floor_().add_(1).clamp_(0, BINS - 1)
    bins = place.long() + _offsets(tuple(sizes), str(rates.device))
    counts = torch.zeros(len(sizes) * BINS, dtype=torch.int32, device=rates.device)
    ones = torch.ones((), dtype=torch.int32, device=rates.device).expand(len(bins))
    return counts.index_add_(0, bins, ones).view(len(sizes), BINS)


@lru_cache(maxsize=16)
def _offsets(sizes: tuple[int, ...], device: str) -> Tensor:
    """Return for every sample where the counts of its site begin."""
    starts = torch.arange(len(sizes)) * BINS
    return starts.repeat_interleave(torch.tensor(sizes)).to(device)
