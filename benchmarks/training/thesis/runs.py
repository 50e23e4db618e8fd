"""The trainings of the thesis' figures: what a step of any rate would change, all along the way."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch  # a benchmark of the torch bridge
from numpy.typing import NDArray
from schedules._tasks import Split
from torch import nn
from training import data
from training.loop import accuracy
from training.thesis.nets import NETS

from reluflow.temperature import PhaseDiagram, Sensitivity, default_rates
from reluflow_torch import sensitivity
from reluflow_torch.evolution import schedule

Floats = NDArray[np.float64]
STEPS, BATCH, PROBED, EVERY = 160, 64, 64, 10
"""Steps of a training, images of one, images measured on, steps between measurements."""
VALIDATED = 1000
_TOP = 0.999999
"""D from which on a temperature is more than any number of samples could tell."""


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        net: a name of `NETS`.
        schedule: "step", "onecycle", "cyclic".
        rate: highest learning rate.
        momentum: of SGD.
        l2: weight decay as part of the gradient.
        shrink: share by which every step shrinks the weights, whatever its rate (SGDW).
        steps: of the training.
    """

    net: str
    schedule: str = "step"
    rate: float = 0.1
    momentum: float = 0.0
    l2: float = 0.0
    shrink: float = 0.0
    steps: int = STEPS


@dataclass(frozen=True)
class Course:
    """What a training showed.

    Attributes:
        diagram: D over rate and time.
        accuracy: `(times,)` on validation images.
    """

    diagram: PhaseDiagram
    accuracy: Floats

    @property
    def temperatures(self) -> Floats:
        """`(times, sites)` T in bits of a step at the rate that training used."""
        found = self.diagram
        rows = []
        for rate, distances in zip(found.used_rates, found.site_distances, strict=True):
            at = [np.interp(np.log(rate), np.log(found.rates), each) for each in distances.T]
            rows.append(-np.log2(1.0 - np.minimum(at, _TOP)))
        return np.array(rows)


@functools.cache
def images(*, small: bool) -> dict[str, Split]:
    """Return the parts of FashionMNIST, halved to 14 x 14 pixels where they are small."""
    parts = data.load("fashion")
    if not small:
        return parts
    pool = nn.functional.avg_pool2d
    return {name: Split(pool(part.images, 2), part.labels) for name, part in parts.items()}


def parts_of(net: str) -> tuple[Split, Split, Split]:
    """Return what is learnt, what is measured on, and what accuracy is told on."""
    parts = images(small=not net.startswith("VGG"))
    train, valid = parts["train"], parts["validation"]
    held = Split(train.images[-PROBED:], train.labels[-PROBED:])
    return train, held, Split(valid.images[:VALIDATED], valid.labels[:VALIDATED])


def course_of(run: Run, folder: Path) -> Course:
    """Train, or read what an earlier call with the same run has kept in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "_".join(f"{value}".replace(" ", "-").replace(",", "") for value in asdict(run).values())
    file = folder / f"{name}.npz"
    side = folder / f"{name}.accuracy.npy"
    if not side.exists():
        found = _trained(run)
        found.diagram.save(file)
        np.save(side, found.accuracy)
    return Course(PhaseDiagram.load(file), np.load(side))


def _trained(run: Run) -> Course:
    torch.manual_seed(0)
    model = NETS[run.net]()
    train, held, valid = parts_of(run.net)
    optimizer = torch.optim.SGD(
        model.parameters(), run.rate, momentum=run.momentum, weight_decay=run.l2
    )
    scheduler = schedule(optimizer, run.schedule, run.rate, run.steps)
    times, sweeps, used, accuracies = [], [], [], []
    for step in range(run.steps + 1):
        rate = float(optimizer.param_groups[0]["lr"])
        if step % EVERY == 0:
            model.train()
            found = _swept(model, optimizer, held)
            if found is None:  # the training has diverged
                break
            times.append(step)
            sweeps.append(found)
            used.append(rate)
            accuracies.append(accuracy(model, valid) / 100)
            model.train()
        if step < run.steps:
            at = slice(step * BATCH, (step + 1) * BATCH)
            optimizer.zero_grad()
            answer = model(train.images[at])
            nn.functional.cross_entropy(answer, train.labels[at]).backward()
            optimizer.step()
            scheduler.step()
            _shrink(model, run.shrink)
    return Course(PhaseDiagram.from_sweeps(times, sweeps, used), np.array(accuracies))


def _swept(model: nn.Module, optimizer: torch.optim.Optimizer, held: Split) -> Sensitivity | None:
    """Return D over rates by site; None where the loss is not finite."""
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(model(held.images), held.labels))
    if not math.isfinite(loss):
        return None
    return sensitivity(
        model, optimizer, [((held.images,), held.labels)], method="crossing", rates=default_rates()
    )


@torch.no_grad()
def _shrink(model: nn.Module, share: float) -> None:
    for weight in model.parameters() if share else ():
        if weight.dim() > 1:
            weight.mul_(1.0 - share)


def of_sites(found: PhaseDiagram, choose: Callable[[int], int]) -> PhaseDiagram:
    """Return the diagram of one site, chosen by the number of sites."""
    return found.of_site(found.sites[choose(len(found.sites))])
