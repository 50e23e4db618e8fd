"""Time of training with ActCoolLR over plain training of the same model, in one run.

Three equal models take turns, a block of steps each, on the same batches: without a scheduler, with
the one that steers by crossing rates, and with the one that fits a model. The ratio of all time
holds every cost: probes, first steps, hooks. The steady state is the same after the first fifth
of the steps. Both have a standard error, from how the blocks differ. Run it on a quiet machine; on
a GPU with `--device cuda`, and `--only ResNet-50` for the rows named so or beginning so.

    python benchmarks/actcool_overhead.py --json benchmarks/records/actcool_overhead.json

takes about 12 minutes on one core. A look at all rows of a GPU in two or three minutes:

    python benchmarks/actcool_overhead.py --device cuda --rounds 25 --steering "crossing rates"

trains 200 steps of each (`--rounds` is the number of blocks of eight steps). Rows that are not
measured by default, as they also wait for a compiler, are named by `--only`.
"""

from __future__ import annotations

import argparse
import gc
import math
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

from reluflow.errors import DivergenceError
from reluflow.temperature import ActCoolOptions, CrossingOptions, PowerSchedule
from reluflow.temperature.crossing.part_size import Examples
from reluflow_torch import ActCoolLR
from reluflow_torch.networks import BasicBlock, EightLayers, f1

BLOCK = 8
BATCH = 128
WARM_UP = 3
START_SHARE = 0.2
STEPS = 1000
PLAIN = "none"
STEERINGS = {"crossing rates": CrossingOptions, "fitted model": ActCoolOptions}


@dataclass(frozen=True)
class Row:
    """One model to train.

    Attributes:
        name: of the row.
        make: makes the model.
        shape: of an image.
        devices: on which it is measured.
        optimizers: by name.
        examples: of a batch that are measured on, as `ActCoolLR` takes them.
        compiled: whether the model is compiled.
        compiled_probes: whether passes of probes are too, in a graph that is made during the run.
        half: whether it trains in bfloat16 under autocast, in channels-last memory.
        images: number of different ones.
        by_name: whether the row is measured only where `--only` names it.
    """

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, int, int] = (1, 28, 28)
    devices: tuple[str, ...] = ("cpu", "cuda")
    optimizers: tuple[str, ...] = ("SGD",)
    examples: Examples = "auto"
    compiled: bool = False
    compiled_probes: bool = False
    half: bool = False
    images: int = 4096
    by_name: bool = False


ROWS = (
    Row("F1", f1, optimizers=("SGD", "AdamW")),
    Row("F1, whole batches", f1, examples=None, by_name=True),
    Row("F1 + BN", lambda: f1(norm=True)),
    Row("ResNet-8", lambda: EightLayers(BasicBlock)),
    Row("ResNet-8, compiled", lambda: EightLayers(BasicBlock), compiled=True, by_name=True),
    Row(
        "ResNet-8, compiled with probes",
        lambda: EightLayers(BasicBlock),
        compiled=True,
        compiled_probes=True,
        by_name=True,
    ),
    Row("ResNet-18, 64 px", resnet18, (3, 64, 64), ("cuda",)),
    Row("ResNet-18, 64 px, compiled", resnet18, (3, 64, 64), ("cuda",), compiled=True),
    Row(
        "ResNet-18, 64 px, compiled with probes",
        resnet18,
        (3, 64, 64),
        ("cuda",),
        compiled=True,
        compiled_probes=True,
        by_name=True,
    ),
    Row("ResNet-50, 224 px, bf16", resnet50, (3, 224, 224), ("cuda",), half=True, images=1024),
)


