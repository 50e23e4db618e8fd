"""Bits and values of the pre-activations of a site, and the NaNs (docs/spec.md, section 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reluflow_torch.sites.device.transfer import waits_for


def switch_bits(
    values: Tensor, threshold: float, *, is_switched: bool = False
) -> tuple[Tensor, Tensor | int]:
    """Return which values are above the threshold (NaN never is), and the number of NaNs.

    Args:
        values: pre-activations of any shape; or, if `is_switched`, the output of a ReLU.
        threshold: the value at which the site switches.
        is_switched: whether the values are 0 at and below the threshold.

    Returns:
        Bits of the shape of the values, and a count: a tensor where reading it would wait for
        the device.

    Example:
        >>> switch_bits(torch.tensor([1.0, 0.0, float("nan"), -2.0]), 0.0)
        (tensor([ True, False, False, False]), tensor(1))
    """
    values = values.detach()
    # A sum is NaN if any value is, and on a CPU several times as fast as a count; `bool` is also
    # faster than a comparison, but it treats NaN as active.
    if waits_for(values.device) or math.isnan(values.sum().item()):
        return values > threshold, values.isnan().sum()
    if is_switched:
        return values.bool(), 0
    if threshold == 0.0:
        return torch.relu(values).bool(), 0
    return values > threshold, 0


def above_threshold(values: Tensor, threshold: float, *, is_fresh: bool) -> Tensor:
    """Return how far pre-activations are above the threshold, in memory of its own.

    The threshold is rounded as the switch rounds it, to the type of the values: the result is
    above 0 exactly where `switch_bits` says so.

    Args:
        values: pre-activations of any shape.
        threshold: the value at which the site switches.
        is_fresh: whether the values are a copy already, which nothing else writes to.

    Returns:
        float64 where the values are, else float32, of their shape and memory layout.

    Example:
        >>> above_threshold(torch.tensor([-4.0, 1.0]), -3.0, is_fresh=False)
        tensor([-1.,  4.])
    """
    values = values.detach()
    wide = values if values.dtype is torch.float64 else values.float()
    rounded = float(torch.tensor(threshold, dtype=values.dtype)) if threshold else 0.0
    if rounded:
        return wide - rounded
    return wide.clone() if wide is values and not is_fresh else wide
