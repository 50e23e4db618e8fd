"""One training run: the ordinary loop, what it reaches, and what its steps change."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch  # a benchmark of the torch bridge
from schedules._distance import StepWatch
from schedules._schedules import make
from schedules._tasks import Split, build
from torch import Tensor, nn

from reluflow.errors import DivergenceError

BATCH_SIZE = 128
N_TRACED = 120  # steps whose rate and D are kept


@dataclass(frozen=True)
class Run:
    """All that decides a run, apart from torch's version and the machine.

    Attributes:
        network: name in `_tasks.NETWORKS`.
        schedule: name in `_schedules.NAMES`.
        rate: the schedule's initial or largest learning rate.
        epochs: passes over the training images.
        seed: of the initial weights and of the order of the images.
        options: of ActCoolLR's temperature; empty for the defaults.
        trace: whether D of some steps is measured, for the pictures.
        test: whether the test images are looked at.
    """

    network: str
    schedule: str
    rate: float
    epochs: int
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    trace: bool = False
    test: bool = False

    @property
    def name(self) -> str:
        """A file name that no other run has."""
        marks = [self.network, self.schedule, f"rate{self.rate:g}", f"epochs{self.epochs}"]
        marks += [f"{key}{value}" for key, value in sorted(self.options.items())]
        return "-".join([*marks, f"seed{self.seed}"] + ["final"] * self.test)


def train(run: Run, data: dict[str, Split]) -> dict[str, Any]:
    """Trains and returns the record of the run, ready for JSON."""
    model = build(run.network, run.seed)
    n_steps = len(data["train"].images) // BATCH_SIZE
    optimizer, scheduler = make(
        run.schedule, model, run.rate, run.epochs * n_steps, dict(run.options)
    )
    tracer = _Tracer(model, run, run.epochs * n_steps)
    record: dict[str, Any] = {"run": asdict(run), "epochs": [], "trace": tracer.rows}
    generator = torch.Generator().manual_seed(run.seed)
    for epoch in range(run.epochs):
        started = time.perf_counter()
        order = torch.randperm(len(data["train"].images), generator=generator)
        try:
            loss = _epoch(model, optimizer, scheduler, data["train"], order, tracer)
        except DivergenceError as error:
            print(run.name, error, flush=True)
            loss = math.nan
        row = {
            "epoch": epoch + 1,
            "loss": loss,
            "validation_accuracy": accuracy(model, data["validation"]),
            "rate": optimizer.param_groups[0]["lr"],
            "seconds": time.perf_counter() - started,
        }
        record["epochs"].append(row)
        print(run.name, row, flush=True)
        if not math.isfinite(loss):
            break
    record["validation_accuracy"] = accuracy(model, data["validation"])
    if run.test:
        record["test_accuracy"] = accuracy(model, data["test"])
    record["probing"] = probing_cost(scheduler)
    return record


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    split: Split,
    order: Tensor,
    tracer: _Tracer,
) -> float:
    model.train()
    n_steps = len(order) // BATCH_SIZE
    total = 0.0
    for step in range(n_steps):
        chosen = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
        batch = split.images[chosen].contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch), split.labels[chosen])
        loss.backward()
        tracer.before(batch)
        optimizer.step()
        tracer.after(batch, optimizer, scheduler)
        scheduler.step()
        total += loss.item()
    return total / n_steps


@torch.no_grad()
def accuracy(model: nn.Module, split: Split) -> float:
    """Returns the percentage of a split that the model names rightly."""
    model.eval()
    right = 0
    for images, labels in zip(split.images.split(1000), split.labels.split(1000), strict=True):
        batch = images.contiguous(memory_format=torch.channels_last)
        right += int((model(batch).argmax(1) == labels).sum())
    return 100 * right / len(split.labels)


def controller_of(scheduler: Any) -> Any:
    """Returns ActCoolLR's controller, None for another scheduler."""
    return getattr(scheduler, "controller", None)


def probing_cost(scheduler: Any) -> dict[str, int]:
    """Returns how often ActCoolLR fitted its model and measured D; empty for others."""
    controller = controller_of(scheduler)
    if controller is None:
        return {}
    return {
        "fits": controller.n_fits,
        "measurements": controller.n_measurements,
        "forward_passes": scheduler.forward_passes,
    }


class _Tracer:
    """Keeps rate, D per site, mu and sigma of about `N_TRACED` steps of a run."""

    def __init__(self, model: nn.Module, run: Run, total_steps: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._distance = StepWatch(model)
        self._wanted = run.trace
        self._interval = max(1, total_steps // N_TRACED)
        self._step = 0

    def _due(self) -> bool:
        return self._wanted and self._step % self._interval == 0

    def before(self, batch: Tensor) -> None:
        if self._due():
            self._distance.before(batch)

    def after(self, batch: Tensor, optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
        if self._due():
            row = {
                "step": self._step,
                "rate": optimizer.param_groups[0]["lr"],
                "distances": self._distance.after(batch),
            }
            controller = controller_of(scheduler)
            if controller is not None:
                row.update(mu=controller.mu, sigma=controller.sigma)
            self.rows.append(row)
        self._step += 1