@dataclass
class Overhead:
    """What steering one model cost.

    Attributes:
        model: its name.
        optimizer: the optimiser's name.
        device: the kind of device, and its name where it is a GPU.
        steering: what the controller steers by.
        steps: steps of each side.
        step_ms: median time of a plain step.
        overhead: time of all blocks with the scheduler over that without, less 1.
        overhead_error: its standard error.
        steady: the same without the first fifth of the blocks.
        steady_error: its standard error.
        probes: measured steps.
        steady_probes: the same without the first fifth of the blocks.
        passes_per_step: extra forward passes per step.
        steady_passes_per_step: the same without the first fifth of the blocks.
        fit_measurements: hypothetical steps of the first and all later fits.
        loss: mean of the last block, with that of the plain side.
    """

    model: str
    optimizer: str
    device: str
    steering: str
    steps: int
    step_ms: float
    overhead: float
    overhead_error: float
    steady: float
    steady_error: float
    probes: int
    steady_probes: int
    passes_per_step: float
    steady_passes_per_step: float
    fit_measurements: int
    loss: tuple[float, float]


class Side:
    """One of the trainings that take turns.

    Args:
        row: the model.
        optimizer: its name.
        device: "cpu" or "cuda".
        steering: what ActCoolLR steers by; `PLAIN`: there is none.
        total: number of steps.
        x: a batch, to compile on.
        bits: temperature at the start; None: the scheduler's own.
    """

    def __init__(
        self,
        row: Row,
        optimizer: str,
        device: str,
        steering: str,
        total: int,
        x: Tensor,
        bits: float | None,
    ) -> None:
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
        if steering != PLAIN:
            self.scheduler = ActCoolLR(
                self.optimizer,
                self.called,
                total,
                schedule=None if bits is None else PowerSchedule(bits),
                options=STEERINGS[steering](),
                examples=row.examples,
                compile_probes=torch.compile if row.compiled_probes else None,
            )
        self.seconds: list[float] = []
        self.passes: list[int] = []
        self.probes: list[int] = []
        self.losses: list[float] = []

    def loss(self, x: Tensor, y: Tensor) -> Any:
        """Return the loss of a batch, computed as the row says."""
        with torch.autocast(self._device, torch.bfloat16) if self._is_half else nullcontext():
            return nn.functional.cross_entropy(self.called(x), y)

    def block(self, batches: list[tuple[Tensor, Tensor]]) -> None:
        """Train on some batches and note the time."""
        scheduler = self.scheduler
        start = self._now()
        for x, y in batches:
            self.optimizer.zero_grad()
            loss = self.loss(x, y)
            loss.backward()
            self.optimizer.step()
            if scheduler is not None:
                scheduler.step()
        self.seconds.append(self._now() - start)
        self.losses.append(float(loss.detach()))
        self.passes.append(0 if scheduler is None else scheduler.forward_passes)
        self.probes.append(0 if scheduler is None else scheduler.n_probes)

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


def train(row: Row, optimizer: str, options: argparse.Namespace) -> dict[str, Side]:
    """Train all sides in turns; each begins as often as the others."""
    device, blocks = options.device, max(5, options.rounds)
    images, labels = (part.to(device) for part in learnable_data(row.images, row.shape))
    if row.half:
        images = images.to(memory_format=torch.channels_last)
    sides = {
        name: Side(row, optimizer, device, name, blocks * BLOCK, images[:BATCH], options.bits)
        for name in (PLAIN, *options.steering)
    }
    # The collector's first look at all objects of all imports would fall to a side by chance.
    gc.collect()
    gc.freeze()
    order = [*sides]
    draw = torch.Generator().manual_seed(2)
    for _ in range(blocks):
        batches = []
        for _ in range(BLOCK):
            index = torch.randint(0, len(images), (BATCH,), generator=draw).to(device)
            batches.append((images[index], labels[index]))
        for name in order:
            try:
                sides[name].block(batches)
            except DivergenceError as error:  # its cost up to there says little
                print(f"{row.name:38s} {optimizer:6s} {name:15s} left out: {error}", flush=True)
                del sides[name]
        order = [name for name in (*order[1:], order[0]) if name in sides]
    return sides


