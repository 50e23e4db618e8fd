"""D of one optimiser step, measured from outside any scheduler, for the pictures."""

from __future__ import annotations

from typing import Any

import torch  # a benchmark of the torch bridge
from torch import Tensor, nn


@torch.no_grad()
def patterns(
    model: nn.Module, batch: Tensor, weights: dict[str, Tensor] | None = None
) -> list[Tensor]:
    """Returns the pattern of every ReLU module for a batch, in training mode or not.

    Args:
        model: stays as it is; no statistic of batch normalisation is written.
        batch: images `(n, 1, 28, 28)`.
        weights: parameters by name that replace the model's own.

    Returns:
        Booleans, one tensor per site: `(n, units)` or `(n, units, h, w)`.
    """
    caught: list[Tensor] = []

    def catch(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        caught.append(inputs[0] > 0)

    sites = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    hooks = [site.register_forward_pre_hook(catch) for site in sites]
    state = dict(model.named_parameters()) | (weights or {})
    state |= {name: value.clone() for name, value in model.named_buffers()}
    try:
        torch.func.functional_call(model, state, (batch,))
    finally:
        for hook in hooks:
            hook.remove()
    return caught


class StepWatch:
    """Share of samples whose pattern a step changed, per ReLU of a model (docs/spec.md, section 5).

    Use: `before(batch)`, the training step, `after(batch)`. Both forward passes are separate
    from the training.

    Args:
        model: its ReLU modules are the sites.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._patterns: list[Tensor] = []

    def before(self, batch: Tensor) -> None:
        """Records the patterns of the batch ahead of the step."""
        self._patterns = patterns(self._model, batch)

    def after(self, batch: Tensor) -> list[float]:
        """Returns D of every site, fraction in [0, 1]; every pixel is a sample."""
        now = patterns(self._model, batch)
        return [
            (a != b).any(dim=1).double().mean().item()
            for a, b in zip(self._patterns, now, strict=True)
        ]
