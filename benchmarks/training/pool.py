"""Many runs over many processes, each kept in a file of its own as soon as it is done."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch  # a benchmark of the torch bridge
from _support.record import command, fill_page, write
from training.data import pack

from reluflow.files import appearing

PAGE = Path(__file__).parents[2] / "docs" / "temperature.md"
DIGITS = 5
"""Significant digits of a packed record."""
Record = dict[str, Any]


class Named(Protocol):
    """A run: its name is that of its file."""

    @property
    def name(self) -> str:
        """Has no other run."""


@dataclass(frozen=True)
class Job:
    """One run for a worker process.

    Attributes:
        run: what is done.
        work: does it and returns the record.
        folder: where `NAME.json` goes.
        until: time after which it is not begun, seconds as of `time.time`; infinite for never.
    """

    run: Any
    work: Callable[[Any], Record]
    folder: Path
    until: float


def add_options(parser: argparse.ArgumentParser, out: str, data: Sequence[str]) -> None:
    """Adds the options that all of these benchmarks have."""
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of the runs' files")
    parser.add_argument("--resume", action="store_true", help="skip the runs that are there")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument("--minutes", type=float, help="begin no run after so many")
    parser.add_argument("--longest-first", action="store_true", help="else the cheapest first")
    parser.add_argument("--list", action="store_true", help="print the runs and do nothing")
    parser.add_argument("--data-file", type=Path, help="read the data from what --pack-data wrote")
    parser.add_argument("--pack-data", type=Path, help=f"write {', '.join(data)} here, and stop")
    parser.add_argument("--pack", type=Path, help="gather the runs of --out here, one per line")
    parser.add_argument("--summary", action="store_true", help="sum up, train nothing")
    parser.add_argument("--json", type=Path, help="keep the summary in this file")
    parser.add_argument("--page", action="store_true", help=f"fill a table of {PAGE.name} from it")


def perform(
    runs: Sequence[Named],
    work: Callable[[Any], Record],
    given: argparse.Namespace,
    cost: Callable[[Any], float],
) -> None:
    """Makes the runs that are not there yet, as the options of `add_options` ask for."""
    runs = sorted(runs, key=cost, reverse=given.longest_first)
    left = [run for run in runs if not (given.out / f"{run.name}.json").exists()]
    if given.list:
        print("\n".join(run.name for run in left))
        return
    if len(left) < len(runs) and not given.resume:
        raise SystemExit(
            f"{given.out} has {len(runs) - len(left)} of the {len(runs)} runs already; give "
            "--resume to keep them, or another --out."
        )
    if left and given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device here; leave out --device cuda.")
    given.out.mkdir(parents=True, exist_ok=True)
    until = time.time() + 60 * given.minutes if given.minutes is not None else float("inf")
    jobs = [Job(run, work, given.out, until) for run in left]
    for number, line in enumerate(_done(jobs, given.workers), 1):
        print(f"{number}/{len(jobs)} {line}", flush=True)


def _done(jobs: Sequence[Job], workers: int) -> Iterator[str]:
    if workers <= 1:
        _one_thread()
        yield from map(_do, jobs)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _one_thread) as pool:
        for future in as_completed([pool.submit(_do, job) for job in jobs]):
            yield future.result()


def _one_thread() -> None:
    torch.set_num_threads(1)


def _do(job: Job) -> str:
    name, path = job.run.name, job.folder / f"{job.run.name}.json"
    if path.exists():
        return f"{name} is there"
    if time.time() > job.until:
        return f"{name} left out, no time"
    record = job.work(job.run)
    with appearing(path) as partial:
        partial.write_text(json.dumps(record) + "\n", "utf-8")
    return f"{name} {record['seconds']:.1f} s, {record['end']}"


def read(place: Path) -> list[Record]:
    """Returns the records of a folder, or those of a packed file."""
    if place.is_dir():
        return [json.loads(path.read_text("utf-8")) for path in sorted(place.glob("*.json"))]
    return [json.loads(line) for line in place.read_text("utf-8").splitlines()]


def gather(folder: Path, file: Path) -> None:
    """Writes the records of a folder into one file, one per line, rounded."""
    lines = [json.dumps(_rounded(record)) for record in read(folder)]
    with appearing(file) as partial:
        partial.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def keep(
    given: argparse.Namespace,
    records: Sequence[Record],
    results: Any,
    mark: str,
    table: Callable[[Any], str],
) -> None:
    """Keeps a summary with its command and where its runs were made, as the options ask for.

    Args:
        given: the options.
        records: of the runs that are summed up.
        results: the summary, ready for JSON.
        mark: of the table on the page.
        table: gives the table of a summary that was read back.
    """
    if given.json is None:
        return
    made = Counter(record["machine"] for record in records)
    machines = "; ".join(f"{name} ({count} runs)" for name, count in made.most_common())
    write(given.json, {"command": command(), "machine": machines, "results": _rounded(results)})
    if given.page:
        fill_page(PAGE, mark, given.json, table)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return value


def packed_data(given: argparse.Namespace, names: Sequence[str]) -> bool:
    """Writes the data file where that is asked for, and tells whether it was."""
    if given.pack_data is None:
        return False
    pack(names, given.pack_data)
    return True
