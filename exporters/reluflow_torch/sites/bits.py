"""Bits of the pre-activations of a site, and how many of them are NaN (docs/spec.md, section 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
    if values.device.type != "cpu" or math.isnan(values.sum().item()):
        return values > threshold, values.isnan().sum()
    if is_switched:
        return values.bool(), 0
    if threshold == 0.0:
        return torch.relu(values).bool(), 0
    return values > threshold, 0
