"""Closures given to `optimizer.step`: the batch and the gradients come from them."""

from __future__ import annotations

from typing import Any

import torch


def run_closure(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Run a closure given to `optimizer.step` early, where there is one.

    Args:
        args: the optimizer and the positional arguments of its step.
        kwargs: its keyword arguments.

    Returns:
        Arguments whose closure returns the loss already found; None without a closure.
    """
    closure = args[1] if len(args) > 1 else kwargs.get("closure")
    if not callable(closure):
        return None
    with torch.enable_grad():
        loss = closure()
    rest = {name: value for name, value in kwargs.items() if name != "closure"}
    return (args[0], *args[2:]), {**rest, "closure": lambda: loss}
