"""Does temperature steer networks other than ReLU classifiers: a GELU ViT, a GRU, characters?

Example: `steered.py --json benchmarks/records/steered.json --page` (thesis 5.3, 5.4). Each network
is trained at several constant temperatures: what rate that takes, how far off T is, and the loss.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # a benchmark of the torch bridge
from _support import keep
from _support.record import fill_page
from torch import nn
from training import data, nets

from reluflow.errors import DivergenceError
from reluflow.temperature import CoolingWarning, CrossingCool, CrossingOptions, PowerSchedule
from reluflow_torch import ActCoolLR, SmoothWarning

PAGE = Path(__file__).parents[3] / "docs" / "temperature.md"
NETS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "GELU ViT": ("fashion", nets.Vit),
    "GRU, row by row": ("fashion", nets.RowGru),
    "next character": ("characters", nets.characters),
}
BITS = (0.05, 0.2, 0.5, 1.0, 2.0)
STEPS, BATCH, LAST = 150, 64, 30
"""Steps of a training, examples of one, steps at the end whose mean loss is told."""


def steered(name: str, bits: float) -> dict[str, Any]:
    """Train at a constant temperature; return the rate it took, its error and the loss."""
    torch.manual_seed(0)
    source, make = NETS[name]
    model, split = make(), data.load(source)["train"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    options = CrossingOptions(history_size=STEPS, growth=math.inf, weight_growth=math.inf)
    # A large gamma keeps the temperature where it is until the very end.
    schedule = PowerSchedule(bits, 1e6)
    scheduler = ActCoolLR(optimizer, model, STEPS + 1, schedule=schedule, options=options)
    losses: list[float] = []
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(len(split.labels), generator=generator)
    try:
        for chosen in order[: STEPS * BATCH].split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(split.images[chosen]), split.labels[chosen])
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
    except DivergenceError:
        losses.append(math.inf)
    assert isinstance(scheduler.controller, CrossingCool)
    history = [each for each in scheduler.controller.history if each[0] > STEPS // 5]
    missed = [measured - wanted for _, _, wanted, measured in history]
    rates = [rate for _, rate, _, _ in history]
    last = float(np.mean(losses[-LAST:]))
    return {
        "network": name,
        "bits": bits,
        "rate": float(np.median(rates)) if rates else None,
        "error": float(np.sqrt(np.mean(np.square(missed)))) if missed else None,
        "loss": last if math.isfinite(last) else None,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    head = "| network | T wanted, bits | rate | error of T, bits | loss at the end |"
    lines = [head, "|---|---:|---:|---:|---:|"]
    lines += [
        f"| {row['network']} | {row['bits']:g} | {_cell(row['rate'])} | {_cell(row['error'])} | "
        f"{_cell(row['loss'])} |"
        for row in rows
    ]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help=f"fill the table of {PAGE.name}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", SmoothWarning)
    warnings.simplefilter("ignore", CoolingWarning)
    rows = []
    for name in given.nets:
        for bits in BITS:
            rows.append(steered(name, bits))
            print(rows[-1], flush=True)
    keep(given.json, rows)
    if given.page:
        fill_page(PAGE, "steered", given.json, table)


if __name__ == "__main__":
    main()
