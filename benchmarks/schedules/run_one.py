"""Trains one network with one schedule and writes one JSON file.

Example: `run_one.py --network f1 --schedule cosine --rate 0.1 --epochs 3`
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from pathlib import Path

import torch  # a benchmark of the torch bridge
from schedules._schedules import NAMES
from schedules._tasks import NETWORKS, Split, load
from schedules._train import Run, train


@functools.cache
def _data() -> dict[str, Split]:
    return load()


def perform(run: Run, folder: Path) -> None:
    """Trains unless the record of the run is there already; writes it whole or not at all."""
    path = folder / f"{run.name}.json"
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    record = train(run, _data())
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--schedule", choices=NAMES, required=True)
    parser.add_argument("--rate", type=float, required=True, help="initial or largest rate")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", type=json.loads, default={}, help="JSON, of ActCoolLR")
    parser.add_argument("--trace", action="store_true", help="measure D of some steps")
    parser.add_argument("--test", action="store_true", help="look at the test images at the end")
    parser.add_argument("--out", type=Path, default=Path("build/schedules"))
    return parser.parse_args()


def main() -> None:
    given = vars(_arguments())
    folder = given.pop("out")
    torch.set_num_threads(1)
    perform(Run(**given), folder)


if __name__ == "__main__":
    main()