def ratio(seconds: list[float], plain: list[float]) -> tuple[float, float]:
    """Return the ratio of two sums, less 1, and its standard error from how the blocks differ."""
    total = sum(plain)
    found = sum(seconds) / total
    missed = [mine - found * other for mine, other in zip(seconds, plain, strict=True)]
    return found - 1.0, math.sqrt(sum(each**2 for each in missed)) / total


def cost_of(row: Row, optimizer: str, device: str, name: str, sides: dict[str, Side]) -> Overhead:
    """Return what the steering of one side cost."""
    side, plain = sides[name], sides[PLAIN]
    scheduler = side.scheduler
    assert scheduler is not None
    blocks = len(side.seconds)
    start = round(START_SHARE * blocks)
    overhead, error = ratio(side.seconds, plain.seconds)
    steady, steady_error = ratio(side.seconds[start:], plain.seconds[start:])
    return Overhead(
        model=row.name,
        optimizer=optimizer,
        device=f"cuda, {torch.cuda.get_device_name()}" if device == "cuda" else device,
        steering=name,
        steps=blocks * BLOCK,
        step_ms=1e3 * statistics.median(plain.seconds) / BLOCK,
        overhead=overhead,
        overhead_error=error,
        steady=steady,
        steady_error=steady_error,
        probes=scheduler.n_probes,
        steady_probes=side.probes[-1] - side.probes[start - 1],
        passes_per_step=scheduler.forward_passes / (blocks * BLOCK),
        steady_passes_per_step=(side.passes[-1] - side.passes[start - 1])
        / ((blocks - start) * BLOCK),
        fit_measurements=scheduler.controller.n_measurements,
        loss=(side.losses[-1], plain.losses[-1]),
    )


def told(found: Overhead) -> str:
    """Return a result in words."""
    return (
        f"{found.model:38s} {found.optimizer:6s} {found.steering:15s} {found.steps:5d} steps of "
        f"{found.step_ms:7.2f} ms: whole run {100 * found.overhead:+5.2f} % (+-"
        f"{100 * found.overhead_error:.2f}), steady state {100 * found.steady:+5.2f} % (+-"
        f"{100 * found.steady_error:.2f}), {found.probes} probes ({found.steady_probes} in the "
        f"steady state), {found.passes_per_step:.3f} extra passes per step "
        f"({found.steady_passes_per_step:.3f}), {found.fit_measurements} hypothetical steps, "
        f"loss {found.loss[0]:.2f} ({found.loss[1]:.2f} without)"
    )


def options_of(parser: argparse.ArgumentParser) -> None:
    """Add the options that this benchmark alone has."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="the rows named or beginning so"
    )
    parser.add_argument(
        "--steering",
        nargs="+",
        choices=[*STEERINGS],
        default=[*STEERINGS],
        help="what to steer by",
    )
    parser.add_argument(
        "--bits", type=float, help="temperature at the start, instead of the scheduler's own"
    )


def is_wanted(row: Row, device: str, names: list[str]) -> bool:
    """Tell whether a row is to be measured; a name that is a row's own stands for no other."""
    known = {each.name for each in ROWS}
    is_named = any(
        row.name == name if name in known else row.name.startswith(name) for name in names
    )
    return device in row.devices and (is_named if names else not row.by_name)


def main() -> None:
    options = arguments(__doc__ or "", rounds=STEPS // BLOCK, more=options_of)
    if options.device == "cpu":
        torch.set_num_threads(1)
    results = []
    for row in ROWS:
        if not is_wanted(row, options.device, options.only):
            continue
        for optimizer in row.optimizers:
            sides = train(row, optimizer, options)
            for name in [name for name in options.steering if name in sides]:
                found = cost_of(row, optimizer, options.device, name, sides)
                results.append(asdict(found))
                print(told(found), flush=True)
            keep(options.json, results)  # what is measured so far is not lost


if __name__ == "__main__":
    main()
