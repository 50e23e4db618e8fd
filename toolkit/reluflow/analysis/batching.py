"""How many inputs go through the model at once, and which thread sees which site."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reluflow.analysis.options import AnalysisOptions
from reluflow.errors import OptionError
from reluflow.graph import Model, SwitchSite

_TAPPED_BYTES = 2**28
_LARGEST = 64
_UNKNOWN_DIM = 64


def choose_batch_size(model: Model, sites: Sequence[SwitchSite], options: AnalysisOptions) -> int:
    """Return the batch size: the model's own, the one asked for, or one that fits in memory.

    Args:
        model: its inputs may fix the batch size.
        sites: the tapped sites; their pre-activations of one run stay under 256 MB.
        options: `batch_size` where the user chose one.

    Returns:
        Inputs a run, from 1 on.

    Raises:
        OptionError: the batch size asked for is not the one the model is made for.
    """
    fixed = {spec.name: spec.batch_size for spec in model.inputs if spec.batch_size}
    if fixed:
        name, size = next(iter(fixed.items()))
        if options.batch_size not in (None, size):
            raise OptionError(
                f"batch_size is {options.batch_size}, but input {name!r} of the model is made "
                f"for batches of {size}; leave batch_size out or export with a dynamic batch."
            )
        return size
    if options.batch_size:
        return options.batch_size
    per_input = sum(_bytes_per_input(site) for site in sites)
    return max(1, min(_LARGEST, _TAPPED_BYTES // max(per_input, 1)))


def _bytes_per_input(site: SwitchSite) -> int:
    if site.shape is None:
        return 4 * _UNKNOWN_DIM**3
    return 4 * math.prod(d if isinstance(d, int) else _UNKNOWN_DIM for d in site.shape[1:])


def share_out(sizes: Sequence[int], groups: int) -> list[list[int]]:
    """Share out jobs so that every group has about the same to do: largest first.

    Args:
        sizes: cost of each job.
        groups: most groups to make.

    Returns:
        The indices of the jobs of each group; no group is empty.

    Example:
        >>> share_out([5, 1, 4, 2], 2)
        [[0, 1], [2, 3]]
    """
    shares: list[list[int]] = [[] for _ in range(min(groups, len(sizes)))]
    loads = [0] * len(shares)
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        lightest = loads.index(min(loads))
        shares[lightest].append(index)
        loads[lightest] += sizes[index]
    return [sorted(share) for share in shares]
