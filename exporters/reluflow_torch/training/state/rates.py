"""Learning rates of parameter groups: reading, writing, and their ratios."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

from reluflow.errors import OptionError

_LEAST_START, _LARGEST_START = 1e-8, 1e8
"""Rates the first search may begin at: room on both sides before it meets 1e-10 and 1e10."""


def read_rates(optimizer: Optimizer, key: str = "lr") -> list[float]:
    """Return the rate of every group as a plain number."""
    return [float(group[key]) for group in optimizer.param_groups]


def rate_marks(optimizer: Optimizer) -> list[float]:
    """Return one number per group that changes when its rate is set: the rate or its version.

    Reading a tensor would wait for the device.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    return [rate._version if isinstance(rate, Tensor) else rate for rate in rates]


def are_marks(optimizer: Optimizer, marks: list[float]) -> bool:
    """Tell whether the first groups still have these marks, see `rate_marks`."""
    for group, mark in zip(optimizer.param_groups, marks, strict=False):
        rate = group["lr"]
        if (rate._version if isinstance(rate, Tensor) else rate) != mark:
            return False
    return len(optimizer.param_groups) >= len(marks)


def set_rates(optimizer: Optimizer, rates: list[float]) -> None:
    """Write the rate of every group, into the tensor where it is one."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def rate_ratios(rates: list[float]) -> list[float]:
    """Return each rate over the largest: 1 for the group that leads, 0 for a frozen one.

    Raises:
        OptionError: no rate is above 0.

    Example:
        >>> rate_ratios([0.1, 0.05])
        [1.0, 0.5]
    """
    largest = max(rates)
    if not largest > 0.0:
        raise OptionError(
            f"the param groups have the learning rates {rates}, but their ratios are kept and "
            "one must lead; give at least one group an lr above 0."
        )
    return [rate / largest for rate in rates]


def trained_weights(optimizer: Optimizer, ratios: list[float]) -> set[int]:
    """Return the identities of the weights that a step may move.

    Args:
        optimizer: of the weights.
        ratios: of the rates of its groups; a group at 0 is frozen.
    """
    return {
        id(weight)
        for group, ratio in zip(optimizer.param_groups, ratios, strict=True)
        for weight in group["params"]
        if ratio > 0 and weight.requires_grad
    }


def searchable(rate: float) -> float:
    """Return a rate at which the first search may start, near the one that is given."""
    return min(max(rate, _LEAST_START), _LARGEST_START)
