"""How long the coming update of SGD is, read from one layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_MOST_VALUES = 65_536
"""Of a weight, so that large ones cost no time."""


class UpdateLength:
    """Length of the coming update of the last layer, without its rate; of SGD alone.

    The gradient of the last layer is that of the loss times what comes in there, so it tells of
    odd labels as of odd inputs. Optimisers that divide by the size of gradients bound their
    updates themselves. Weight decay, dampening and Nesterov's part are left out.

    Args:
        optimizer: of which steps are about to be taken.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._chosen: tuple[Tensor, dict[str, Any]] | None = None

    def read(self) -> float | None:
        """Return the length; None where nothing can be said. It waits for the device."""
        if not isinstance(self._optimizer, torch.optim.SGD):
            return None
        if self._chosen is None:
            self._chosen = self._last()
        if self._chosen is None or not _is_plain(self._chosen[0].grad):
            return None
        weight, group = self._chosen
        assert weight.grad is not None
        with torch.no_grad():
            update = _part(weight.grad)
            scale = getattr(self._optimizer, "grad_scale", None)  # of a fused one in GradScaler
            if scale is not None:
                update = update / scale.to(update.device)
            buffer = self._optimizer.state.get(weight, {}).get("momentum_buffer")
            if buffer is not None:
                update = torch.add(update, _part(buffer), alpha=group["momentum"])
            return float(update.norm())

    def _last(self) -> tuple[Tensor, dict[str, Any]] | None:
        """Return the last weight of two axes or more that has a gradient, and its group."""
        groups = self._optimizer.param_groups
        weights = [(w, group) for group in groups for w in group["params"] if w.ndim > 1]
        return next((found for found in reversed(weights) if _is_plain(found[0].grad)), None)


def _is_plain(gradient: Tensor | None) -> bool:
    """Tell whether a gradient is dense and whole: neither sparse nor a part of a sharded one."""
    return type(gradient) is Tensor and not gradient.is_sparse


def _part(values: Tensor) -> Tensor:
    """Return the first rows of a weight's values, as many as are looked at."""
    return values[: max(1, _MOST_VALUES * len(values) // max(values.numel(), 1))]
