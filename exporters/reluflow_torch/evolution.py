"""Train a network and record how its patterns evolve, on all images that it learns from."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from reluflow.errors import DataError, OptionError, OutputError
from reluflow.files import appearing
from reluflow.monitoring import KeptTables, log_steps, read_recording
from reluflow.patterns import PatternRecorder
from reluflow_torch.monitoring.monitor import PatternMonitor

SCHEDULES = ("constant", "step", "onecycle", "cyclic")
DECAYS = (0.5, 0.75)
"""Shares of the steps after which "step" divides the rate by 10."""
CYCLES = 3
"""Rises and falls of the rate with "cyclic", the top of each half as high as the one before."""
_SPAN = 100
"""Highest over lowest rate of "cyclic"."""
_SETTINGS, _CHECKPOINT = "training.json", "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Training:
    """How a network is trained by `record_evolution`.

    Attributes:
        epochs: passes over all images.
        batch: images of a step; the last of an epoch may have fewer.
        rate: highest learning rate.
        schedule: "constant"; "step", a tenth after half and after three quarters; "onecycle" or
            "cyclic", three triangles, each half as high.
        momentum: of SGD.
        weight_decay: part of the gradient.
        seed: of the order of the images.
        per_decade: measured steps per factor 10 of time, beside 0 and the last.
        at: the very steps to measure at instead, beside the last; numbers of steps taken.

    Raises:
        OptionError: a value makes no sense.

    Example:
        >>> training = Training(epochs=2)
        >>> training.steps(images=1000), training.measured(images=1000)
        (32, [0, 1, 2, 3, 4, 6, 7, 10, 13, 18, 24, 32])

    Reference: thesis 3.1.3 to 3.1.6.
    """

    epochs: int = 10
    batch: int = 64
    rate: float = 0.1
    schedule: str = "step"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0
    per_decade: int = 8
    at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            OptionError: a value makes no sense.
        """
        if self.schedule not in SCHEDULES:
            raise OptionError(f"schedule is {self.schedule!r}; give one of {', '.join(SCHEDULES)}.")
        if min(self.epochs, self.batch) < 1 or not 0 < self.rate < math.inf:
            raise OptionError(
                f"epochs, batch and rate are {self.epochs}, {self.batch} and {self.rate}; give "
                "numbers above 0."
            )

    def steps(self, images: int) -> int:
        """Return the number of steps.

        Args:
            images: learnt from.
        """
        return self.epochs * math.ceil(images / self.batch)

    def measured(self, images: int) -> list[int]:
        """Return after how many steps patterns are measured.

        Args:
            images: learnt from.
        """
        last = self.steps(images)
        if self.at:
            return sorted({last, *(step for step in self.at if step <= last)})
        return log_steps(last, self.per_decade)


def record_evolution(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    folder: str | os.PathLike[str],
    training: Training | None = None,
    *,
    keep_tables: bool = False,
) -> pa.Table:
    """Train by SGD on cross entropy, and record the patterns of all images at log-spaced steps.

    A pass measures as many images as a step learns from, with batch normalisation by their own
    statistics. A folder that holds the whole run is only read, and the weights are set to those it
    ended with; an interrupted run continues after its last whole epoch and, on the CPU, gives bit
    for bit what it would have given.

    Args:
        model: with its initial weights, on the device of the images; trained in place.
        images: `(n, ...)`, what the model takes.
        labels: `(n,)` class numbers.
        folder: of the recording.
        training: how; None: the defaults of `Training`.
        keep_tables: whether the tables of counts stay in the folder, 24 bytes a pattern; they are
            needed until the last step, for the Jaccard index to the final state.

    Returns:
        The recording, as `reluflow.monitoring.read_recording` does.

    Raises:
        OptionError: a value makes no sense, or images and labels differ in number.
        DataError: the loss is no longer finite.
        OutputError: the folder holds another run, or cannot be written.

    Example:
        >>> import tempfile
        >>> from reluflow_torch.zoo import toynet
        >>> _ = torch.manual_seed(0)
        >>> images, labels = torch.randn(32, 1, 8, 8), torch.arange(32) % 10
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = record_evolution(
        ...         toynet(8, channels=1), images, labels, folder, Training(epochs=1, batch=16)
        ...     )
        >>> sorted(set(found["step"].to_pylist())), found["jaccard_final"].to_pylist()[-1]
        ([0, 1, 2], 1.0)

    Reference: thesis 3.1.3 to 3.1.6; docs/evolution.md.
    """
    run = _Run(model, images, labels, Path(folder), training or Training())
    if not run.is_done:
        run.train()
    if not keep_tables:
        _settle(run.folder)
    return read_recording(run.folder)


