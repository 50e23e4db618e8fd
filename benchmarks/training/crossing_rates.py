"""Curves of D from crossing rates against real hypothetical steps, at states of trainings.

Example: `crossing_rates.py --json benchmarks/records/crossing_rates.json --page` (thesis 3.2.3).
Several runs, each of some networks, can make one record: `--json` keeps rows of other networks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch  # a benchmark of the torch bridge
from _support import keep
from _support.record import fill_page
from schedules._tasks import build
from torch import Tensor, nn
from training import data, nets

from reluflow.temperature import StepDistance
from reluflow_torch.training.probe import Batch, Pass, StepProbe
from reluflow_torch.training.step_curves import STATES, step_curves

PAGE = Path(__file__).parents[2] / "docs" / "temperature.md"
STEPS = (0, 40, 120, 300)
BATCH, IMAGES = 128, 512
BITS = (0.5, 1.0, 2.0, 3.0, 5.0)
N_RATES, LOW_BITS, HIGH_BITS = 25, 0.02, 6.0
WAYS = {"first order": STATES[:1], "corrected": STATES}
"""Names of the curves by the temperatures of the steps they are made of."""


def _sgd(rate: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[..., torch.optim.Optimizer]]] = {
    "F1": (lambda: build("f1", 0), _sgd(0.03)),
    "F1 + BN": (lambda: build("f1_bn", 0), _sgd(0.01)),
    "ResNet-8": (lambda: build("resnet8", 0), _sgd(0.1)),
    "VGG-11 without normalisation": (nets.vgg, _sgd(0.01)),
    "GELU ViT": (nets.Vit, lambda model: torch.optim.AdamW(model.parameters(), lr=1e-3)),
}


def bits_of(step: StepDistance) -> float:
    """Return the mean of the sites' temperatures."""
    return float(np.mean([site.temperature.bits for site in step.sites]))


def real_rate(measure: Callable[[float], StepDistance], bits: float, guess: float) -> float | None:
    """Search the rate whose real step has a temperature; None where there is none near a guess."""
    ends, values = [guess / 1.1, guess * 1.1], [0.0, 0.0]
    for side, far in ((0, 0.8), (1, 1.25)):
        for _ in range(6):
            values[side] = bits_of(measure(ends[side])) - bits
            if (values[side] > 0) == bool(side):
                break
            ends[side] *= far
        else:
            return None
    for _ in range(5):
        middle = float(np.sqrt(ends[0] * ends[1]))
        value = bits_of(measure(middle)) - bits
        ends[int(value > 0)], values[int(value > 0)] = middle, value
    share = values[0] / (values[0] - values[1])
    return float(ends[0] * (ends[1] / ends[0]) ** share)


def compared(name: str, model: nn.Module, probe: StepProbe, x: Tensor) -> Iterator[dict[str, Any]]:
    """Give a row for each way of making the curve, against real steps of the same gradient."""
    batch = Batch.now((x,), {}, x.device)
    found = {way: step_curves(probe, [Pass(batch)], 0.01, bits=at) for way, at in WAYS.items()}
    first = found["corrected"]
    highest = min(HIGH_BITS, 0.95 * first.highest())
    rates = np.geomspace(first.rate(LOW_BITS), first.rate(highest), N_RATES)
    with probe.measuring(batch=batch) as measure:
        real = [measure(float(rate)).mean_distance for rate in rates]
        there = {
            bits: real_rate(measure, bits, first.rate(bits)) if bits < highest else None
            for bits in BITS
        }
    for way, curves in found.items():
        errors = curves.distance(rates) - real
        yield {
            "network": name,
            "curve": way,
            "rmse": float(np.sqrt(np.mean(errors**2))),
            "rates": {
                str(bits): None if rate is None else curves.rate(bits) / rate - 1
                for bits, rate in there.items()
            },
        }


def measured(name: str) -> Iterator[dict[str, Any]]:
    """Train a network for a while, and compare at every state of `STEPS`."""
    torch.manual_seed(0)
    make, make_optimizer = NETWORKS[name]
    model, split = make(), data.load("fashion")["train"]
    optimizer = make_optimizer(model)
    order = torch.randperm(len(split.images), generator=torch.Generator().manual_seed(1))
    held, smooth = order[-IMAGES:], not nets.has_relu(model)
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(split.images[held]), split.labels[held])
            loss.backward()
            probe = StepProbe(model, optimizer, smooth=smooth)
            for row in compared(name, model, probe, split.images[held]):
                yield {"steps": step, "loss": loss.item()} | row
        chosen = order[step * BATCH : (step + 1) * BATCH]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(split.images[chosen]), split.labels[chosen]).backward()
        optimizer.step()


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the errors as a Markdown table: of D in percentage points, of rates in percent."""
    titles = " | ".join(f"{bits:g} bits" for bits in BITS)
    lines = [f"| network | steps | curve | D, points | {titles} |"]
    lines.append("|---|---:|---|---:|" + "---:|" * len(BITS))
    for row in rows:
        cells = " | ".join(
            "-" if error is None else f"{100 * error:.1f}" for error in row["rates"].values()
        )
        lines.append(
            f"| {row['network']} | {row['steps']} | {row['curve']} | {100 * row['rmse']:.2f} "
            f"| {cells} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, keep the record and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", choices=list(NETWORKS))
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="fill the table of the page from it")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    names = wanted.network or list(NETWORKS)
    rows = [row for name in names for row in measured(name)]
    if wanted.json is not None:
        old = json.loads(wanted.json.read_text("utf-8"))["results"] if wanted.json.exists() else []
        rows += [row for row in old if row["network"] not in names]
        rows.sort(key=lambda row: list(NETWORKS).index(row["network"]))
        keep(wanted.json, rows)
        if wanted.page:
            fill_page(PAGE, "crossing", wanted.json, table)
    print(table(rows))


if __name__ == "__main__":
    main()
