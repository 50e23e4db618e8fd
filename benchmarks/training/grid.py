"""The grid of trainings in which ActCoolLR must not fail, and one run of it."""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch  # a benchmark of the torch bridge
from schedules._tasks import Split
from torch import nn
from training.data import load
from training.loop import Setup, accuracy, kept, train
from training.nets import DIGITS_SIDE, FASHION_SIDE, GRID, N_CLASSES

DATA = ("digits512", "digits1400", "fashion512")
NETS = tuple(GRID)
OPTIMIZERS = ("sgd", "adamw")
EPOCHS = (10, 30, 100, 300)
LABELS = ("true", "random")
SCHEDULES = ("cosine", "actcool")
SEEDS = (0, 1, 2)
RATES = {"sgd": (0.03, 0.1), "adamw": (1e-3, 3e-3)}
"""The two rates of cosine; ActCoolLR is given the first, as a user would set it."""
MOMENTUM = 0.9
BATCH = 64
N_TRAIN = {"digits512": 512, "digits1400": 1400, "fashion512": 512}
STEP_MS = {
    "digits": {"mlp": 0.9, "cnn": 3.1, "cnn_bn": 4.2, "f1": 10.5, "resnet8": 11.9},
    "fashion": {"mlp": 1.2, "cnn": 15.0, "cnn_bn": 20.4, "f1": 12.0, "resnet8": 25.0},
}
"""Rough milliseconds of a step on one core, which only order the runs."""


@dataclass(frozen=True)
class Run:
    """One training of the grid.

    Attributes:
        data: in `DATA`.
        net: in `NETS`.
        optimizer: in `OPTIMIZERS`.
        epochs: passes over the training images.
        labels: "true", or "random" to learn by heart.
        schedule: "cosine" or "actcool".
        rate: learning rate that the optimiser is made with.
        seed: of weights, order and random labels.
        tag: tells runs of ActCoolLR apart that differ in options or in the version of the code.
        options: of ActCoolLR; empty for its defaults.
    """

    data: str
    net: str
    optimizer: str
    epochs: int
    labels: str
    schedule: str
    rate: float
    seed: int
    tag: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A file name that no other run has."""
        how = f"cosine{self.rate:g}" if self.schedule == "cosine" else f"actcool{self.tag}"
        marks = (self.data, self.net, self.optimizer, f"e{self.epochs}", self.labels, how)
        return "-".join((*marks, f"s{self.seed}"))


def runs(
    data: tuple[str, ...] = DATA,
    nets: tuple[str, ...] = NETS,
    optimizers: tuple[str, ...] = OPTIMIZERS,
    epochs: tuple[int, ...] = EPOCHS,
    labels: tuple[str, ...] = LABELS,
    schedules: tuple[str, ...] = SCHEDULES,
    seeds: tuple[int, ...] = SEEDS,
    tag: str = "",
    options: dict[str, Any] | None = None,
) -> Iterator[Run]:
    """Yields the runs of a part of the grid, two per cosine and none of it for random labels."""
    cells = itertools.product(data, nets, optimizers, epochs, labels, schedules, seeds)
    for at, net, optimizer, length, kind, schedule, seed in cells:
        cell = (at, net, optimizer, length, kind, schedule)
        if schedule == "cosine":
            for rate in RATES[optimizer] if kind == "true" else ():
                yield Run(*cell, rate, seed)
        else:
            yield Run(*cell, RATES[optimizer][0], seed, tag, options or {})


def cost(run: Run) -> float:
    """Returns roughly the seconds of a run, for the order of the runs."""
    steps = run.epochs * -(-N_TRAIN[run.data] // BATCH)
    kind = "fashion" if run.data.startswith("fashion") else "digits"
    return steps * STEP_MS[kind][run.net] / 1e3


def perform_run(run: Run, data_file: Path | None = None, device: str = "cpu") -> dict[str, Any]:
    """Trains and returns the record of the run, ready for JSON."""
    data = load(run.data, data_file, device)
    split = data["train"]
    if run.labels == "random":
        split = Split(split.images, _random_labels(run, len(split.labels)).to(device))
    torch.manual_seed(run.seed)
    side = FASHION_SIDE if run.data.startswith("fashion") else DIGITS_SIDE
    model = GRID[run.net](side).to(device)
    total = run.epochs * -(-len(split.labels) // BATCH)
    make = functools.partial(_setup, run, total)
    course, setup = train(model, make, split, epochs=run.epochs, batch=BATCH, seed=run.seed)
    parts = {"train": split, "validation": data["validation"], "test": data["test"]}
    return (
        {"run": asdict(run), "steps": total}
        | kept(course, setup, model)
        | {f"{name}_accuracy": accuracy(model, part) for name, part in parts.items()}
    )


def performing(data_file: Path | None, device: str = "cpu") -> Callable[[Run], dict[str, Any]]:
    """Returns `perform_run` with the data of a file, on a device."""
    return functools.partial(perform_run, data_file=data_file, device=device)


def _random_labels(run: Run, count: int) -> torch.Tensor:
    seed = zlib.crc32(f"labels {run.seed}".encode())
    return torch.randint(0, N_CLASSES, (count,), generator=torch.Generator().manual_seed(seed))


def _setup(run: Run, total: int, model: nn.Module) -> Setup:
    optimizer: torch.optim.Optimizer
    if run.optimizer == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=run.rate, momentum=MOMENTUM)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=run.rate)
    if run.schedule == "cosine":
        return Setup(optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total))
    return Setup(optimizer, cooling(optimizer, model, total, run.options))


def cooling(
    optimizer: torch.optim.Optimizer, model: nn.Module, total: int, options: dict[str, Any]
) -> Any:
    """Makes an ActCoolLR.

    Args:
        optimizer: what it steers.
        model: what it measures.
        total: steps of the training.
        options: `start` and `gamma` of its temperature, `smooth`, and fields of CrossingOptions;
            what is left out is as by default.
    """
    from reluflow.temperature import CrossingOptions, PowerSchedule
    from reluflow_torch import ActCoolLR

    left = dict(options)
    given: dict[str, Any] = {"smooth": left.pop("smooth")} if "smooth" in left else {}
    shape = {key: left.pop(key) for key in ("start", "gamma") if key in left}
    if shape:
        given["schedule"] = PowerSchedule(**shape)
    if left:
        given["options"] = CrossingOptions(**left)
    return ActCoolLR(optimizer, model, total, **given)