def schedule(optimizer: Optimizer, name: str, rate: float, steps: int) -> lr_scheduler.LRScheduler:
    """Return a schedule of `Training` for an optimiser.

    Args:
        optimizer: with the rate as its own.
        name: one of "constant", "step", "onecycle" and "cyclic".
        rate: highest learning rate.
        steps: of the training.

    Example:
        >>> optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
        >>> found = schedule(optimizer, "step", 0.1, 4)
        >>> for _ in range(3):
        ...     _ = optimizer.step()
        ...     found.step()
        >>> round(found.get_last_lr()[0], 6)
        0.001

    Reference: thesis 3.1.6.
    """
    if name == "onecycle":
        return lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, cycle_momentum=False)
    if name == "cyclic":
        half = max(1, steps // (2 * CYCLES))
        return lr_scheduler.CyclicLR(
            optimizer, rate / _SPAN, rate, half, mode="triangular2", cycle_momentum=False
        )
    decays = [round(share * steps) for share in DECAYS] if name == "step" else []
    return lr_scheduler.MultiStepLR(optimizer, decays)


class _Run:
    """One training, from what its folder has of it."""

    def __init__(
        self, model: nn.Module, images: Tensor, labels: Tensor, folder: Path, training: Training
    ) -> None:
        if not len(images) or len(images) != len(labels):
            raise OptionError(
                f"there are {len(images)} images and {len(labels)} labels; give one label each."
            )
        self.model, self.images, self.labels = model, images, labels
        self.folder, self.training = folder, training
        self._check_settings()
        self._checkpoint = self._load()

    @property
    def is_done(self) -> bool:
        """Whether the folder has the whole run."""
        return self._checkpoint.get("epoch") == self.training.epochs

    def train(self) -> None:
        """Train on from the checkpoint."""
        how, model = self.training, self.model
        steps = how.steps(len(self.images))
        optimizer = torch.optim.SGD(
            model.parameters(), how.rate, momentum=how.momentum, weight_decay=how.weight_decay
        )
        rates = schedule(optimizer, how.schedule, how.rate, steps)
        due = how.measured(len(self.images))
        with PatternRecorder(self.folder) as recorder:
            monitor = PatternMonitor(
                optimizer,
                model,
                every=0,
                keep_every=due,
                recorder=recorder,
                data=list(torch.split(self.images, how.batch)),
            )
            order = torch.Generator().manual_seed(how.seed)
            at = self._resume(optimizer, rates, monitor, order)
            model.train()
            with monitor:
                for epoch in range(at, how.epochs):
                    mixed = torch.randperm(len(self.images), generator=order)
                    for chosen in torch.split(mixed, how.batch):
                        self._step(optimizer, chosen)
                        rates.step()
                    recorder.flush()
                    if epoch + 1 < how.epochs:
                        self._save(epoch + 1, optimizer, rates, monitor, order)
        self._save(how.epochs)

    def _step(self, optimizer: Optimizer, chosen: Tensor) -> None:
        optimizer.zero_grad()
        at = chosen.to(self.images.device)
        loss = nn.functional.cross_entropy(self.model(self.images[at]), self.labels[at])
        if not math.isfinite(loss.item()):
            rate = optimizer.param_groups[0]["lr"]
            raise DataError(
                f"the training has diverged: its loss is {loss.item()} at a learning rate of "
                f"{rate:.3g}; give a lower one."
            )
        torch.autograd.backward(loss)
        optimizer.step()

    def _check_settings(self) -> None:
        """Write what the run is, or refuse a folder that has another."""
        own = json.loads(json.dumps(asdict(self.training) | {"images": len(self.images)}))
        path = self.folder / _SETTINGS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if path.exists():
                found = json.loads(path.read_text("utf-8"))
            else:
                if any(self.folder.iterdir()):
                    raise OutputError(
                        f"folder {self.folder} holds files of something else; name another one."
                    )
                found = own
                with appearing(path) as new:
                    new.write_text(json.dumps(own, indent=1) + "\n", "utf-8")
        except (OSError, ValueError) as error:
            raise OutputError(
                f"folder {self.folder} cannot be used for a recording ({error}); name one that "
                "you may write to."
            ) from error
        other = {name: value for name, value in found.items() if own.get(name) != value}
        if other:
            raise OutputError(
                f"folder {self.folder} holds another run, with {other}; name another folder."
            )

    def _load(self) -> dict[str, Any]:
        path = self.folder / _CHECKPOINT
        if not path.exists():
            return {}
        try:
            found: dict[str, Any] = torch.load(path, weights_only=True)
            self.model.load_state_dict(found["model"])
        except (OSError, RuntimeError, KeyError, EOFError, ValueError) as error:
            raise OutputError(
                f"{path} does not hold weights of this model ({str(error).splitlines()[0]}); give "
                "the model of the run, or name another folder."
            ) from error
        return found

    def _resume(
        self,
        optimizer: Optimizer,
        rates: lr_scheduler.LRScheduler,
        monitor: PatternMonitor,
        order: torch.Generator,
    ) -> int:
        kept = self._checkpoint
        if not kept:
            return 0
        optimizer.load_state_dict(kept["optimizer"])
        rates.load_state_dict(kept["rates"])
        monitor.load_state_dict(kept["monitor"])
        order.set_state(kept["order"])
        torch.set_rng_state(kept["random"])
        return int(kept["epoch"])

    def _save(
        self,
        epoch: int,
        optimizer: Optimizer | None = None,
        rates: lr_scheduler.LRScheduler | None = None,
        monitor: PatternMonitor | None = None,
        order: torch.Generator | None = None,
    ) -> None:
        """Keep the weights, and before the end what else the next epoch needs."""
        state: dict[str, Any] = {"epoch": epoch, "model": self.model.state_dict()}
        if optimizer and rates and monitor and order:
            state |= {
                "optimizer": optimizer.state_dict(),
                "rates": rates.state_dict(),
                "monitor": monitor.state_dict() | {"batches": []},
                "order": order.get_state(),
                "random": torch.get_rng_state(),
            }
        path = self.folder / _CHECKPOINT
        try:
            with appearing(path) as new:
                torch.save(state, new)
        except (OSError, RuntimeError) as error:
            raise OutputError(
                f"{path} cannot be written ({error}); name a folder on a disk with free space."
            ) from error


def _settle(folder: Path) -> None:
    """Record the index to the final state, and remove the tables that it comes from."""
    if not KeptTables(folder).steps():
        return
    table = read_recording(folder)
    with PatternRecorder(folder) as recorder:
        for row in table.to_pylist():
            step, site = row.pop("step"), row.pop("site")
            recorder.record(step, site, {name: v for name, v in row.items() if v is not None})
    KeptTables(folder).remove()
