"""How well ActCoolLR holds its temperature in trainings, by real steps.

Every tenth step is measured from outside, on the images of the batch and on others.
Example: `held.py --json benchmarks/records/held.json --page` (thesis 3.3.2).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch  # a benchmark of the torch bridge
from _support import keep
from _support.record import fill_page
from schedules._distance import patterns
from schedules._tasks import TITLES, build
from torch import Tensor, nn
from training import data

from reluflow_torch import ActCoolLR

PAGE = Path(__file__).parents[2] / "docs" / "temperature.md"
RUNS = (("f1", "sgd"), ("f1_bn", "sgd"), ("resnet8", "sgd"), ("f1", "adamw"))
SCHEDULED = {"sgd": "SGD", "adamw": "AdamW"}
STEPS, EVERY, BATCH, OTHERS = 1290, 10, 128, 1024
SKIPPED = 0.05
"""Share of the training in which the temperature rises to that of the schedule."""
PARTS = 10
"""Of the rest of the training, over which errors are averaged."""


class Meter:
    """Temperature of one step in bits: the mean over the sites.

    Args:
        model: its ReLU modules are the sites.
        images: on which it is measured.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self._model, self._images = model, images
        self._before = patterns(model, images)

    def bits(self) -> float:
        """Returns that of the change since; a site without an unchanged sample has log2(n)."""
        now = patterns(self._model, self._images)
        found = []
        for before, after in zip(self._before, now, strict=True):
            same = (before == after).all(dim=1)
            found.append(math.log2(same.numel() / max(int(same.sum()), 1)))
        return float(np.mean(found))


def trained(
    network: str, kind: str, seed: int, *, is_whole: bool = False
) -> tuple[list[tuple[float, float, float]], int]:
    """Trains; returns bits wanted, of the batch and of other images, and the steps held back."""
    split = data.load("fashion")["train"]
    model = build(network, seed)
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        if kind == "sgd"
        else torch.optim.AdamW(model.parameters(), lr=1e-3)
    )
    scheduler = ActCoolLR(optimizer, model, STEPS, examples=None if is_whole else "auto")
    generator = torch.Generator().manual_seed(seed)
    others, rows = split.images[-OTHERS:], []
    for step in range(STEPS):
        chosen = torch.randint(len(split.images) - OTHERS, (BATCH,), generator=generator)
        optimizer.zero_grad()
        answer = model(split.images[chosen])
        nn.functional.cross_entropy(answer, split.labels[chosen]).backward()
        is_measured = step >= SKIPPED * STEPS and step % EVERY == 0
        meters = [Meter(model, x) for x in (split.images[chosen], others) if is_measured]
        optimizer.step()
        if meters:
            wanted = scheduler.controller.wanted_temperature(scheduler.progress)
            rows.append((wanted, meters[0].bits(), meters[1].bits()))
        scheduler.step()
    return rows, getattr(scheduler.controller, "n_held", 0)


def summed(errors: np.ndarray) -> dict[str, float]:
    """Returns what the errors of single steps come to.

    `scatter` is how far one measured step lies from the next, over the square root of 2.
    """
    parts = [part.mean() for part in np.array_split(errors, PARTS)]
    return {
        "steps": float(np.sqrt(np.mean(errors**2))),
        "scatter": float(np.sqrt(np.mean(np.diff(errors) ** 2) / 2)),
        "parts": float(np.sqrt(np.mean(np.square(parts)))),
        "mean": float(errors.mean()),
    }


def measured(
    runs: Sequence[tuple[str, str]], seeds: Sequence[int], probed: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Gives one row for each training."""
    for network, kind in runs:
        for seed, batch in itertools.product(seeds, probed):
            rows, held = trained(network, kind, seed, is_whole=batch == "whole")
            wanted, own, other = np.array(rows).T
            yield {
                "training": f"{TITLES[network]}, {SCHEDULED[kind]}",
                "seed": seed,
                "probed": batch,
                "held": held,
                "batch": summed(own - wanted),
                "others": summed(other - wanted),
            }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the errors in bits as a Markdown table."""
    lines = [
        "| training | seed | probes | single steps | their scatter | tenths of the training | mean "
        "| tenths, other images | steps bound |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        own = row["batch"]
        lines.append(
            f"| {row['training']} | {row['seed']} | {row['probed']} | {own['steps']:.2f} "
            f"| {own['scatter']:.2f} | {own['parts']:.2f} | {own['mean']:+.2f} "
            f"| {row['others']['parts']:.2f} | {row['held']} |"
        )
    return "\n".join(lines)


def _name(row: dict[str, Any]) -> tuple[str, int, str]:
    return row["training"], row["seed"], row["probed"]


def main() -> None:
    """Measures, keeps the record and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", type=int, default=list(range(len(RUNS))))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--probed", nargs="+", choices=("part", "whole"), default=["part"])
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="fill the table of the page from it")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    rows = list(measured([RUNS[index] for index in wanted.only], wanted.seeds, wanted.probed))
    if wanted.json is not None:
        old = json.loads(wanted.json.read_text("utf-8"))["results"] if wanted.json.exists() else []
        made = {_name(row) for row in rows}
        rows += [row for row in old if _name(row) not in made]
        rows.sort(key=_name)
        keep(wanted.json, rows)
        if wanted.page:
            fill_page(PAGE, "held", wanted.json, table)
    print(table(rows))


if __name__ == "__main__":
    main()
