"""A million runs of a session of the native library, and thousands of sessions: memory stays flat.

Three small networks take turns: one of PsbConv, one that computes in bytes, one that hashes its
patterns. Every so many runs the memory of the process and of its heap are read; of the last three
quarters the slope is told with two standard errors, and what it comes to over all runs. Then
sessions are opened, run and closed. Threads of the runs: 1, or --threads.

    PYTHONPATH=benchmarks python benchmarks/loads/many_runs.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
from _support import arguments, keep
from loads.soak import slope_of
from networks.loaded import NETS, as_bytes, feeds, held_bytes, session, wanted

LOOKS = 200
"""How often memory is read."""


def repeat(times: int, work: Callable[[int], None]) -> dict[str, Any]:
    """Do some work so often, and tell how memory grew by it."""
    process = psutil.Process()
    done, resident, held = [], [], []
    for number in range(times):
        work(number)
        if (number + 1) % max(1, times // LOOKS) == 0:
            done.append(number + 1)
            resident.append(process.memory_info().rss)
            held.append(held_bytes())
    found: dict[str, Any] = {"times": times}
    late = np.array(done) > times / 4
    for name, values in (("resident", resident), ("heap", held)):
        slope, error = slope_of(np.array(done)[late], np.array(values)[late])
        found[name] = {
            "first_bytes": values[0],
            "quarter_bytes": values[len(values) // 4],
            "last_bytes": values[-1],
            "bytes_a_time": slope,
            "two_standard_errors": error,
        }
    return found


def runs(times: int, threads: int) -> dict[str, Any]:
    """Run sessions in turn; every thousandth result is compared."""
    opened = [session(name, threads) for name in NETS]
    given = [[feeds(name, number) for number in range(3)] for name in NETS]

    def work(number: int) -> None:
        which, inputs = number % 3, number // 3 % 3
        outputs = opened[which].run(None, given[which][inputs])
        if number % 1000 == 0:
            assert as_bytes(outputs) == wanted(NETS[which], inputs)

    return repeat(times, work)


def sessions(times: int) -> dict[str, Any]:
    """Open sessions, run them and close them."""

    def work(number: int) -> None:
        name = NETS[number % 3]
        assert as_bytes(session(name, 1 + number % 2).run(None, feeds(name, 1))) == wanted(name, 1)

    return repeat(times, work)


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=1)


def main() -> None:
    given = arguments(__doc__.splitlines()[0], rounds=1, more=more)
    found = {"runs": runs(given.runs, given.threads), "sessions": sessions(given.sessions)}
    for name, each in found.items():
        for kind in ("resident", "heap"):
            memory = each[kind]
            print(
                f"{each['times']:9,} {name:9} {kind:9} {memory['quarter_bytes'] / 2**20:8.2f} MiB "
                f"after a quarter, {memory['last_bytes'] / 2**20:8.2f} at the end, "
                f"{memory['bytes_a_time']:+.3f} +- {memory['two_standard_errors']:.3f} bytes each"
            )
    keep(given.json, found)


if __name__ == "__main__":
    main()
