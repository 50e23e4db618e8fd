"""Lightning: ActCoolLR from `configure_optimizers`, and callbacks for patterns and rates.

Import this module by name; it needs `lightning`.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch import callbacks as lightning_callbacks
from torch import nn
from torch.optim import Optimizer

from reluflow.errors import OptionError
from reluflow.temperature import DivergenceAlarm
from reluflow_torch.monitoring.monitor import PatternMonitor
from reluflow_torch.training.scheduler import ActCoolLR


class PatternMonitorCallback(Callback):
    """Watch a Lightning training run with a `PatternMonitor`; its state is in the checkpoints.

    Args:
        module: name of the attribute that `training_step` calls, such as "net"; "" where it
            calls the LightningModule itself, `self(x)`.
        optimizer: index of the optimiser to watch.
        stop_on_alarm: whether a divergence alarm ends the training at the next batch.
        **settings: arguments of `PatternMonitor`.

    Attributes:
        monitor: the monitor; None before the training starts.

    Raises:
        OptionError: when the training starts, there is no such module or optimiser.

    Example:
        >>> callback = PatternMonitorCallback("net", every=10, sweep_every=200)
        >>> callback.monitor is None
        True
    """

    def __init__(
        self,
        module: str = "",
        *,
        optimizer: int = 0,
        stop_on_alarm: bool = False,
        **settings: Any,
    ) -> None:
        self.monitor: PatternMonitor | None = None
        self._module = module
        self._optimizer = optimizer
        self._stop_on_alarm = stop_on_alarm
        self._settings = settings
        self._loaded: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach the monitor."""
        if self._optimizer >= len(trainer.optimizers):
            raise OptionError(
                f"optimizer is {self._optimizer}, but configure_optimizers gave "
                f"{len(trainer.optimizers)}; give the index of one of them."
            )
        settings = dict(self._settings)
        if self._stop_on_alarm:
            settings["on_alarm"] = _Stopper(trainer, settings.get("on_alarm"))
        called = find_module(pl_module, self._module)
        self.monitor = PatternMonitor(trainer.optimizers[self._optimizer], called, **settings)
        if self._loaded is not None:
            self.monitor.load_state_dict(self._loaded)
            self._loaded = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Detach the monitor and save what was recorded."""
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save what was recorded before the training was aborted."""
        self._close(is_complete=False)

    def _close(self, *, is_complete: bool = True) -> None:
        if self.monitor is not None:
            self.monitor.close(is_complete=is_complete)

    def state_dict(self) -> dict[str, Any]:
        """Return the monitor's state, for the checkpoint."""
        return {} if self.monitor is None else self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep a state until the monitor exists."""
        self._loaded = state_dict or None


class _Stopper:
    """Ask the trainer to stop at an alarm, then pass the alarm on."""

    def __init__(self, trainer: Trainer, then: Any) -> None:
        self._trainer = trainer
        self._then = then

    def __call__(self, alarm: DivergenceAlarm) -> None:
        self._trainer.should_stop = True
        if self._then is not None:
            self._then(alarm)


class LearningRateMonitor(lightning_callbacks.LearningRateMonitor):
    """Log the learning rates that steps really used; Lightning's own logs them one step late.

    That one reads the rates before a batch, while `ActCoolLR` sets them when the gradients of that
    batch are known. This one reads them at the optimiser's step and logs them after the batch,
    under the same names and at the same number of steps, whatever the scheduler. Batches without a
    step, as with accumulated gradients, log the rates of the step before.

    Args:
        log_momentum: whether the momentum is logged as well.
        log_weight_decay: whether the weight decay is logged as well.

    Raises:
        MisconfigurationException: of Lightning, when the training starts without a logger.

    Example:
        >>> monitor = LearningRateMonitor(log_momentum=True)
        >>> monitor.logging_interval
        'step'
    """

    def __init__(self, *, log_momentum: bool = False, log_weight_decay: bool = False) -> None:
        super().__init__("step", log_momentum=log_momentum, log_weight_decay=log_weight_decay)
        self._handles: list[Any] = []
        self._used: dict[int, float] = {}

    def on_train_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Start to watch the optimisers."""
        super().on_train_start(trainer, *args, **kwargs)
        self._used = {}
        self._handles = [
            optimizer.register_step_post_hook(self._note) for optimizer in trainer.optimizers
        ]

    def on_train_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Log nothing: the rates of the coming step are not known yet."""

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Log the rates of the step that was taken."""
        if self._used:
            super().on_train_batch_start(trainer, *args, **kwargs)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop watching."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Stop watching."""
        self._stop()

    def _note(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._used.update((id(group), float(group["lr"])) for group in optimizer.param_groups)

    def _stop(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _extract_lr(self, param_group: dict[str, Any], name: str) -> dict[str, Any]:
        rate = self._used.get(id(param_group), float(param_group["lr"]))
        self.lrs[name].append(rate)
        return {name: rate}


def actcool_optimizers(
    module: LightningModule, optimizer: Optimizer, called: str = "", **settings: Any
) -> dict[str, Any]:
    """Return what `configure_optimizers` must give for an `ActCoolLR` that steps by batch.

    Args:
        module: the LightningModule, that is `self`.
        optimizer: what to steer.
        called: name of the attribute that `training_step` calls; "" for `self(x)`.
        **settings: arguments of `ActCoolLR`; `total_steps` counts optimiser steps and is the
            trainer's estimate unless it or `progress` is given.

    Returns:
        Optimiser and scheduler, with interval "step".

    Raises:
        OptionError: there is no such attribute, or the trainer has no end.

    Example:
        >>> import torch
        >>> class Net(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.net = nn.Sequential(nn.Linear(2, 4), nn.ReLU())
        ...     def configure_optimizers(self):
        ...         optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        ...         return actcool_optimizers(self, optimizer, "net", total_steps=100)
        >>> made = Net().configure_optimizers()
        >>> made["lr_scheduler"]["interval"], made["lr_scheduler"]["scheduler"].total_steps
        ('step', 100)
    """
    if settings.get("total_steps") is None and "progress" not in settings:
        steps = module.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise OptionError(
                "the trainer has no end (max_epochs and max_steps are -1), so its total steps are "
                "unknown; give total_steps or progress to actcool_optimizers."
            )
        settings["total_steps"] = int(steps)
    if "progress" not in settings:
        settings.setdefault("clock", "steps")
    scheduler = ActCoolLR(optimizer, find_module(module, called), **settings)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def find_module(module: nn.Module, name: str) -> nn.Module:
    """Return a submodule by its path; the module itself for "".

    Args:
        module: the outer module.
        name: path of attributes, such as "net" or "model.encoder".

    Raises:
        OptionError: there is none of this name.

    Example:
        >>> find_module(nn.Sequential(nn.Linear(2, 4), nn.ReLU()), "1")
        ReLU()
    """
    try:
        return module.get_submodule(name)
    except AttributeError as error:
        children = ", ".join(child for child, _ in module.named_children())
        raise OptionError(
            f"module is {name!r}, but {type(module).__name__} has {children}; name the one that "
            "training_step calls."
        ) from error
