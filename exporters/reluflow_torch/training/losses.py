"""Losses by name, which report in one sentence what does not fit a model's output."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reluflow.errors import DataError

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(output: Any, target: Tensor) -> Tensor:
    """Return the mean cross entropy of class numbers.

    Args:
        output: `(n, classes)` or `(n, classes, ...)` logits.
        target: `(n,)` or `(n, ...)` class numbers.

    Raises:
        DataError: one number per input, labels that are not classes, or a wrong shape.
    """
    scores = _one(output)
    if scores.ndim < 2 or scores.shape[1] == 1:
        raise DataError(
            f"the model gives one number per input (output {list(scores.shape)}), but "
            "loss 'cross-entropy' needs one per class; take loss 'binary-cross-entropy' for "
            "labels 0 and 1, or loss 'mse' for numbers."
        )
    classes, shape = scores.shape[1], [scores.shape[0], *scores.shape[2:]]
    if list(target.shape) != shape:
        raise DataError(
            f"labels are {list(target.shape)} for an output {list(scores.shape)}; "
            f"give class numbers {shape}."
        )
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"labels go from {low} to {high}, but the model has {classes} classes; "
            f"give class numbers from 0 to {classes - 1}."
        )
    return nn.functional.cross_entropy(scores, target.long())


def binary_cross_entropy(output: Any, target: Tensor) -> Tensor:
    """Return the mean binary cross entropy of one logit per input.

    Args:
        output: `(n,)` or `(n, 1)` logits, or logits of the target's shape.
        target: 0 or 1 each.

    Raises:
        DataError: other labels, or another number of outputs.
    """
    logits = _one(output)
    if not torch.isin(target, torch.tensor([0, 1], device=target.device)).all():
        raise DataError(
            f"labels go from {target.min().item():g} to {target.max().item():g}, but "
            "loss 'binary-cross-entropy' needs 0 and 1; take loss 'cross-entropy' or loss 'mse'."
        )
    wanted = _shaped(logits, target, "binary-cross-entropy")
    return nn.functional.binary_cross_entropy_with_logits(logits, wanted)


def mean_squared_error(output: Any, target: Tensor) -> Tensor:
    """Return the mean squared error.

    Args:
        output: `(n, ...)` numbers.
        target: as many.

    Raises:
        DataError: another number of outputs.
    """
    values = _one(output)
    return nn.functional.mse_loss(values, _shaped(values, target, "mse"))


LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "binary-cross-entropy": binary_cross_entropy,
    "mse": mean_squared_error,
}


def _one(output: Any) -> Tensor:
    if isinstance(output, Tensor) and output.dim():
        return output
    if isinstance(output, Tensor):
        raise DataError(
            "the model gives one number for all inputs together, but a loss takes one or more "
            "for each; export it without the sum or mean at its end."
        )
    raise DataError(
        f"the model has {len(output)} outputs, but a loss takes one; export it with the one that "
        "is trained on."
    )


def _shaped(output: Tensor, target: Tensor, loss: str) -> Tensor:
    """Return the target in the output's shape and type, where it has as many numbers."""
    if target.shape[:1] != output.shape[:1] or math.prod(target.shape) != math.prod(output.shape):
        raise DataError(
            f"targets are {list(target.shape)} for an output {list(output.shape)}; "
            f"loss '{loss}' needs a number for each output."
        )
    return target.reshape(output.shape).to(output.dtype)
