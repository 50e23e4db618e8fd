"""Trainings with a few spoilt batches: what these cost under cosine and under ActCoolLR.

`PYTHONPATH=benchmarks python benchmarks/training/odd_batches/outliers.py
--json benchmarks/records/outliers.json --page` trains networks on 512 digits and 512 FashionMNIST
images with SGD and AdamW; three batches are made odd, a tenth, three tenths and six tenths of the
way. "unguarded" is ActCoolLR that does not look at the length of updates.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from _support import keep
from _support.record import fill_page
from torch import Tensor, nn
from training.data import load
from training.grid import BATCH, MOMENTUM, RATES, cooling
from training.loop import DONE, Setup, Spoilt, accuracy, train
from training.nets import DIGITS_SIDE, FASHION_SIDE, GRID, N_CLASSES
from training.verdict import TITLES

PAGE = Path(__file__).parents[3] / "docs" / "temperature.md"
NETS = ("mlp", "cnn", "f1", "resnet8")
EPOCHS = 30
ODD_AT = (0.1, 0.3, 0.6)
"""Of the training."""
SEEDS = {"digits512": (3, 4, 5), "fashion512": (0, 1, 2)}
"""The guard was set with other seeds on the digits."""
SIDES = {"digits512": DIGITS_SIDE, "fashion512": FASHION_SIDE}
ODD: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "none": lambda x, y: (x, y),
    "inputs times 30": lambda x, y: (30 * x, y),
    "noise": lambda x, y: (3 * torch.randn_like(x), y),
    "wrong labels": lambda x, y: (x, (y + torch.randint_like(y, 1, N_CLASSES)) % N_CLASSES),
}
SCHEDULES = ("cosine", "unguarded", "actcool")


def spoiling(kind: str, total: int) -> Spoilt:
    """Returns what makes the batches odd in a training of so many steps."""
    at = {round(share * total) for share in ODD_AT}
    return lambda step, x, y: ODD[kind](x, y) if step in at else (x, y)


def _setup(kind: str, schedule: str, rate: float, total: int, model: nn.Module) -> Setup:
    optimizer: torch.optim.Optimizer
    if kind == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    if schedule == "cosine":
        return Setup(optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total))
    options = {"outlier": math.inf} if schedule == "unguarded" else {}
    return Setup(optimizer, cooling(optimizer, model, total, options))


def trained(
    data: str, net: str, kind: str, odd: str, schedule: str, rate: float, seed: int
) -> dict[str, Any]:
    """Trains; returns accuracies in per cent, how it ended, and the steps that were shortened."""
    splits = load(data, None, "cpu")
    torch.manual_seed(seed)
    model = GRID[net](SIDES[data])
    total = EPOCHS * -(-len(splits["train"].labels) // BATCH)
    make = functools.partial(_setup, kind, schedule, rate, total)
    course, setup = train(
        model,
        make,
        splits["train"],
        epochs=EPOCHS,
        batch=BATCH,
        seed=seed,
        spoilt=spoiling(odd, total),
    )
    controller = getattr(setup and setup.scheduler, "controller", None)
    return {
        "end": course.end,
        "shortened": getattr(controller, "n_outliers", 0),
        "validation": accuracy(model, splits["validation"]),
        "test": accuracy(model, splits["test"]),
    }


def measured(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Gives one row for each data set, network, optimiser, kind of batch and schedule."""
    for data, net, kind, odd, schedule in itertools.product(
        given.data, given.nets, given.optimizers, ODD, SCHEDULES
    ):
        if kind != "sgd" and schedule == "unguarded":
            continue  # the guard is for SGD
        runs = {
            rate: [trained(data, net, kind, odd, schedule, rate, s) for s in SEEDS[data]]
            for rate in (RATES[kind] if schedule == "cosine" else RATES[kind][:1])
        }
        best = max(runs, key=lambda rate: mean(run["validation"] for run in runs[rate]))
        row = {"data": data, "net": net, "optimizer": kind, "odd": odd, "schedule": schedule}
        row |= {"rate": best if schedule == "cosine" else None, **summed(runs[best])}
        print(row["data"], net, kind, odd, schedule, _cell(row), flush=True)
        yield row


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the means of some runs, with the runs."""
    return {
        "test": mean(run["test"] for run in runs),
        "shortened": mean(run["shortened"] for run in runs),
        "runs": runs,
    }


def _cell(row: dict[str, Any]) -> str:
    runs = row["runs"]
    failed = sum(run["end"] != DONE for run in runs)
    text = f"{row['test']:.1f}"
    if failed:
        text += f", {failed} of {len(runs)} ended in NaN"
    return text


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the mean test accuracies as a Markdown table."""
    lines = [
        "| training | odd batches | cosine, the better rate | ActCoolLR, unguarded | ActCoolLR "
        "| steps made shorter |",
        "|---|---|---:|---:|---:|---:|",
    ]
    found: dict[tuple[str, ...], dict[str, Any]] = defaultdict(dict)
    for row in rows:
        found[row["data"], row["net"], row["optimizer"], row["odd"]][row["schedule"]] = row
    for (data, net, kind, odd), cells in found.items():
        texts = [_cell(cells[each]) if each in cells else "" for each in SCHEDULES]
        name = f"{TITLES[data]}, {TITLES[net]}, {TITLES[kind]}"
        lines.append(
            f"| {name} | {odd} | {' | '.join(texts)} | {cells['actcool']['shortened']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, keeps the record and fills the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=SEEDS, default=[*SEEDS])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS)
    parser.add_argument("--optimizers", nargs="+", choices=RATES, default=["sgd"])
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="fill the table of the page from it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = list(measured(given))
    keep(given.json, rows)
    if given.page:
        fill_page(PAGE, "outliers", given.json, table)


if __name__ == "__main__":
    main()
