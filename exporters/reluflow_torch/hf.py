"""Hugging Face Trainer: PatternMonitor as a callback, and the optimisers for ActCoolLR.

Import this module by name; it needs `transformers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from reluflow.temperature import DivergenceAlarm
from reluflow_torch.monitoring.monitor import PatternMonitor
from reluflow_torch.training.scheduler import ActCoolLR

STATE_FILE = "reluflow_monitor.pt"


class PatternMonitorCallback(TrainerCallback):
    """Watch a training run of the Hugging Face Trainer; the state is in its checkpoints.

    Args:
        stop_on_alarm: whether a divergence alarm ends the training after the step.
        **settings: arguments of `PatternMonitor`.

    Attributes:
        monitor: the monitor; None before the training starts.

    Example:
        >>> callback = PatternMonitorCallback(every=10, sweep_every=200)
        >>> callback.monitor is None
        True
    """

    def __init__(self, *, stop_on_alarm: bool = False, **settings: Any) -> None:
        self.monitor: PatternMonitor | None = None
        self._stop_on_alarm = stop_on_alarm
        self._settings = settings
        self._is_alarmed = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Attach the monitor; continue where a checkpoint left off."""
        settings = {**self._settings, "on_alarm": self._alarm}
        if not self._stop_on_alarm:
            settings["on_alarm"] = self._settings.get("on_alarm")
        self.monitor = PatternMonitor(kwargs["optimizer"], kwargs["model"], **settings)
        kept = _state_file(args, state)
        if state.global_step > 0 and kept.is_file():
            self.monitor.load_state_dict(torch.load(kept, weights_only=True))

    def _alarm(self, alarm: DivergenceAlarm) -> None:
        self._is_alarmed = True
        then = self._settings.get("on_alarm")
        if then is not None:
            then(alarm)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Stop the training after an alarm."""
        if self._is_alarmed:
            control.should_training_stop = True
        return control

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save the monitor's state with the rest of the checkpoint."""
        kept = _state_file(args, state)
        if self.monitor is not None and state.is_world_process_zero and kept.parent.is_dir():
            torch.save(self.monitor.state_dict(), kept)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Detach the monitor and save what was recorded."""
        if self.monitor is not None:
            self.monitor.close()


def actcool_optimizers(
    model: nn.Module, optimizer: Optimizer, total_steps: int | None = None, **settings: Any
) -> tuple[Optimizer, ActCoolLR]:
    """Return the `optimizers` argument of a Trainer that ActCoolLR steers.

    The Trainer saves and loads the scheduler with its checkpoints.

    Args:
        model: the Trainer's model.
        optimizer: over its parameters.
        total_steps: number of optimiser steps of the whole training (`max_steps`).
        **settings: further arguments of `ActCoolLR`.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU())
        >>> pair = actcool_optimizers(model, torch.optim.SGD(model.parameters(), lr=0.1), 100)
        >>> pair[1].total_steps
        100
    """
    if "progress" not in settings:
        settings.setdefault("clock", "steps")
    return optimizer, ActCoolLR(optimizer, model, total_steps, **settings)


def _state_file(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir or ".") / f"checkpoint-{state.global_step}" / STATE_FILE
