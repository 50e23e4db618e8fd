"""The training loop: augmentation, OneCycle, a checkpoint after every epoch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch  # a recipe runs outside the toolkit
from torch import Tensor, nn


@dataclass(frozen=True)
class Settings:
    """All that decides the weights, apart from the data, torch's version and the machine.

    Attributes:
        seed: of the initial weights, and with the epoch's number of its order and augmentation.
        epochs: passes over the training images.
        batch_size: images per step; the last, smaller batch of an epoch is left out.
        max_lr: peak learning rate of OneCycle.
        weight_decay: L2 factor of SGD.
        label_smoothing: share of the target spread evenly over all classes.
        max_shift: largest random shift in pixels, along each axis.
        limit: number of training images used, 0 for all; for smoke runs.
    """

    seed: int = 20250
    epochs: int = 15
    batch_size: int = 128
    max_lr: float = 0.3
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    max_shift: int = 2
    limit: int = 0


def augment(images: Tensor, max_shift: int, generator: torch.Generator) -> Tensor:
    """Shifts every image by its own whole offsets, zeros coming in, and mirrors half of them.

    Args:
        images: `(n, 1, h, w)`.
        max_shift: largest shift in pixels, along each axis.
        generator: source of the random choices.

    Returns:
        New images `(n, 1, h, w)`.
    """
    n, _, height, width = images.shape
    padded = nn.functional.pad(images, [max_shift] * 4)
    offset = torch.randint(0, 2 * max_shift + 1, (2, n, 1), generator=generator)
    mirror = torch.rand(n, 1, generator=generator) < 0.5
    rows = offset[0] + torch.arange(height)
    columns = offset[1] + torch.where(mirror, torch.arange(width - 1, -1, -1), torch.arange(width))
    sample = torch.arange(n)[:, None, None]
    return padded[sample, 0, rows[:, :, None], columns[:, None, :]][:, None]


class Trainer:
    """A training run that continues from its last finished epoch with identical weights.

    Args:
        settings: what decides the weights.
        build: makes the network with fresh weights; called once the seed is set.
        images: float32 `(n, 1, 28, 28)` in [0, 1].
        labels: int64 `(n,)`.
        work_dir: where the checkpoints lie.
    """

    def __init__(
        self,
        settings: Settings,
        build: Callable[[], nn.Module],
        images: Tensor,
        labels: Tensor,
        work_dir: Path,
    ) -> None:
        self.settings = settings
        self.images, self.labels = images, labels
        self.work_dir = work_dir
        self.n_steps = len(images) // settings.batch_size
        torch.manual_seed(settings.seed)
        self.model = build()
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=settings.max_lr,
            momentum=0.9,
            nesterov=True,
            weight_decay=settings.weight_decay,
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=settings.max_lr,
            total_steps=settings.epochs * self.n_steps,
            pct_start=0.25,
        )
        self.finished_epochs = 0

    def train_epoch(self) -> float:
        """Runs one epoch and returns its mean loss; order and augmentation hang on its number."""
        generator = torch.Generator().manual_seed(self.settings.seed * 1000 + self.finished_epochs)
        order = torch.randperm(len(self.images), generator=generator)
        size = self.settings.batch_size
        self.model.train()
        total, started = 0.0, time.monotonic()
        for step in range(self.n_steps):
            chosen = order[step * size : (step + 1) * size]
            total += self._step(chosen, generator)
            self._show_progress(step + 1, total / (step + 1), time.monotonic() - started)
        self.finished_epochs += 1
        return total / self.n_steps

    def _step(self, chosen: Tensor, generator: torch.Generator) -> float:
        batch = augment(self.images[chosen], self.settings.max_shift, generator)
        logits = self.model(batch.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.cross_entropy(
            logits, self.labels[chosen], label_smoothing=self.settings.label_smoothing
        )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def _show_progress(self, step: int, loss: float, elapsed: float) -> None:
        if step % 50 and step != self.n_steps:
            return
        end = "\r" if sys.stdout.isatty() and step != self.n_steps else "\n"
        print(
            f"epoch {self.finished_epochs + 1:2d}/{self.settings.epochs}"
            f"  step {step:3d}/{self.n_steps}  loss {loss:.4f}"
            f"  rate {self.schedule.get_last_lr()[0]:.4f}  {elapsed:4.0f} s",
            end=end,
            flush=True,
        )

    def checkpoint_path(self, epoch: int) -> Path:
        """Where the state after `epoch` finished epochs lies."""
        return self.work_dir / f"epoch{epoch:03d}.pt"

    def save(self) -> None:
        """Writes the state after the last finished epoch, whole or not at all."""
        state = {
            "settings": asdict(self.settings),
            "finished_epochs": self.finished_epochs,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        path = self.checkpoint_path(self.finished_epochs)
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def resume(self) -> None:
        """Takes up the newest checkpoint of the work folder, if there is one."""
        found = sorted(self.work_dir.glob("epoch*.pt"))
        if not found:
            return
        state = load_checkpoint(found[-1])
        if state["settings"] != asdict(self.settings):
            raise SystemExit(
                f"{found[-1]} was written with other settings ({state['settings']}): "
                "give the same options, or start anew without --resume."
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.finished_epochs = state["finished_epochs"]
        print(f"resumed after epoch {self.finished_epochs} from {found[-1]}")


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint that `Trainer.save` wrote."""
    return torch.load(path, map_location="cpu", weights_only=True)
