"""Agree on a number across all processes of a distributed training run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import distributed


def number_of_ranks() -> int:
    """Return the number of processes that train together; 1 without torch.distributed."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


def rank() -> int:
    """Return the number of this process among those that train together; 0 for the first."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    return 0


def mean_over_ranks(value: float, device: Callable[[], torch.device]) -> float:
    """Return the mean of a value over all ranks, the same on each of them bit for bit.

    Args:
        value: that of this process.
        device: returns that of the model: NCCL needs its tensors there.
    """
    ranks = number_of_ranks()
    if ranks == 1:
        return value
    return float(sum_over_ranks(torch.tensor(value, dtype=torch.float64), device)) / ranks


def sum_over_ranks(values: torch.Tensor, device: Callable[[], torch.device]) -> torch.Tensor:
    """Return the sum of a tensor over all ranks, on the host.

    Args:
        values: those of this process, on the host.
        device: returns that of the model: NCCL needs its tensors there.
    """
    if number_of_ranks() == 1:
        return values
    is_nccl = distributed.get_backend() == "nccl"
    total = values.to(device()) if is_nccl else values.clone()
    distributed.all_reduce(total)
    return total.cpu()
