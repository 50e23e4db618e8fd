"""The ordinary training loop of these benchmarks, and what is kept of a run."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch  # a benchmark of the torch bridge
from _support import machine
from schedules._tasks import Split
from torch import Tensor, nn

DONE, NAN = "done", "nan"
DEVICE_ERRORS = tuple(
    getattr(torch, name)
    for name in ("OutOfMemoryError", "AcceleratorError")
    if hasattr(torch, name)
)
N_ROWS = 40
"""Epochs of which loss and rate are kept."""
N_WARNINGS = 8


def _nothing() -> None:
    pass


Spoilt = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass
class Setup:
    """How a network is trained.

    Attributes:
        optimizer: steps after every batch.
        scheduler: its `step()` is called after every batch; None for none.
        before_epoch: called before each epoch.
        before_test: called before accuracies are measured.
    """

    optimizer: torch.optim.Optimizer
    scheduler: Any = None
    before_epoch: Callable[[], None] = _nothing
    before_test: Callable[[], None] = _nothing


@dataclass
class Course:
    """What a training did.

    Attributes:
        end: `DONE`, `NAN`, or the exception that ended it, in words.
        epochs: rows of epoch, mean loss and last rate, about `N_ROWS` of them.
        seconds: of the processor, for the training steps.
        warned: the first warnings, each text once.
    """

    end: str = DONE
    epochs: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    warned: list[str] = field(default_factory=list)


def train(
    model: nn.Module,
    make: Callable[[nn.Module], Setup],
    split: Split,
    *,
    epochs: int,
    batch: int,
    seed: int,
    spoilt: Spoilt | None = None,
) -> tuple[Course, Setup | None]:
    """Trains a network; nothing that it raises gets out but errors of the device.

    Args:
        model: with fresh weights, on the device of the split.
        make: gives the optimiser of the model.
        split: what is learnt.
        epochs: passes over it.
        batch: images of a step; the last batch of an epoch may be smaller.
        seed: of the order of the images.
        spoilt: what a step, counted from 0, learns instead of its images and labels.

    Returns:
        What happened, and the setup, None where making it failed.
    """
    course, setup = Course(), None
    started = time.process_time()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            setup = make(model)
            _epochs(model, setup, split, epochs, batch, seed, course, spoilt)
        except DEVICE_ERRORS:  # they are no run's, and all later runs of the process have them
            raise
        except Exception as error:  # a run that fails is a result
            course.end = f"{type(error).__name__}: {error}"
    course.seconds = time.process_time() - started
    course.warned = list(dict.fromkeys(str(each.message) for each in warned))[:N_WARNINGS]
    return course, setup


def _epochs(
    model: nn.Module,
    setup: Setup,
    split: Split,
    epochs: int,
    batch: int,
    seed: int,
    course: Course,
    spoilt: Spoilt | None,
) -> None:
    step = 0
    generator = torch.Generator().manual_seed(seed)
    every, device = max(1, epochs // N_ROWS), split.labels.device
    for epoch in range(1, epochs + 1):
        model.train()
        setup.before_epoch()
        total = torch.zeros((), device=device)
        order = torch.randperm(len(split.labels), generator=generator).to(device)
        for chosen in order.split(batch):
            images, labels = split.images[chosen], split.labels[chosen]
            if spoilt is not None:
                images, labels = spoilt(step, images, labels)
            step += 1
            setup.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            setup.optimizer.step()
            if setup.scheduler is not None:
                setup.scheduler.step()
            total += loss.detach() * len(chosen)
        mean = float(total) / len(order)
        if epoch % every == 0 or epoch == epochs or not math.isfinite(mean):
            rate = float(setup.optimizer.param_groups[0]["lr"])
            course.epochs.append({"epoch": epoch, "loss": mean, "rate": rate})
        if not math.isfinite(mean):
            course.end = NAN
            return


@torch.no_grad()
def accuracy(model: nn.Module, split: Split) -> float:
    """Returns the percentage of a split that the model names rightly."""
    model.eval()
    right = 0
    for images, labels in zip(split.images.split(1000), split.labels.split(1000), strict=True):
        right += int((model(images).argmax(1) == labels).sum())
    return 100 * right / len(split.labels)


def weight_norm(model: nn.Module) -> float:
    """Returns the Euclidean norm of all parameters together."""
    with torch.no_grad():
        return math.sqrt(sum(float(p.square().sum()) for p in model.parameters()))


def kept(course: Course, setup: Setup | None, model: nn.Module) -> dict[str, Any]:
    """Returns the part of a record that every run has, ready for JSON."""
    scheduler = None if setup is None else setup.scheduler
    return {
        "end": course.end,
        "epochs": [{k: _jsonable(v) for k, v in row.items()} for row in course.epochs],
        "seconds": course.seconds,
        "warned": course.warned,
        "weight_norm": _jsonable(weight_norm(model)),
        "forward_passes": getattr(scheduler, "forward_passes", 0),
        "machine": _machine(next(model.parameters()).device),
    }


def _machine(device: torch.device) -> str:
    gpu = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    return gpu + machine()


def _jsonable(value: float) -> float | None:
    return value if math.isfinite(value) else None
