"""The trainings of Figures 3.1 to 3.7, with every image that is learnt from measured."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import pyarrow as pa
import torch  # a benchmark of the torch bridge
from schedules._tasks import Split
from torch import nn
from training.loop import accuracy
from training.thesis.runs import images

from reluflow_torch.evolution import Training, record_evolution
from reluflow_torch.zoo import cifar_resnet, convnet, fixup_resnet, pyramidnet, toynet

KEPT = Path(__file__).parents[2] / "build" / "evolution"
VALIDATED = 1000
"""Images of 14 x 14 pixels that accuracy is told on."""
FOLLOWED, FIVE = "followed", "five"
LEARNT = 3000
"""Images of 14 x 14 pixels that are learnt from, all of which are measured."""
EPOCHS = {FOLLOWED: 12, FIVE: 5}
EARLY = (1, 40)
"""Steps that Figures 3.3 and 3.4 show beside the first, that after two epochs and the last."""

NETS = ("ToyNet", "ConvNet", "ResNet")
"""Networks that are compared over depth."""
MADE: dict[str, Callable[[int], nn.Module]] = {
    "ToyNet": lambda depth: toynet(depth, channels=1),
    "ConvNet": lambda depth: convnet(depth, channels=1),
    "ResNet": lambda depth: cifar_resnet(depth, channels=1),
    "PReLU": lambda depth: with_prelu(cifar_resnet(depth, channels=1)),
    "PyramidNet": lambda depth: pyramidnet(depth, channels=1),
    "FixUp": lambda depth: fixup_resnet(depth, channels=1),
}
RATES = dict.fromkeys(MADE, 0.1) | {"FixUp": 0.02}
"""Highest learning rates; at 0.1 FixUp diverges, as nothing normalises it."""
DEPTHS = (8, 14)
SEEDS = (0, 1, 2)
BATCH = 64


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        net: a name of `MADE`.
        depth: layers with weights.
        schedule: of the rate, as in `Training`.
        seed: of weights and order.
        kind: "followed" is measured all along, "five" at five steps.
    """

    net: str
    depth: int = 14
    schedule: str = "step"
    seed: int = 0
    kind: str = FOLLOWED


@dataclass(frozen=True)
class Course:
    """What a training showed.

    Attributes:
        table: its recording.
        accuracy: at the end, on images that were not learnt from, in [0, 1].
    """

    table: pa.Table
    accuracy: float


def with_prelu(model: nn.Module) -> nn.Module:
    """Put a PReLU, of one slope for all units, where a network has a ReLU."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.PReLU())
    return model


@functools.cache
def parts() -> tuple[Split, Split]:
    """Return the images that trainings take the first of, and those that accuracy is told on."""
    found = images(small=True)
    held = found["validation"]
    return found["train"], Split(held.images[:VALIDATED], held.labels[:VALIDATED])


def early_steps() -> tuple[int, ...]:
    """Return the steps of Figures 3.3 and 3.4: first, second, 40, after two epochs, the last."""
    epoch = math.ceil(LEARNT / BATCH)
    return 0, *EARLY, 2 * epoch, EPOCHS[FIVE] * epoch


def course_of(run: Run, folder: Path = KEPT) -> Course:
    """Train, or read what an earlier call with the same run has kept in a folder."""
    torch.manual_seed(run.seed)
    model = MADE[run.net](run.depth)
    train, held = parts()
    how = Training(
        EPOCHS[run.kind],
        BATCH,
        RATES[run.net],
        run.schedule,
        seed=run.seed,
        at=early_steps() if run.kind == FIVE else (),
    )
    kept = folder / "-".join(str(value) for value in astuple(run))
    table = record_evolution(model, train.images[:LEARNT], train.labels[:LEARNT], kept, how)
    return Course(table, accuracy(model, held) / 100)
