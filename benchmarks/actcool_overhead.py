"""Time of training with ActCoolLR over plain training of the same model, in one run.

Two equal models take turns, a block of steps each, on the same batches. The ratio of all
time holds every cost: probes, fits, hooks. Run it on a quiet machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from _support import arguments, keep
from torch import nn

from reluflow.temperature import PowerSchedule
from reluflow_torch import ActCoolLR
from reluflow_torch.networks import BasicBlock, EightLayers, f1

BLOCK = 8
BATCH = 128


MODELS: dict[str, tuple[Callable[[], nn.Module], int, int | None]] = {
    "F1 without BN": (f1, 1, None),
    "F1, half batch": (f1, 1, BATCH // 2),
    "F1 with BN": (lambda: f1(norm=True), 1, None),
    "ResNet-8": (lambda: EightLayers(BasicBlock), 8, None),
}
"""Model, by how much to divide the number of blocks as its steps are slow, and the examples
of a batch that are measured on."""


@dataclass
class Overhead:
    """What one model cost.

    Attributes:
        model: its name.
        optimizer: the optimiser's name.
        steps: steps of each side.
        step_ms: median time of a plain step.
        overhead: time of all blocks with the scheduler over that without, less 1.
        overhead_of_median_block: the same for the median pair of blocks, without refits.
        passes_per_step: extra forward passes per step.
        fits: full fits, with `fit_measurements` hypothetical steps in all.
    """

    model: str
    optimizer: str
    steps: int
    step_ms: float
    overhead: float
    overhead_of_median_block: float
    passes_per_step: float
    fits: int
    fit_measurements: int


class Side:
    """One of the two trainings."""

    def __init__(
        self,
        make: Callable[[], nn.Module],
        optimizer: str,
        total: int | None,
        examples: int | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.model = make()
        parameters = self.model.parameters()
        self.optimizer: torch.optim.Optimizer
        if optimizer == "SGD":
            self.optimizer = torch.optim.SGD(parameters, lr=0.01)
        else:
            self.optimizer = torch.optim.AdamW(parameters, lr=1e-3)
        self.scheduler: ActCoolLR | None = None
        if total is not None:
            mild = PowerSchedule(start=0.5)  # the cost is that of any temperature
            self.scheduler = ActCoolLR(
                self.optimizer, self.model, total, schedule=mild, examples=examples
            )
        self.seconds: list[float] = []

    def block(self, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Train on some batches and note the time."""
        start = time.perf_counter()
        for x, y in batches:
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
        self.seconds.append(time.perf_counter() - start)


def learnable_data(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images of ten kinds under noise, a third of them labelled at random.

    Without wrong labels the loss would vanish within an epoch, which no real task does.
    """
    torch.manual_seed(1)
    kind = torch.randint(0, 10, (number,))
    looks = nn.functional.interpolate(torch.randn(10, 1, 7, 7), scale_factor=4.0)
    labels = torch.where(torch.rand(number) < 0.33, torch.randint(0, 10, (number,)), kind)
    return looks[kind] + torch.randn(number, 1, 28, 28), labels


def measure(name: str, optimizer: str, blocks: int) -> Overhead:
    """Train both sides in turns."""
    make, divisor, examples = MODELS[name]
    blocks = max(4, blocks // divisor)
    plain, cooled = Side(make, optimizer, None), Side(make, optimizer, blocks * BLOCK, examples)
    images, labels = learnable_data(4096)
    draw = torch.Generator().manual_seed(2)
    for number in range(blocks):
        batches = []
        for _ in range(BLOCK):
            index = torch.randint(0, len(images), (BATCH,), generator=draw)
            batches.append((images[index], labels[index]))
        for side in (plain, cooled) if number % 2 else (cooled, plain):
            side.block(batches)
    scheduler = cooled.scheduler
    assert scheduler is not None
    pairs = zip(cooled.seconds, plain.seconds, strict=True)
    return Overhead(
        name,
        optimizer,
        blocks * BLOCK,
        1e3 * statistics.median(plain.seconds) / BLOCK,
        sum(cooled.seconds) / sum(plain.seconds) - 1.0,
        statistics.median(a / b for a, b in pairs) - 1.0,
        scheduler.forward_passes / (blocks * BLOCK),
        scheduler.controller.n_fits,
        scheduler.controller.n_measurements,
    )


def main() -> None:
    options = arguments(__doc__ or "", rounds=120)
    torch.set_num_threads(1)
    results = []
    for name in MODELS:
        for optimizer in ("SGD", "AdamW"):
            found = measure(name, optimizer, options.rounds)
            results.append(asdict(found))
            print(
                f"{name:14s} {optimizer:6s} {found.steps:5d} steps of {found.step_ms:6.2f} ms: "
                f"{100 * found.overhead:+5.1f} % (median block "
                f"{100 * found.overhead_of_median_block:+5.1f} %), "
                f"{found.passes_per_step:.3f} extra passes a step, {found.fits} fits"
            )
    keep(options.json, results)


if __name__ == "__main__":
    main()
