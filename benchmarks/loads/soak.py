"""An hour of divided analyses on loopback: the same bits, and nothing that grows.

A Dask scheduler and its workers, processes of this machine that talk over loopback, analyse some
networks again and again, each time by another number of parts: the shipped ResNet-8, a conversion
of it that runs in the operators of the native library, and counts that spill to disk. Each report
must be that of one process, bit for bit. Now and then one worker is killed in the middle of an
analysis (`kill -9`); another one lives all the time. After each analysis the memory, the file
descriptors and the threads of every process are read: of this one, of scheduler and nannies, and
of each worker. The record has, for each, the values over time and the slope of its memory in the
second half.

    PYTHONPATH=benchmarks python benchmarks/loads/soak.py --json benchmarks/records/soak.json
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from _support import arguments, keep

import reluflow
from reluflow import AnalysisOptions, PatternReport
from reluflow.analysis import RunDescription
from reluflow.graph import load, to_psb
from reluflow.report import to_json

MODELS = Path(__file__).resolve().parents[2] / "models"
MIB = 1 << 20
SERVER = """
import sys, distributed
if __name__ == "__main__":
    with distributed.LocalCluster(n_workers=int(sys.argv[1]), threads_per_worker=1,
            processes=True, host="127.0.0.1", dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
"""Scheduler and nannies in a process of their own, until its input ends."""


@dataclass(frozen=True)
class Case:
    """One analysis that is repeated.

    Attributes:
        model: a file.
        options: of the analysis.
        inputs: how many of the data.
        want: its report by one process.
    """

    model: Path
    options: AnalysisOptions
    inputs: int
    want: PatternReport


@dataclass
class Followed:
    """One process while it lives.

    Attributes:
        name: "analysis", "scheduler", or "worker".
        process: of psutil.
        rows: (seconds since the start, MiB of memory, file descriptors, threads).
    """

    name: str
    process: psutil.Process
    rows: list[tuple[float, float, int, int]] = field(default_factory=list)

    def look(self, at: float) -> None:
        """Read the process, if it is still there."""
        try:
            with self.process.oneshot():
                memory = self.process.memory_info().rss / MIB
                self.rows.append((at, memory, self.process.num_fds(), self.process.num_threads()))
        except psutil.NoSuchProcess:
            pass

    def summary(self, bins: int = 12) -> dict[str, Any]:
        """Return the values of some moments, and what is left of a slope in the second half."""
        at, memory, files, threads = (np.array(column) for column in zip(*self.rows, strict=True))
        moments = np.unique(np.linspace(0, len(at) - 1, bins).round().astype(int))
        late = at >= (at[0] + at[-1]) / 2
        slope, error = slope_of(at[late] / 3600, memory[late])
        return {
            "name": self.name,
            "looks": len(at),
            "lived_seconds": float(at[-1] - at[0]),
            "memory_mib": {
                "first": float(memory[0]),
                "middle": float(statistics.median(memory[late])),
                "last": float(memory[-1]),
                "most": float(memory.max()),
                "slope_per_hour": slope,
                "two_standard_errors": error,
            },
            "files": {"first": int(files[0]), "last": int(files[-1]), "most": int(files.max())},
            "threads": {
                "first": int(threads[0]),
                "last": int(threads[-1]),
                "most": int(threads.max()),
            },
            "at_seconds": at[moments].round().tolist(),
            "at_mib": memory[moments].round(1).tolist(),
        }


def slope_of(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the slope of a fitted line, and two standard errors of it.

    Neighbouring values of memory depend on each other, so the values are averaged in twenty
    stretches first.
    """
    if len(x) < 3 or x[0] == x[-1]:
        return float("nan"), float("nan")
    groups = [part for part in np.array_split(np.arange(len(x)), 20) if len(part)]
    x, y = (np.array([values[part].mean() for part in groups]) for values in (x, y))
    if len(x) < 3:
        return float("nan"), float("nan")
    x = x - x.mean()
    slope = float((x * y).sum() / (x * x).sum())
    left = y - y.mean() - slope * x
    error = float(np.sqrt((left * left).sum() / (len(x) - 2) / (x * x).sum()))
    return slope, 2 * error


@contextmanager
def scheduler(workers: int) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the address of a scheduler and its process, whose children are the workers."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "cluster.py")
        script.write_text(SERVER, encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            [sys.executable, str(script), str(workers)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as made:
            assert made.stdin is not None and made.stdout is not None
            address = made.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"no scheduler started; exit code {made.wait()}")
            yield address, psutil.Process(made.pid)  # and then its input is closed


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """Return the workers below a scheduler, the oldest first."""
    found = []
    for child in process.children():
        try:
            line = " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            continue
        if "spawn_main" in line:
            found.append(child)
    return sorted(found, key=lambda child: child.create_time())


def bits(report: PatternReport, run: RunDescription) -> str:
    """Return a report as JSON, without what tells how it was made: the run, what was on disk."""
    sites = tuple(replace(site, spilled_bytes=0) for site in report.sites)
    notes = tuple(note for note in report.notes if " MB on disk" not in note)
    return to_json(replace(report, run=run, sites=sites, notes=notes))


def cases(folder: Path, inputs: int) -> list[Case]:
    """Return what is analysed again and again, with the report of one process each."""
    plain, converted = MODELS / "fashion_resnet8.onnx", folder / "psb.onnx"
    to_psb(load(plain)).model.save(converted)
    options = AnalysisOptions(batch_size=16, threads=1)
    spilling = replace(options, memory_limit_bytes=4 * MIB)
    return [
        Case(model, chosen, n, analyse(model, chosen, n))
        for model, chosen, n in (
            (plain, options, inputs),
            (converted, options, inputs // 2),
            (plain, spilling, inputs),
        )
    ]


def analyse(
    model: Path, options: AnalysisOptions, inputs: int, out: Path | None = None, **more: Any
) -> PatternReport:
    """Analyse by one process, or by those that `more` names."""
    data = MODELS / "fashion_mnist_test_2000.npz"
    return reluflow.analyze(model, data, out, limit=inputs, options=options, **more)


class Killer:
    """Kills the youngest worker in the middle of an analysis: the first one, then now and then."""

    def __init__(self, process: psutil.Process, every: float) -> None:
        self._process, self._every = process, every
        self._next = time.monotonic()
        self.kills = 0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take notice of progress."""
        workers = workers_of(self._process)
        if done and time.monotonic() >= self._next and len(workers) > 1:
            os.kill(workers[-1].pid, signal.SIGKILL)
            self.kills += 1
            self._next = time.monotonic() + self._every


def soak(
    seconds: float,
    *,
    workers: int,
    kill_every: float,
    inputs: int,
    parts: Sequence[int] = (1, 3, 8),
) -> dict[str, Any]:
    """Analyse for so long, at least each case once, and tell what was seen.

    Raises:
        AssertionError: a report differed.
    """
    with tempfile.TemporaryDirectory() as name, scheduler(workers) as (address, process):
        folder = Path(name)
        repeated = cases(folder, inputs)
        start = time.monotonic()
        end = start + seconds
        followed = {
            0: Followed("analysis", psutil.Process()),
            process.pid: Followed("scheduler", process),
        }
        killer = Killer(process, kill_every)
        rounds, with_kill, spilled = 0, 0, 0
        while rounds < len(repeated) or time.monotonic() < end:
            case = repeated[rounds % len(repeated)]
            before, out = killer.kills, folder / "out"
            report = analyse(
                case.model,
                case.options,
                case.inputs,
                out,
                cluster=address,
                parts=parts[rounds // len(repeated) % len(parts)],
                progress=killer,
            )
            run = case.want.run
            assert bits(report, run) == bits(case.want, run), f"analysis {rounds}: another report"
            spilled += sum(site.spilled_bytes for site in report.sites)
            shutil.rmtree(out)
            rounds += 1
            with_kill += killer.kills > before
            for worker in workers_of(process):
                followed.setdefault(worker.pid, Followed("worker", worker))
            for each in followed.values():
                each.look(time.monotonic() - start)
        return {
            "seconds": time.monotonic() - start,
            "analyses": rounds,
            "inputs_each": inputs,
            "workers_killed": killer.kills,
            "analyses_with_a_kill": with_kill,
            "spilled_mib": spilled / MIB,
            "left_in_folder": sorted(p.name for p in folder.iterdir() if p.name != "psb.onnx"),
            "processes": [each.summary() for each in followed.values() if each.rows],
        }


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=300.0, help="seconds")
    parser.add_argument("--inputs", type=int, default=256)


def main() -> None:
    given = arguments(__doc__.splitlines()[0], rounds=1, more=more)
    found = soak(
        given.seconds, workers=given.workers, kill_every=given.kill_every, inputs=given.inputs
    )
    print(f"{found['analyses']} analyses equal, {found['workers_killed']} workers killed")
    for each in found["processes"]:
        memory = each["memory_mib"]
        print(
            f"{each['name']:10} {each['lived_seconds']:7.0f} s  {memory['first']:6.0f} MiB first, "
            f"{memory['middle']:6.0f} late, {memory['most']:6.0f} most, "
            f"{memory['slope_per_hour']:+6.1f} +- {memory['two_standard_errors']:.1f} an hour; "
            f"files {each['files']}, threads {each['threads']}"
        )
    keep(given.json, found)


if __name__ == "__main__":
    main()
