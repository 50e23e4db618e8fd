"""Checks that the first argument is an optimiser and the second a model."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

from reluflow.errors import OptionError
from reluflow_torch.sites.unwrap import bare_optimizer


def check_pair(name: str, optimizer: Any, model: Any) -> None:
    """Refuse arguments that are not an optimiser and a model.

    Args:
        name: of the class or function that they are passed to.
        optimizer: an optimiser, wrapped by a framework or not.
        model: a module.

    Raises:
        OptionError: one is missing, of another type, or both are in the wrong order.
    """
    if isinstance(optimizer, nn.Module) and isinstance(bare_optimizer(model), Optimizer):
        raise OptionError(
            f"optimizer is the module {type(optimizer).__name__} and model the optimizer "
            f"{type(model).__name__}; give {name}(optimizer, model) in this order."
        )
    if not isinstance(bare_optimizer(optimizer), Optimizer):
        raise OptionError(
            f"optimizer is {_shown(optimizer)}; give {name}(optimizer, model) the "
            "torch.optim.Optimizer whose step() the training loop calls."
        )
    if not isinstance(model, nn.Module):
        raise OptionError(
            f"model is {_shown(model)}; give {name}(optimizer, model) the module that the "
            "training loop calls as second argument, and numbers by their names."
        )


def _shown(value: Any) -> str:
    kind = type(value).__name__
    plain = value is None or isinstance(value, bool | int | float | str)
    return repr(value) if plain else f"a {kind}"


def is_overflow(optimizer: Optimizer) -> bool:
    """Tell whether a fused optimiser under GradScaler is about to skip this step."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)
