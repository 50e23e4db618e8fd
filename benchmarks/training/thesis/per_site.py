"""A rate for every switch site beside one rate for all, in short trainings on FashionMNIST.

Example: `per_site.py --json benchmarks/records/per_site.json --page` (thesis 5.4). Three networks,
three seeds, both optimisers; accuracy is that on the validation images.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch  # a benchmark of the torch bridge
from _support import keep
from _support.record import fill_page
from schedules._tasks import TITLES, Split, build
from training import data
from training.loop import DONE, Setup, accuracy, train

from reluflow.temperature import CrossingCool, CrossingOptions
from reluflow_torch import ActCoolLR, site_groups

PAGE = Path(__file__).parents[3] / "docs" / "temperature.md"
IMAGES, BATCH, EPOCHS = 20_000, 128, 2
SPANS = (1.0, 2.0, 4.0)
EXAMPLES = 16
OPTIMIZERS = {
    "SGD": lambda groups: torch.optim.SGD(groups, lr=0.03, momentum=0.9),
    "AdamW": lambda groups: torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01),
}


def spread(scheduler: ActCoolLR) -> float | None:
    """Return the temperature of the hottest over that of the coldest site, once it is known."""
    controller = scheduler.controller
    assert isinstance(controller, CrossingCool)
    if controller.curves is None or controller.rate is None:
        return None
    bits = [float(curve.temperature(controller.rate)) for curve in controller.curves.values()]
    return max(bits) / max(min(bits), 1e-6)


def trained(net: str, optimizer: str, span: float, seed: int, split: dict[str, Split]) -> Any:
    """Train once; return accuracy and what the sites' rates became."""
    model = build(net, seed)
    part = Split(split["train"].images[:IMAGES], split["train"].labels[:IMAGES])
    steps = EPOCHS * math.ceil(IMAGES / BATCH)
    spreads: list[float | None] = []

    def make(model: torch.nn.Module) -> Setup:
        groups = site_groups(model, part.images[:EXAMPLES])
        chosen = OPTIMIZERS[optimizer](groups)
        scheduler = ActCoolLR(chosen, model, steps, options=CrossingOptions(), site_span=span)
        return Setup(chosen, scheduler, before_epoch=lambda: spreads.append(spread(scheduler)))

    course, setup = train(model, make, part, epochs=EPOCHS, batch=BATCH, seed=seed)
    found: dict[str, Any] = {"net": net, "optimizer": optimizer, "span": span, "seed": seed}
    if setup is not None and course.end == DONE:
        rates = [float(group["lr"]) for group in setup.optimizer.param_groups]
        found["factors"] = [round(rate / rates[-1], 3) for rate in rates]
        found["spread"] = spreads[-1]  # at half of the training
    return found | {"end": course.end, "accuracy": accuracy(model, split["validation"])}


def summary(runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give a row for each network, optimiser and span: means over seeds, beside a span of 1."""
    for net, optimizer in dict.fromkeys((run["net"], run["optimizer"]) for run in runs):
        own = [run for run in runs if (run["net"], run["optimizer"]) == (net, optimizer)]
        base = {run["seed"]: run["accuracy"] for run in own if run["span"] == 1.0}
        for span in dict.fromkeys(run["span"] for run in own):
            rows = [run for run in own if run["span"] == span]
            differences = [run["accuracy"] - base[run["seed"]] for run in rows]
            yield {
                "net": TITLES[net],
                "optimizer": optimizer,
                "span": span,
                "seeds": len(rows),
                "failed": sum(run["end"] != DONE for run in rows),
                "accuracy": round(float(np.mean([run["accuracy"] for run in rows])), 2),
                "difference": round(float(np.mean(differences)), 2),
                "lowest": round(min(differences), 2),
                "highest": round(max(differences), 2),
                "spread": round(float(np.median([run.get("spread", np.nan) for run in rows])), 1),
            }


def table(results: dict[str, Any]) -> str:
    """Return the table of the page."""
    lines = [
        "| network | optimiser | span | seeds | failed | accuracy, % | "
        "points beyond one rate: mean | lowest | highest | hottest over coldest site |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['net']} | {row['optimizer']} | {row['span']:g} | {row['seeds']} | "
        f"{row['failed']} | {row['accuracy']:.2f} | {row['difference']:+.2f} | "
        f"{row['lowest']:+.2f} | {row['highest']:+.2f} | {row['spread']} |"
        for row in results["summary"]
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=list(OPTIMIZERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="keep the results here; runs in it are not made")
    parser.add_argument("--page", action="store_true", help=f"fill the table of {PAGE.name}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    if given.json is not None and given.json.exists():
        runs = json.loads(given.json.read_text("utf-8"))["results"]["runs"]
    known = {(run["net"], run["optimizer"], run["span"], run["seed"]) for run in runs}
    split = data.load("fashion")
    for seed in range(given.seeds):
        for net in given.nets:
            for optimizer in given.optimizers:
                for span in SPANS:
                    if (net, optimizer, span, seed) in known:
                        continue
                    started = time.perf_counter()
                    runs.append(trained(net, optimizer, span, seed, split))
                    print(f"{time.perf_counter() - started:.0f} s", runs[-1], flush=True)
                    keep(given.json, {"summary": [*summary(runs)], "runs": runs})
    keep(given.json, {"summary": [*summary(runs)], "runs": runs})
    if given.page:
        fill_page(PAGE, "per site", given.json, table)


if __name__ == "__main__":
    main()
