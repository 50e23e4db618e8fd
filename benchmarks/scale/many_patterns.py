"""Ten million distinct patterns at one site: exact or estimated in bounded memory, beside Arrow's.

Synthetic fingerprints, each different, are counted in batches under a limit of memory; the peer,
Arrow's `group_by` (hash aggregation in C++ on all cores), holds all of them. Each way runs in a
process of its own, whose peak memory is told, less what it takes before any key comes. At last, the
errors of estimates beside their bounds: fingerprints drawn anew for each of 20 seeds, 1 % of them
one pattern.

    PYTHONPATH=benchmarks python benchmarks/scale/many_patterns.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _support import arguments, keep
from numpy.typing import NDArray

from reluflow.analysis import peak_memory_bytes
from reluflow.patterns import PatternCounts, SketchCounts

BATCH = 1 << 16
MIB = 1 << 20
_FREQUENT = 0.01
_KEY = (7, 11)


def drawn(n: int, seed: int) -> Iterator[NDArray[np.uint64]]:
    """Yield random keys, of which 1 % are one and the same."""
    rng = np.random.default_rng(seed)
    for start in range(0, n, BATCH):
        batch = rng.integers(0, 2**64, (min(BATCH, n - start), 2), np.uint64)
        batch[rng.random(len(batch)) < _FREQUENT] = _KEY
        yield batch


def errors(n: int, seed: int) -> dict[str, float]:
    """Return the errors of the estimates, as shares of their bounds."""
    counts, at, frequent = SketchCounts(), 0, 0
    for batch in drawn(n, seed):
        counts.add(batch, at)
        at += len(batch)
        frequent += int((batch == _KEY).all(axis=1).sum())
    found = counts.estimate()
    assert found is not None and found.keys.tolist() == [[*_KEY]]
    true = n - frequent + 1  # equal keys by chance: fewer than one in 10^24
    bound = (found.high - found.patterns) if true > found.patterns else found.patterns - found.low
    return {
        "seed": seed,
        "patterns_error": (found.patterns - true) / true,
        "of_patterns_bound": abs(found.patterns - true) / bound,
        "of_count_bound": (int(found.counts[0]) - frequent) / found.count_error,
    }


def keys(n: int) -> Iterator[NDArray[np.uint64]]:
    """Yield `(BATCH, 2)` keys, all different: a permutation of 64 bits beside a random word."""
    for start in range(0, n, BATCH):
        z = np.arange(start, min(start + BATCH, n), dtype=np.uint64)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        yield np.stack([z ^ (z >> np.uint64(27)), z], axis=1)


def exact(n: int, limit: int) -> int:
    """Count under a limit of memory, spilling to disk."""
    with tempfile.TemporaryDirectory() as folder:
        counts, at = PatternCounts(limit, Path(folder)), 0
        for batch in keys(n):
            counts.add(batch, at)
            at += len(batch)
        table = counts.finish()
        values, how_many = table.count_histogram()
        assert values.tolist() == [1] and how_many.tolist() == [n]
        return table.total


def arrow(n: int, limit: int) -> int:
    """Count all at once by Arrow's hash aggregation."""
    batches = [
        pa.record_batch({"a": b[:, 0], "b": b[:, 1]}) for b in map(np.asfortranarray, keys(n))
    ]
    found = pa.Table.from_batches(batches).group_by(["a", "b"]).aggregate([([], "count_all")])
    return int(found.num_rows)


def estimated(n: int, limit: int) -> int:
    """Count in memory of fixed size, whatever the limit; beyond 16,384 patterns estimate."""
    counts, at = SketchCounts(), 0
    for batch in keys(n):
        counts.add(batch, at)
        at += len(batch)
    found = counts.estimate()
    assert found is not None and found.low <= n <= found.high
    return found.patterns


WAYS: dict[str, Callable[[int, int], int]] = {
    "PatternCounts": exact,
    "SketchCounts": estimated,
    "Arrow": arrow,
}


def run(name: str, n: int, limit: int, pipe: Any) -> None:
    """Count in this process, and tell time and memory."""
    WAYS[name](BATCH, limit)  # compiles
    before, start = peak_memory_bytes(), time.perf_counter()
    found = WAYS[name](n, limit)
    pipe.send(
        (found, time.perf_counter() - start, peak_memory_bytes() - before, peak_memory_bytes())
    )


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patterns", type=int, default=10_000_000)
    parser.add_argument("--seeds", type=int, default=20, help="of the estimates' errors")
    parser.add_argument("--limit", type=int, default=256, help="of the table, in MiB")


def main() -> None:
    given = arguments(__doc__.splitlines()[0], rounds=3, more=more)
    rows: dict[str, list[tuple[int, float, int, int]]] = {name: [] for name in WAYS}
    context = multiprocessing.get_context("spawn")
    for _ in range(given.rounds):
        for name in WAYS:
            here, there = context.Pipe()
            args = (name, given.patterns, given.limit * MIB, there)
            process = context.Process(target=run, args=args)
            process.start()
            rows[name].append(here.recv())
            process.join()
    results = {}
    for name, each in rows.items():
        found, seconds, more_memory, peak = (statistics.median(c) for c in zip(*each, strict=True))
        results[name] = {
            "patterns": found,
            "seconds": seconds,
            "patterns_a_second": found / seconds,
            "memory_of_counting_mib": more_memory / MIB,
            "peak_memory_mib": peak / MIB,
        }
        print(
            f"{name:14} {found:11.0f} patterns  {seconds:6.2f} s  "
            f"{found / seconds / 1e6:5.2f} million a second  "
            f"{more_memory / MIB:6.0f} MiB more, {peak / MIB:6.0f} MiB at most"
        )
    ours, peer = results["PatternCounts"], results["Arrow"]
    print(
        f"time {ours['seconds'] / peer['seconds']:.2f}, "
        f"memory {ours['memory_of_counting_mib'] / peer['memory_of_counting_mib']:.2f} of Arrow's"
    )
    found = [errors(given.patterns, seed) for seed in range(given.seeds)]
    for key in ("patterns_error", "of_patterns_bound", "of_count_bound"):
        print(f"{key}: {max(abs(each[key]) for each in found):.4f} at most, {given.seeds} seeds")
    keep(given.json, {"limit_mib": given.limit, **results, "errors": found})


if __name__ == "__main__":
    main()
