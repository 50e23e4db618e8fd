"""Throughput of hashing and counting, as ratios to a plain read of the same array.

Run: python benchmarks/hash_throughput.py [--json FILE] [--quick]

Every line interleaves the candidates, round by round, and takes medians, so that other load on the
machine affects all equally; the ratios matter, the GB/s depend on the load. GB/s are gigabytes of
pre-activations per second. "read" is a compiled sum over the array in as many threads. The thesis'
Algorithms 1 and 2 in torch are measured where torch is importable. The pre-activations are random,
so that every pattern of 64 units or more is distinct: the worst case for counting, which depends
on patterns, not bytes. Counting alone is timed in one and in two threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
from _support import keep

from reluflow.patterns import PatternCounts, fingerprint, global_keys, thesis_hash, unit_words

THREADS = 2
CACHE = "L3"
MEMORY = "DRAM"

LAYOUTS: list[tuple[str, tuple[int, ...], int, str]] = [
    (CACHE, (32, 64, 56, 56), 1, "float32"),
    (CACHE, (32, 512, 14, 14), 1, "float32"),
    (CACHE, (64, 2048, 7, 7), 1, "float32"),
    (CACHE, (1, 64, 224, 224), 1, "float32"),
    (CACHE, (32, 56, 56, 64), -1, "float32"),
    (CACHE, (12544, 512), 1, "float32"),
    (CACHE, (1568, 4096), 1, "float32"),
    (CACHE, (16, 64, 56, 56), 1, "float64"),
    (MEMORY, (512, 64, 56, 56), 1, "float32"),
    (MEMORY, (1024, 512, 14, 14), 1, "float32"),
    (MEMORY, (200704, 512), 1, "float32"),
]


@numba.njit(nogil=True, fastmath=True, cache=True)
def sum_of(x: Any) -> Any:
    total = x.dtype.type(0)
    for i in range(x.shape[0]):
        total += x[i]
    return total


def medians(candidates: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return seconds per call: the candidates take turns, each warmed up before it is timed."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        call()
    for _ in range(rounds):
        for name, call in candidates.items():
            call()
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def like_activations(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Return random numbers quickly: a block of normals and shifted copies of it."""
    rng = np.random.default_rng(0)
    block = rng.standard_normal(1_000_003, dtype=np.float32).astype(dtype)
    return np.resize(block, shape)


def measure_layout(
    where: str,
    shape: tuple[int, ...],
    unit_axis: int,
    dtype: str,
    rounds: int,
    pool: ThreadPoolExecutor,
) -> dict[str, Any]:
    x = like_activations(shape, dtype)
    halves = np.array_split(x.reshape(-1), THREADS)
    words = unit_words(shape[unit_axis])

    def hashed() -> Any:
        return fingerprint(x, unit_axis=unit_axis, words=words, threads=THREADS, pool=pool)

    def counted() -> None:
        counts = PatternCounts()
        counts.add(hashed().keys, 0)

    seconds = medians(
        {"read": lambda: list(pool.map(sum_of, halves)), "hash": hashed, "count": counted}, rounds
    )
    rate = {name: x.nbytes / 1e9 / s for name, s in seconds.items()}
    return {
        "where": where,
        "shape": list(shape),
        "unit_axis": unit_axis,
        "dtype": dtype,
        "megabytes": x.nbytes / 1e6,
        "read_gb_s": rate["read"],
        "hash_gb_s": rate["hash"],
        "hash_count_gb_s": rate["count"],
        "hash_to_read": rate["hash"] / rate["read"],
        "hash_count_to_read": rate["count"] / rate["read"],
    }


def torch_algorithm_2(x: np.ndarray[Any, Any]) -> Callable[[], Any]:
    """Return Algorithms 1 and 2 of the thesis in torch, on `(N, C, H, W)` pre-activations."""
    import torch

    torch.set_num_threads(THREADS)
    tensor = torch.from_numpy(x)
    powers = 1 << torch.arange(63, dtype=torch.int64)
    powers = torch.cat([powers, torch.tensor([-(2**63)])])

    def run() -> Any:
        bits = (tensor > 0).permute(0, 2, 3, 1).reshape(-1, tensor.shape[1])
        h = torch.full((len(bits),), 1610612741, dtype=torch.int64)
        for start in range(0, bits.shape[1], 64):
            part = bits[:, start : start + 64]
            word = (part * powers[: part.shape[1]]).sum(dim=1)
            h = (word * 402653189) ^ (h * 805306457)
        counts = torch.zeros(30000, dtype=torch.int32)
        counts.index_add_(0, h % 30000, torch.ones(1, dtype=torch.int32).expand(len(h)))
        return h, counts

    assert torch.equal(run()[0], torch.from_numpy(thesis_hash(x)))
    return run


