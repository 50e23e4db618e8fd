"""One analysis by one worker and by two, against plain inference and against one process.

Each round runs, one after the other, on the same random images: inference alone in one process of
one thread (the least that any analysis costs), `analyze` with one worker and with two, and
`analyze` without workers on two threads. Workers have one thread each. Start-up, which takes as
long for any number of inputs, is part of the times.

    PYTHONPATH=benchmarks python benchmarks/scale/workers.py --json benchmarks/records/scale.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _support import arguments, keep

import reluflow
from reluflow import AnalysisOptions
from reluflow.data import RandomData, open_data
from reluflow.graph import load
from reluflow.sessions import open_session

MODEL = Path(__file__).resolve().parents[2] / "models" / "fashion_resnet8.onnx"
BATCH = 64


def infer(inputs: int) -> None:
    """Run the plain model over the same inputs on one thread."""
    model = load(MODEL)
    session = open_session(model, threads=1)
    for feeds in open_data(RandomData(inputs), model.inputs).batches(BATCH):
        session.run(feeds)


def analyse(inputs: int, workers: int | None, threads: int) -> None:
    """Analyse the inputs."""
    options = AnalysisOptions(batch_size=BATCH, threads=threads)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        reluflow.analyze(MODEL, RandomData(inputs), out, options=options, workers=workers)


def seconds(work: Callable[[], None]) -> float:
    """Return how long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--inputs", type=int, default=60_000)


def main() -> None:
    given = arguments(__doc__.splitlines()[0], rounds=3, more=more)
    ways: dict[str, Callable[[], None]] = {
        "inference": lambda: infer(given.inputs),
        "1 worker": lambda: analyse(given.inputs, 1, 1),
        "2 workers": lambda: analyse(given.inputs, 2, 1),
        "1 process of 2 threads": lambda: analyse(given.inputs, None, 2),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, work in ways.items():
            times[name].append(seconds(work))
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, each in medians.items():
        print(f"{name:24} {each:8.2f} s  {given.inputs / each:9.0f} inputs a second")
    ratios = [a / b for a, b in zip(times["1 worker"], times["2 workers"], strict=True)]
    print(f"two workers are {statistics.median(ratios):.2f} times as fast as one")
    keep(
        given.json,
        {
            "inputs": given.inputs,
            "seconds": medians,
            "speed_up_of_two_workers": statistics.median(ratios),
        },
    )


if __name__ == "__main__":
    main()
