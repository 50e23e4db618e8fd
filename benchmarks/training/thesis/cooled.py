"""Trainings with ActCoolLR for the thesis' Figure 3.22 and Table 3.1."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch  # a benchmark of the torch bridge
from torch import nn
from training.loop import accuracy
from training.thesis.nets import NETS
from training.thesis.runs import BATCH, EVERY, parts_of

from reluflow.temperature import CrossingOptions, PowerSchedule, start_for_widths
from reluflow_torch import ActCoolLR, Batch, StepProbe

NET, RATE, MOMENTUM = "ResNet-14", 0.1, 0.9


@dataclass(frozen=True)
class Cooled:
    """One training by temperature.

    Attributes:
        gamma: T = T_start (1 - p)^gamma over the progress p, as eq. 3.45 prints it.
        steps: of the training.
    """

    gamma: float = 1.0
    steps: int = 160


def cooled(run: Cooled, folder: Path) -> dict[str, list[Any]]:
    """Train, or read what an earlier call has kept: times, rates, temperatures, errors."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"cooled_{run.gamma:g}_{run.steps}.json"
    if not file.exists():
        file.write_text(json.dumps(asdict(run) | _trained(run)), "utf-8")
    found: dict[str, list[Any]] = json.loads(file.read_text("utf-8"))
    return found


def _trained(run: Cooled) -> dict[str, Any]:
    torch.manual_seed(0)
    model = NETS[NET]()
    train, held, valid = parts_of(NET)
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM)
    probe = StepProbe(model, optimizer)
    sites = probe.patterns(Batch.now((held.images,), {}, held.images.device)).values()
    start = start_for_widths([site.units for site in sites], "temperature")
    scheduler = ActCoolLR(
        optimizer,
        model,
        run.steps,
        schedule=PowerSchedule(start, run.gamma, printed=True),
        options=CrossingOptions(history_size=run.steps),
    )
    times, errors, rates = [], [], []
    for step in range(run.steps):
        at = torch.arange(step * BATCH, (step + 1) * BATCH) % (len(train.labels))
        optimizer.zero_grad()
        answer = model(train.images[at])
        nn.functional.cross_entropy(answer, train.labels[at]).backward()
        optimizer.step()
        rates.append(float(optimizer.param_groups[0]["lr"]))
        scheduler.step()
        if (step + 1) % EVERY == 0:
            times.append(step + 1)
            errors.append(1 - accuracy(model, valid) / 100)
            model.train()
    history = [*scheduler.controller.history]
    return {
        "start": start,
        "rates": rates,
        "times": times,
        "errors": errors,
        "measured": [[entry[0] for entry in history], [entry[3] for entry in history]],
    }
