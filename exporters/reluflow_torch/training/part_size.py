"""Which models and inputs of torch a probe may be made on a part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from reluflow.temperature.crossing.part_size import Examples, PartSize

_PLAIN = (int, float, str, bytes, type(None), torch.dtype, torch.device)
_TIME_FIRST = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer)


def part_size(examples: Examples, model: nn.Module) -> PartSize:
    """Return what chooses the examples of a probe.

    Args:
        examples: a fixed number, "auto" or None for whole batches.
        model: whose batches are taken whole where their first axis may be time.

    Raises:
        OptionError: another setting of `examples`.

    Example:
        >>> part_size("auto", nn.Linear(4, 4)).is_auto, part_size("auto", nn.LSTM(4, 4)).is_auto
        (True, False)
    """
    size = PartSize(examples)
    if any(map(_has_time_first, model.modules())):
        size.take_whole()
    return size


def _has_time_first(module: nn.Module) -> bool:
    """Tell whether a module reads its first axis as time, unless it was told otherwise."""
    return isinstance(module, _TIME_FIRST) and not _is_batch_first(module)


def _is_batch_first(module: Any) -> bool:
    attention = getattr(module, "self_attn", module)
    return bool(getattr(attention, "batch_first", False))


def can_be_cut(args: Iterable[Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether the inputs are tensors and plain values, so that nothing else names examples.

    Args:
        args: positional arguments of a model.
        kwargs: its keyword arguments.

    Example:
        >>> can_be_cut((torch.ones(4, 2), None), {}), can_be_cut(([torch.ones(4, 2)],), {})
        (True, False)
    """
    return all(isinstance(value, (Tensor, *_PLAIN)) for value in (*args, *kwargs.values()))
