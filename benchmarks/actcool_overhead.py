"""Time of training with ActCoolLR over plain training of the same model, in one run.

Two equal models take turns, a block of steps each, on the same batches. The ratio of all
time holds every cost: probes, fits, hooks. The steady state is the same after the first fifth
of the steps, in which the first fit falls. Run it on a quiet machine; on a GPU with
`--device cuda`, and `--only ResNet-50` for the rows whose name begins so.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from _support import arguments, keep
from _support.resnets import resnet18, resnet50
from torch import Tensor, nn

from reluflow.temperature import PowerSchedule
from reluflow_torch import ActCoolLR
from reluflow_torch.networks import BasicBlock, EightLayers, f1

BLOCK = 8
BATCH = 128
WARM_UP = 3
START_SHARE = 0.2


@dataclass(frozen=True)
class Row:
    """One model to train.

    Attributes:
        name: of the row.
        make: makes the model.
        shape: of an image.
        devices: on which it is measured.
        optimizers: by name.
        examples: of a batch that are measured on; None: all.
        compiled: whether the model is compiled.
        half: whether it trains in bfloat16 under autocast, in channels-last memory.
        images: number of different ones.
    """

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, int, int] = (1, 28, 28)
    devices: tuple[str, ...] = ("cpu", "cuda")
    optimizers: tuple[str, ...] = ("SGD", "AdamW")
    examples: int | None = None
    compiled: bool = False
    half: bool = False
    images: int = 4096


ROWS = (
    Row("F1 without BN", f1),
    Row("F1, half batch", f1, examples=BATCH // 2),
    Row("F1 with BN", lambda: f1(norm=True)),
    Row("ResNet-8", lambda: EightLayers(BasicBlock)),
    Row("ResNet-18, 64 px", resnet18, (3, 64, 64), ("cuda",), ("SGD",)),
    Row("ResNet-18, 64 px, compiled", resnet18, (3, 64, 64), ("cuda",), ("SGD",), compiled=True),
    Row("ResNet-50, 224 px, bf16", resnet50, (3, 224, 224), ("cuda",), ("SGD",), half=True,
        images=1024),
)  # fmt: skip


@dataclass
class Overhead:
    """What one model cost.

    Attributes:
        model: its name.
        optimizer: the optimiser's name.
        device: the kind of device.
        steps: steps of each side.
        step_ms: median time of a plain step.
        overhead: time of all blocks with the scheduler over that without, less 1.
        steady: the same without the first fifth of the blocks.
        passes_per_step: extra forward passes per step.
        steady_passes_per_step: the same without the first fifth of the blocks.
        fits: full fits, with `fit_measurements` hypothetical steps in all.
    """

    model: str
    optimizer: str
    device: str
    steps: int
    step_ms: float
    overhead: float
    steady: float
    passes_per_step: float
    steady_passes_per_step: float
    fits: int
    fit_measurements: int


class Side:
    """One of the two trainings."""

    def __init__(self, row: Row, optimizer: str, device: str, total: int | None, x: Tensor) -> None:
        torch.manual_seed(0)
        model = row.make().to(device)
        if row.half:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.called = cast(nn.Module, torch.compile(model)) if row.compiled else model
        self._device, self._is_half = device, row.half
        for _ in range(WARM_UP):  # the compiler's time is not that of the training
            self.loss(x, torch.zeros(len(x), dtype=torch.long, device=device)).backward()
        model.zero_grad()
        self.optimizer: torch.optim.Optimizer
        if optimizer == "SGD":
            self.optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        else:
            self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        self.scheduler: ActCoolLR | None = None
        if total is not None:
            mild = PowerSchedule(start=0.5)  # the cost is that of any temperature
            self.scheduler = ActCoolLR(
                self.optimizer, self.called, total, schedule=mild, examples=row.examples
            )
        self.seconds: list[float] = []
        self.passes: list[int] = []

    def loss(self, x: Tensor, y: Tensor) -> Any:
        """Return the loss of a batch, computed as the row says."""
        with torch.autocast(self._device, torch.bfloat16) if self._is_half else nullcontext():
            return nn.functional.cross_entropy(self.called(x), y)

    def block(self, batches: list[tuple[Tensor, Tensor]]) -> None:
        """Train on some batches and note the time."""
        start = self._now()
        for x, y in batches:
            self.optimizer.zero_grad()
            self.loss(x, y).backward()
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
        self.seconds.append(self._now() - start)
        self.passes.append(0 if self.scheduler is None else self.scheduler.forward_passes)

    def _now(self) -> float:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def learnable_data(number: int, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Return images of ten kinds under noise, a third of them labelled at random.

    Without wrong labels the loss would vanish within an epoch, which no real task does.
    """
    torch.manual_seed(1)
    kind = torch.randint(0, 10, (number,))
    small = torch.randn(10, shape[0], 7, 7)
    looks = nn.functional.interpolate(small, size=shape[1:])
    labels = torch.where(torch.rand(number) < 0.33, torch.randint(0, 10, (number,)), kind)
    return looks[kind] + torch.randn(number, *shape), labels


def measure(row: Row, optimizer: str, device: str, blocks: int) -> Overhead:
    """Train both sides in turns."""
    images, labels = (part.to(device) for part in learnable_data(row.images, row.shape))
    if row.half:
        images = images.to(memory_format=torch.channels_last)
    plain = Side(row, optimizer, device, None, images[:BATCH])
    cooled = Side(row, optimizer, device, blocks * BLOCK, images[:BATCH])
    draw = torch.Generator().manual_seed(2)
    for number in range(blocks):
        batches = []
        for _ in range(BLOCK):
            index = torch.randint(0, len(images), (BATCH,), generator=draw).to(device)
            batches.append((images[index], labels[index]))
        for side in (plain, cooled) if number % 2 else (cooled, plain):
            side.block(batches)
    scheduler = cooled.scheduler
    assert scheduler is not None
    start = round(START_SHARE * blocks)
    later_passes = cooled.passes[-1] - cooled.passes[start - 1]
    return Overhead(
        row.name,
        optimizer,
        device,
        blocks * BLOCK,
        1e3 * statistics.median(plain.seconds) / BLOCK,
        sum(cooled.seconds) / sum(plain.seconds) - 1.0,
        sum(cooled.seconds[start:]) / sum(plain.seconds[start:]) - 1.0,
        scheduler.forward_passes / (blocks * BLOCK),
        later_passes / ((blocks - start) * BLOCK),
        scheduler.controller.n_fits,
        scheduler.controller.n_measurements,
    )


def options_of(parser: argparse.ArgumentParser) -> None:
    """Add the options that this benchmark alone has."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument("--only", default="", help="the rows whose name begins so")


def main() -> None:
    options = arguments(__doc__ or "", rounds=1000 // BLOCK, more=options_of)
    if options.device == "cpu":
        torch.set_num_threads(1)
    results = []
    for row in ROWS:
        if options.device not in row.devices or not row.name.startswith(options.only):
            continue
        for optimizer in row.optimizers:
            found = measure(row, optimizer, options.device, max(5, options.rounds))
            results.append(asdict(found))
            print(
                f"{row.name:27s} {optimizer:6s} {found.steps:5d} steps of {found.step_ms:6.2f} ms: "
                f"{100 * found.overhead:+5.1f} % (steady state {100 * found.steady:+5.1f} %), "
                f"{found.passes_per_step:.3f} extra passes a step ("
                f"{found.steady_passes_per_step:.3f} in the steady state), {found.fits} fits",
                flush=True,
            )
    keep(options.json, results)


if __name__ == "__main__":
    main()
