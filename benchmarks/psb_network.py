"""Whole networks: float, shift-adds and ONNX Runtime's fast static int8.

ResNet-18, ResNet-50 and MobileNetV2 have random weights; EfficientNet-Lite0 is a trained one, left
out where `python benchmarks/networks/real.py` has not fetched it.

All are run in turn, image by image, at batch 1: the float model, the converted one with 4 samples
that keeps its seed, the same with a new seed each time, and static int8 in QDQ form (unsigned
activations; signed weights, a scale per channel or per tensor). Converted without data, where every
node takes the scale of its input from the run, with calibrated scales, and with chains, whose
operators pass integers to each other: bytes (`--x-bits 8`) or int16 of 12 bits (`--calibrate`).
Prints medians and fastest runs, and the ratios of the float model's time to each: above 1 is faster
than float. Each session's threads stop waiting for work when its run ends: otherwise they would
take a core from the sessions that run next.

With --nodes it lists the single nodes that are slower than the float model's instead, of these and
other networks (see networks/slow_nodes.py).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _support import keep
from networks import slow_nodes
from networks.psb import open_native
from networks.random_weights import NETWORKS, images, network
from onnx import ModelProto

from reluflow.data import open_data
from reluflow.evaluation import calibrate, find_formats
from reluflow.evaluation.calibrate import exponents
from reluflow.evaluation.formats.largest import largest_activations
from reluflow.graph import (
    Model,
    PsbOptions,
    chain_psb,
    chain_psb16,
    fold_batchnorm,
    load,
    psb_inputs,
    to_psb,
)
from reluflow.sessions import static_int8

SAMPLES = 4
CALIBRATION = 8
X_BITS = 12
"""Bits of the numbers in chains of 16 bits, the default of `psb convert`."""


def runners(proto: ModelProto, threads: int, redraw: bool) -> dict[str, Callable[[int], object]]:
    """Return what is timed, by name; each takes the number of the round."""
    model = load(proto)
    feeds = images(proto, 0)
    data = [images(proto, seed) for seed in range(1, CALIBRATION + 1)]
    (name,) = feeds
    source = open_data({name: np.concatenate([each[name] for each in data])}, model.inputs)
    scales = calibrate(model, source, size=1)
    found: dict[str, Callable[[int], object]] = {
        "float": _runner(model, threads, lambda _: feeds),
    }
    folded = fold_batchnorm(model).model
    for label, per_channel in (("int8 per channel", True), ("int8 per tensor", False)):
        quantised = static_int8(folded, data, per_channel=per_channel)
        found[label] = _runner(quantised, threads, lambda _: feeds)
    calibrated = to_psb(model, PsbOptions(x_exponents=scales)).model
    chained = chain_psb(calibrated, find_formats(calibrated, source, size=1)).model
    largest = largest_activations(calibrated, source, size=1)
    wide = chain_psb16(calibrated, exponents(largest, X_BITS)).model
    for label, converted in (
        ("psb", to_psb(model, PsbOptions()).model),
        ("psb calibrated", calibrated),
        ("psb chained 16", wide),
        ("psb chained", chained),
    ):
        drawn = partial(_drawn, feeds, psb_inputs(converted))
        found[label] = _runner(converted, threads, partial(drawn, False))
        if redraw:
            found[f"{label}, redrawn"] = _runner(converted, threads, partial(drawn, True))
    return found


def _drawn(
    feeds: dict[str, np.ndarray], names: tuple[str, str], redraw: bool, run: int
) -> dict[str, np.ndarray]:
    """Return the feeds with samples and a seed: a new one per run, or always the same."""
    numbers = (np.array(SAMPLES, np.int64), np.array(run + 2 if redraw else 1, np.int64))
    return feeds | dict(zip(names, numbers, strict=True))


def _runner(
    model: Model, threads: int, feeds: Callable[[int], dict[str, np.ndarray]]
) -> Callable[[int], object]:
    session = open_native(model.serialize(), threads)
    return lambda i: session.run(None, feeds(i))


def measure(
    name: str, proto: ModelProto, threads: int, rounds: int, redraw: bool
) -> dict[str, Any]:
    """Time all runners of one network in turn."""
    timed = runners(proto, threads, redraw)
    times: dict[str, list[float]] = {label: [] for label in timed}
    for i in range(rounds + 2):
        for label, run in timed.items():
            if not label.endswith("redrawn"):
                run(i)  # leaves caches and the pool's threads as in a busy host
            start = time.perf_counter()
            run(i)
            times[label].append(time.perf_counter() - start)
    kept = {label: values[2:] for label, values in times.items()}
    base = kept["float"]
    results = {
        label: {
            "median_ms": 1e3 * statistics.median(values),
            "fastest_ms": 1e3 * min(values),
            "ratio": statistics.median(a / b for a, b in zip(base, values, strict=True)),
            "fastest_ratio": min(base) / min(values),
        }
        for label, values in kept.items()
    }
    return {"network": name, "threads": threads, "samples": SAMPLES, "times": results}


def main() -> None:
    """Print one table per network and number of threads."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--only", nargs="+", choices=sorted({*NETWORKS, *slow_nodes.NAMES}))
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--no-redraw", action="store_true", help="leave fresh seeds out")
    parser.add_argument("--nodes", action="store_true", help="list nodes slower than float's")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    options = parser.parse_args()
    if options.nodes:
        names = options.only or slow_nodes.NAMES
        keep(options.json, slow_nodes.results(names, options.threads, options.rounds))
        return
    results = []
    for name in options.only or NETWORKS:
        proto = network(name)
        if proto is None:
            continue
        for threads in options.threads:
            result = measure(name, proto, threads, options.rounds, not options.no_redraw)
            results.append(result)
            print(f"{name}, batch 1, {threads} threads, {SAMPLES} samples")
            for label, row in result["times"].items():
                print(
                    f"  {label:24} median {row['median_ms']:7.2f} ms, "
                    f"fastest {row['fastest_ms']:7.2f} ms; float / this "
                    f"{row['ratio']:5.2f}, of the fastest runs {row['fastest_ratio']:5.2f}",
                    flush=True,
                )
            times = result["times"]
            chain = times["psb chained"]["ratio"]
            best = max(row["ratio"] for label, row in times.items() if label.startswith("int8"))
            print(f"  chained / best int8: {chain / best:5.2f}", flush=True)
    keep(options.json, results)


if __name__ == "__main__":
    main()
