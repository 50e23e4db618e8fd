"""D of one optimizer step, measured from outside any scheduler, for the pictures."""

from __future__ import annotations

from typing import Any

import torch  # noqa: TID251  # a benchmark of the torch bridge
from torch import Tensor, nn  # noqa: TID251


class StepDistance:
    """Share of samples whose pattern a step changed, per ReLU of a model (SPEC 5).

    Use: `before(batch)`, the training step, `after(batch)`. Both forwards are made apart from
    the training and write no statistic of batch normalisation.

    Args:
        model: its ReLU modules are the sites.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._sites = [module for module in model.modules() if isinstance(module, nn.ReLU)]
        self._patterns: list[Tensor] = []

    def before(self, batch: Tensor) -> None:
        """Records the patterns of the batch ahead of the step."""
        self._patterns = self._record(batch)

    def after(self, batch: Tensor) -> list[float]:
        """Returns D of every site, fraction in [0, 1]; every pixel is a sample."""
        now = self._record(batch)
        return [
            (a != b).any(dim=1).double().mean().item()
            for a, b in zip(self._patterns, now, strict=True)
        ]

    @torch.no_grad()
    def _record(self, batch: Tensor) -> list[Tensor]:
        caught: list[Tensor] = []

        def catch(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            caught.append(inputs[0] > 0)

        hooks = [site.register_forward_pre_hook(catch) for site in self._sites]
        state = dict(self._model.named_parameters())
        state.update({name: value.clone() for name, value in self._model.named_buffers()})
        try:
            torch.func.functional_call(self._model, state, (batch,))
        finally:
            for hook in hooks:
                hook.remove()
        return caught
