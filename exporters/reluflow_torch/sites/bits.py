"""Bits of the pre-activations of a site, and how many of them are NaN (docs/spec.md, section 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def switch_bits(
    values: Tensor, threshold: float, *, is_switched: bool = False
) -> tuple[Tensor, Tensor | int]:
    """Return which values lie above the threshold, NaN never, and the number of NaNs.

    Args:
        values: pre-activations of any shape; or, if `is_switched`, what a ReLU made of them.
        threshold: where the site switches.
        is_switched: whether the values are 0 from the threshold down.

    Returns:
        Bits of the shape of the values, and a count: a tensor where reading it would wait for
        the device.

    Example:
        >>> switch_bits(torch.tensor([1.0, 0.0, float("nan"), -2.0]), 0.0)
        (tensor([ True, False, False, False]), tensor(1))
    """
    values = values.detach()
    # A sum is NaN wherever a value is, and on a CPU several times as quick as a count; so is
    # `bool` beside a comparison, but it takes NaN for active.
    if values.device.type != "cpu" or math.isnan(values.sum().item()):
        return values > threshold, values.isnan().sum()
    if is_switched:
        return values.bool(), 0
    if threshold == 0.0:
        return torch.relu(values).bool(), 0
    return values > threshold, 0
