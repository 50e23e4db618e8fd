"""The schedules that are compared, each as a torch scheduler stepped after every batch."""

from __future__ import annotations

from typing import Any

from torch import nn, optim  # a benchmark of the torch bridge
from torch.optim import lr_scheduler

BASELINES = ("step", "onecycle", "cosine")
NAMES = (*BASELINES, "actcool")
TITLES = {
    "step": "StepDecayLR",
    "onecycle": "OneCycleLR",
    "cosine": "CosineAnnealingLR",
    "actcool": "ActCoolLR",
}
MOMENTUM = 0.9
DROPS = (0.6, 0.85)  # where StepDecayLR multiplies the rate by 0.1, fraction of the training


def make(
    name: str,
    model: nn.Module,
    rate: float,
    total_steps: int,
    options: dict[str, Any] | None = None,
) -> tuple[optim.Optimizer, Any]:
    """Makes the optimiser and the scheduler of a run.

    Args:
        name: one of `NAMES`.
        model: what is trained.
        rate: initial rate of `step`, `cosine` and `actcool`, largest rate of `onecycle`.
        total_steps: optimiser steps of the run.
        options: of ActCoolLR; empty for its defaults.

    Returns:
        SGD with momentum 0.9 and no weight decay, and its scheduler.
    """
    optimizer = optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM, fused=True)
    if name == "step":
        drops = [round(total_steps * share) for share in DROPS]
        return optimizer, lr_scheduler.MultiStepLR(optimizer, drops, gamma=0.1)
    if name == "onecycle":
        return optimizer, lr_scheduler.OneCycleLR(optimizer, rate, total_steps=total_steps)
    if name == "cosine":
        return optimizer, lr_scheduler.CosineAnnealingLR(optimizer, total_steps)
    return optimizer, _actcool(optimizer, model, total_steps, options or {})


def _actcool(
    optimizer: optim.Optimizer, model: nn.Module, total_steps: int, options: dict[str, Any]
) -> Any:
    from reluflow.temperature import ActCoolOptions, PowerSchedule
    from reluflow_torch import ActCoolLR

    # The records are of the fitted model.
    schedule = PowerSchedule(**options) if options else None
    return ActCoolLR(optimizer, model, total_steps, schedule=schedule, options=ActCoolOptions())
