"""D of two forward passes on the same batch, on the device, in one transfer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from reluflow.errors import DataError
from reluflow.temperature import SiteDistance, StepDistance
from reluflow_torch.sites.device.transfer import Transfer
from reluflow_torch.sites.patterns import SitePattern

_WORD_BYTES = 8
"""Of an int64, as which eight bools are compared at once."""


def distances(before: Mapping[str, SitePattern], after: Mapping[str, SitePattern]) -> StepDistance:
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
        >>> distances({"relu": a}, {"relu": b}).mean_distance
        0.5
    """
    return distances_and_nans(before, after)[0]


def distances_and_nans(
    before: Mapping[str, SitePattern], after: Mapping[str, SitePattern]
) -> tuple[StepDistance, int]:
    """Return what `distances` does, and how many pre-activations were NaN before.

    Args:
        before: patterns in the first state.
        after: patterns of the same batch in the second state.

    Raises:
        DataError: no site is in both.
    """
    return ask_distances(before, after, Transfer())()


def ask_distances(
    before: Mapping[str, SitePattern], after: Mapping[str, SitePattern], transfer: Transfer
) -> Callable[[], tuple[StepDistance, int]]:
    """Return a function that gives what `distances_and_nans` does, once the numbers are there.

    Args:
        before: patterns in the first state.
        after: patterns of the same batch in the second state.
        transfer: which is asked for the numbers; it may bring others on the same way.

    Raises:
        DataError: no site is in both.

    Example:
        >>> site = SitePattern("relu", "relu", torch.tensor([[True]]), 0, 1)
        >>> read = ask_distances({"relu": site}, {"relu": site}, Transfer())
        >>> read()[0].mean_distance
        0.0
    """
    pairs = pairs_of(before, after)
    changed = [transfer.ask(_changed(a.bits, b.bits)) for a, b in pairs]
    nans = [_asked(b.nans, transfer) for _, b in pairs]
    nans_before = [_asked(site.nans, transfer) for site in before.values()]
    sites = [(a.name, a.samples, a.units, a.layer) for a, _ in pairs]  # not the bits themselves

    def read() -> tuple[StepDistance, int]:
        found = StepDistance(
            tuple(
                SiteDistance(name, int(number()), samples, units=units, nans=count(), layer=layer)
                for (name, samples, units, layer), number, count in zip(
                    sites, changed, nans, strict=True
                )
            )
        )
        return found, sum(count() for count in nans_before)

    return read


def _asked(count: Tensor | int, transfer: Transfer) -> Callable[[], int]:
    """Return a function that gives a count, wherever it is."""
    if isinstance(count, Tensor):
        answer = transfer.ask(count)
        return lambda: int(answer())
    return lambda: count


def pairs_of(
    before: Mapping[str, SitePattern], after: Mapping[str, SitePattern]
) -> list[tuple[SitePattern, SitePattern]]:
    """Match the sites that two passes ran on the same samples.

    Args:
        before: patterns in the first state.
        after: patterns of the same batch in the second state.

    Returns:
        Pairs, at least one: by order where the passes took the same path, else by name.

    Raises:
        DataError: no site is in both.

    Example:
        >>> site = SitePattern("relu", "relu", torch.tensor([[True]]), 0, 1)
        >>> [(a.name, b.name) for a, b in pairs_of({"relu": site}, {"relu": site})]
        [('relu', 'relu')]
    """
    pairs = _pairs(list(before.values()), list(after.values()))
    if not pairs:
        raise DataError(
            f"the passes have the switch sites {sorted(before)} and {sorted(after)}, none in "
            "common; record both on the same batch with the same model."
        )
    return pairs


def _pairs(
    before: list[SitePattern], after: list[SitePattern]
) -> list[tuple[SitePattern, SitePattern]]:
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


def rows_of(bits: Tensor) -> Tensor:
    """Return `(samples, units)`, whatever the memory layout that the bits were read from.

    Args:
        bits: those of a site, or its values.

    Example:
        >>> rows_of(torch.zeros(2, 3, 5)).shape
        torch.Size([10, 3])
    """
    return bits if bits.dim() == 2 else bits.transpose(1, 2).flatten(0, 1)


def _changed(a: Tensor, b: Tensor) -> Tensor:
    """Return in how many samples the patterns differ."""
    if a.dim() != b.dim():
        a, b = rows_of(a), rows_of(b)
    unequal = a != b
    if a.dim() == 2 and a.shape[1] % _WORD_BYTES == 0:  # much faster on a CPU
        return unequal.view(torch.int64).amax(1).count_nonzero()
    return unequal.view(torch.uint8).amax(1).count_nonzero()
