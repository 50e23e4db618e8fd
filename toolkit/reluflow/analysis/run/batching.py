"""How many inputs run through the model at once, and which thread handles which site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from reluflow.analysis.run.options import AnalysisOptions
from reluflow.data import Dim, agreed_batch_size, batch_that_fits, bytes_per_sample
from reluflow.graph import Model, SwitchSite, bound_shapes


def choose_batch_size(
    model: Model,
    sites: Sequence[SwitchSite],
    options: AnalysisOptions,
    first: Mapping[str, np.ndarray] | None = None,
    measure: Callable[[Mapping[str, np.ndarray]], int] | None = None,
) -> int:
    """Return the batch size: the model's own, the requested one, or one that fits in memory.

    Args:
        model: its inputs may fix the batch size.
        sites: the tapped sites; inputs, pre-activations and fingerprints of one run stay
            under 256 MB.
        options: `batch_size` where the user chose one.
        first: one input, whose sizes are taken for all inputs; without it unknown sizes count as
            64.
        measure: runs one input and returns the bytes of its pre-activations; for sites whose
            size only a run can tell.

    Returns:
        Inputs per run, from 1 on.

    Raises:
        OptionError: the requested batch size is not the one the model is made for.
        DataError: the model fails on the first input.
    """
    agreed = agreed_batch_size(model.inputs, options.batch_size)
    if agreed is not None:
        return agreed
    if first is None:
        per_input = sum(bytes_per_sample(site.shape) for site in sites)
    else:
        per_input = sum(array.nbytes for array in first.values())
        per_input += _tapped_bytes(model, sites, first, measure)
    return batch_that_fits(model.inputs, per_input)


def fitting(feeds: Mapping[str, np.ndarray], first_bytes: int, batch_size: int) -> int:
    """Return how many of some inputs may run at once where they are larger than the first one.

    Args:
        feeds: a batch.
        first_bytes: bytes of the input that the batch size was chosen by.
        batch_size: inputs per run.
    """
    n = len(next(iter(feeds.values())))
    each = sum(array.nbytes for array in feeds.values()) / n
    return max(1, min(n, int(batch_size * first_bytes / max(each, 1)))) if first_bytes else n


def _tapped_bytes(
    model: Model,
    sites: Sequence[SwitchSite],
    first: Mapping[str, np.ndarray],
    measure: Callable[[Mapping[str, np.ndarray]], int] | None,
) -> int:
    """Return the bytes of one input's pre-activations."""
    found = bound_shapes(model, {name: array.shape for name, array in first.items()})
    shapes = [found.get(site.name) for site in sites]
    complete = all(s is not None and all(isinstance(d, int) for d in s) for s in shapes)
    if measure is not None and (not complete or any(site.scope for site in sites)):
        return measure(first)  # a loop may show a site many times
    return sum(
        bytes_per_sample(None if shape is None else (1, *shape)) + _key_bytes(shape, site.unit_axis)
        for site, shape in zip(sites, shapes, strict=True)
    )


def _key_bytes(shape: tuple[Dim, ...] | None, unit_axis: int) -> int:
    """Return the bytes of one input's fingerprints at a site, where its shape is known."""
    if shape is None or not -len(shape) <= unit_axis < len(shape):
        return 0
    # 16 bytes of key for each sample, whose units take 4 each
    units = shape[unit_axis]
    return 4 * bytes_per_sample((1, *shape)) // units if isinstance(units, int) and units else 0


def share_out(sizes: Sequence[int], groups: int) -> list[list[int]]:
    """Distribute jobs so that every group has about the same amount of work: largest first.

    Args:
        sizes: cost of each job.
        groups: the largest number of groups.

    Returns:
        The indices of the jobs of each group; no group is empty.

    Example:
        >>> share_out([5, 1, 4, 2], 2)
        [[0, 1], [2, 3]]
    """
    shares: list[list[int]] = [[] for _ in range(min(groups, len(sizes)))]
    loads = [0] * len(shares)
    # Largest first to the lightest share: at most a third above the best split (Graham 1969).
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        lightest = loads.index(min(loads))
        shares[lightest].append(index)
        loads[lightest] += sizes[index]
    return [sorted(share) for share in shares]
