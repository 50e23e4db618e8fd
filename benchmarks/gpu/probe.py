"""Steps per second of some processes that share a GPU, and of as many on the cores.

`PYTHONPATH=benchmarks python benchmarks/gpu/probe.py --json build/probe.json` tells how many
workers the trainings of benchmarks/training should have on the GPU; the other cores train too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

NETS = ("f1", "resnet8")
BATCH, PER_LOOK = 128, 5
"""Images of a step; steps between two looks at the clock."""
STARTING, SLACK = 120.0, 30.0
"""Seconds that the processes may take to start, and to end a measurement."""
Cell = tuple[str, str, int]
"""Network, device, number of processes."""


def steps_of(name: str, device: str) -> Callable[[], None]:
    """Returns what makes a few training steps of a network and waits for them."""
    import torch  # a benchmark of the torch bridge
    from schedules import _tasks

    net = _tasks.NETWORKS[name]().to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    images = torch.randn(BATCH, 1, 28, 28, device=device)
    labels = torch.zeros(BATCH, dtype=torch.long, device=device)

    def steps() -> None:
        for _ in range(PER_LOOK):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    steps()
    return steps


def work(index: int, cells: list[Cell], seconds: float, barrier: Any, results: Any) -> None:
    """Takes part in every measurement for which it is among the first processes."""
    import torch  # a benchmark of the torch bridge

    torch.set_num_threads(1)
    made = {(net, device): steps_of(net, device) for net, device, _ in cells}
    barrier.wait(STARTING)
    for net, device, count in cells:
        barrier.wait(seconds + SLACK)
        done, end = 0, time.monotonic() + seconds
        while index < count and time.monotonic() < end:
            made[net, device]()
            done += PER_LOOK
        results.put(((net, device, count), done / seconds))


def measured(counts: list[int], device: str, seconds: float) -> dict[Cell, float]:
    """Returns the steps per second of all processes together, by cell.

    Args:
        counts: of processes on the device; the greatest also works on the cores.
        device: "cuda", or "cpu" to try this out.
        seconds: of each measurement.
    """
    cells: list[Cell] = [(net, device, count) for net in NETS for count in counts]
    cells += [(net, "cpu", max(counts)) for net in NETS if device != "cpu"]
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(max(counts)), spawn.Queue()
    processes = [
        spawn.Process(target=work, args=(index, cells, seconds, barrier, results), daemon=True)
        for index in range(max(counts))
    ]
    for process in processes:
        process.start()
    total: Counter[Cell] = Counter()
    for _ in range(len(cells) * len(processes)):
        cell, rate = results.get(timeout=STARTING + seconds + SLACK)
        total[cell] += rate
    for process in processes:
        process.join(SLACK)
    return dict(total)


def best(found: dict[Cell, float], device: str) -> int:
    """Returns the number of processes on the device with which all cores together do most steps.

    A core that has no process on the device trains by itself.
    """
    counts = sorted({count for _, where, count in found if where == device})
    cores = max(counts)

    def rate(count: int) -> float:
        """Of all cores, in multiples of a single process on the device, summed over networks."""
        beside = {net: (cores - count) / cores * found[net, "cpu", cores] for net in NETS}
        own = {net: found[net, device, count] for net in NETS}
        return sum((own[net] + beside[net]) / found[net, device, counts[0]] for net in NETS)

    return max(counts, key=rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 8, 16], help="of processes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--json", type=Path, required=True, help="keep the results in this file")
    given = parser.parse_args()
    found = measured(sorted(given.counts), given.device, given.seconds)
    rates = {f"{net} {device} {count}": round(rate) for (net, device, count), rate in found.items()}
    workers = best(found, given.device)
    print("steps per second:", rates, "workers on the GPU:", workers)
    given.json.write_text(json.dumps({"rates": rates, "workers": workers}) + "\n", "utf-8")


if __name__ == "__main__":
    main()