def measure_thesis(rounds: int, pool: ThreadPoolExecutor) -> dict[str, Any] | None:
    x = like_activations((32, 64, 56, 56), "float32")
    try:
        in_torch = torch_algorithm_2(x)
    except ImportError:
        print("Algorithm 2 in torch: not measured, torch is missing (pip install torch).")
        return None
    words = unit_words(64)

    def ours() -> None:
        counts = PatternCounts()
        keys = fingerprint(x, words=words, threads=THREADS, pool=pool).keys
        counts.add(keys, 0)

    seconds = medians(
        {
            "torch": in_torch,
            "hash_count": ours,
            "thesis_hash": lambda: thesis_hash(x, threads=THREADS, pool=pool),
        },
        rounds,
    )
    rate = {f"{name}_gb_s": x.nbytes / 1e9 / s for name, s in seconds.items()}
    faster = seconds["torch"] / seconds["hash_count"]
    print(
        f"Algorithm 2 in torch {rate['torch_gb_s']:.2f} GB/s, hash + exact count "
        f"{rate['hash_count_gb_s']:.1f} GB/s: {faster:.0f} times as fast; "
        f"Algorithm 1 in numba {rate['thesis_hash_gb_s']:.1f} GB/s"
    )
    return rate | {"times_as_fast": faster}


def measure_counting(rounds: int, pool: ThreadPoolExecutor) -> dict[str, float]:
    """Return million keys per second: counting alone in one and in two threads, and sorting."""
    rng = np.random.default_rng(1)
    n = 1_000_000
    distinct = rng.integers(0, 2**64, (n, 2), dtype=np.uint64)
    cases = {
        "all_distinct": distinct,
        "100_patterns": distinct[rng.integers(0, 100, n)],
        "100000_patterns": distinct[rng.integers(0, 100_000, n)],
    }

    def count(keys: np.ndarray[Any, Any], threads: int) -> PatternCounts:
        counts = PatternCounts()
        for i in range(0, n, 100_000):
            counts.add(keys[i : i + 100_000], i, threads=threads, pool=pool)
        return counts

    full = count(distinct, 1)
    calls: dict[str, Callable[[], Any]] = {}
    for name, keys in cases.items():
        calls[name] = partial(count, keys, 1)
        calls[f"{name}_{THREADS}_threads"] = partial(count, keys, THREADS)
    calls["finish_all_distinct"] = full.finish
    calls["global_keys"] = lambda: global_keys([(0, distinct)], 1000)
    found = {name: n / 1e6 / s for name, s in medians(calls, rounds).items()}
    print("million keys per second, one thread unless said:")
    print({k: round(v, 1) for k, v in found.items()})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--quick", action="store_true", help="a third of the rounds")
    options = parser.parse_args()
    rounds = 5 if options.quick else 15
    layouts = []
    print(f"{'':4} {'shape':22}{'units':>6}{'read':>8}{'hash':>8}{'+count':>8}  GB/s   ratio")
    with ThreadPoolExecutor(THREADS) as pool:
        for where, shape, axis, dtype in LAYOUTS:
            row = measure_layout(where, shape, axis, dtype, rounds, pool)
            layouts.append(row)
            print(
                f"{where:4} {shape!s:22}{shape[axis]:6}{row['read_gb_s']:8.1f}"
                f"{row['hash_gb_s']:8.1f}{row['hash_count_gb_s']:8.1f}   hash/read "
                f"{row['hash_to_read']:.2f}, hash+count/read {row['hash_count_to_read']:.2f}"
                f"{'  ' + dtype if dtype != 'float32' else ''}",
                flush=True,
            )
        thesis = measure_thesis(max(3, rounds // 3), pool)
        counting = measure_counting(max(3, rounds // 3), pool)
    results = {"threads": THREADS, "layouts": layouts, "thesis": thesis}
    keep(options.json, results | {"million_keys_per_second": counting})


if __name__ == "__main__":
    main()
