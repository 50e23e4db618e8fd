"""Exact cells of random networks on [-1, 1]^2: seconds and memory beside regioncam's.

Each measurement is a process of its own, and each round runs all, one after the other. Networks
have weights and biases drawn evenly from +-1/sqrt(fan in). regioncam keeps its cells in memory;
ours are kept too (`exact_cells`: polygons, maps and fingerprints), then only streamed
(`stream_cells`) and only counted. Seconds are of the processor, all threads together, beside those
of the clock: on a shared machine the first can be compared. The shipped ResNet-8 follows on a plane
through three images, which regioncam cannot read; then wider and wider layers, only streamed, whose
memory should not grow; and a grid of 500 x 500 pixels of F1 (five layers of 512), its five sites
hashed and numbered, beside the bare run of its ONNX file in ONNX Runtime on the same points.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from _support import arguments, keep
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from reluflow.cells import (
    count_cells,
    exact_cells,
    plane_of_inputs,
    plane_through,
    raster_cells,
    stream_cells,
)
from reluflow.graph import Model, load
from reluflow.sessions.session import open_session

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {"2, 256 x 3, 1": (2, 256, 256, 256, 1), "2, 1000, 1": (2, 1000, 1)}
WAYS = ("regioncam", "kept", "streamed", "counted")
IMAGES = "ResNet-8, three images"
WARM = (2, 8, 8, 1)
WIDER = {f"2, {n}, 1": (2, n, 1) for n in (500, 1000, 2000, 4000)}
F1, F1_WIDTHS, SIDE = "F1, 500 x 500 pixels", (784, 512, 512, 512, 512, 512, 10), 500
GRID_WAYS = ("bare run", "raster")
Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


PLANES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(NETWORKS, WAYS),
    IMAGES: WAYS[1:],
    **dict.fromkeys([name for name in WIDER if name not in NETWORKS], WAYS[2:3]),
    F1: GRID_WAYS,
}
"""What is measured, and in which ways; ratios are to the first."""


def layers(widths: Sequence[int], seed: int = 0) -> Layers:
    """Return weights `(in, out)` and biases."""
    draw = np.random.default_rng(seed)
    return [
        (
            draw.uniform(-1, 1, (a, b)).astype(np.float32) / np.float32(np.sqrt(a)),
            draw.uniform(-1, 1, b).astype(np.float32) / np.float32(np.sqrt(a)),
        )
        for a, b in pairwise(widths)
    ]


def model_of(made: Layers) -> Model:
    """Return the network as ONNX."""
    nodes, constants, value = [], [], "x"
    for i, (w, b) in enumerate(made):
        constants += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"z{i}"]))
        value = f"z{i}"
        if i < len(made) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"a{i}"], name=f"r{i}"))
            value = f"a{i}"
    x = helper.make_tensor_value_info("x", 1, ["N", len(made[0][0])])
    y = helper.make_tensor_value_info(value, 1, ["N", made[-1][0].shape[1]])
    opset = [helper.make_opsetid("", 17)]
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    return load(helper.make_model(graph, opset_imports=opset, ir_version=8))


def peer(widths: Sequence[int]) -> int:
    """Return the number of regioncam's cells."""
    import regioncam

    found = regioncam.Regioncam(size=1)
    made = layers(widths)
    for i, (w, b) in enumerate(made):
        found.linear(w, b)
        if i < len(made) - 1:
            found.relu()
    return int(found.num_faces)


def ours(way: str, widths: Sequence[int], threads: int) -> int:
    """Return the number of our cells."""
    model, plane = model_of(layers(widths)), plane_of_inputs((-1, 1, -1, 1))
    return cells_of(way, model, plane, threads)


def cells_of(way: str, model: Model, plane: Any, threads: int) -> int:
    """Find the cells of a plane in one of the ways."""
    if way == "kept":
        return len(exact_cells(model, plane, threads=threads))
    if way == "streamed":
        return sum(len(part) for part in stream_cells(model, plane, threads=threads))
    return count_cells(model, plane, threads=threads).cells


def images(way: str, threads: int) -> int:
    """Find the cells of the shipped ResNet-8 around the middle of three images."""
    three = np.load(ROOT / "models" / "fashion_mnist_test_2000.npz")["image"][:3]
    third, half = 1 / 3, 0.005
    window = (third - half, third + half, third - half, third + half)
    model = load(ROOT / "models" / "fashion_resnet8.onnx")
    return cells_of(way, model, plane_through(three, window), threads)


def grid(way: str, threads: int, side: int = SIDE) -> int:
    """Return the number of patterns of F1's sites together on a grid, or run it alone."""
    three = np.load(ROOT / "models" / "fashion_mnist_test_2000.npz")["image"][:3]
    plane = plane_through(three.reshape(3, -1), (-5, 5, -5, 5))
    model = model_of(layers(F1_WIDTHS))
    if way == "raster":
        found = raster_cells(model, plane, width=side, height=side, threads=threads)
        return found.together.patterns
    session = open_session(model, threads=threads)
    points = plane.grid(side, side)
    for part in np.array_split(points, max(len(points) // 1024, 1)):
        session.run({"x": plane.at(part).astype(np.float32)})
    return 0


def run_one(way: str, name: str, threads: int) -> None:
    """Measure one way in this process, compiled code loaded before, and print the numbers."""
    call: Callable[[], int]
    if name == F1:
        grid("raster", threads, 8)
        call = lambda: grid(way, threads)  # noqa: E731
    elif way == "regioncam":
        peer(WARM)
        call = lambda: peer(NETWORKS[name])  # noqa: E731
    elif name == IMAGES:
        ours(way, WARM, threads)
        call = lambda: images(way, threads)  # noqa: E731
    else:
        ours(way, WARM, threads)
        call = lambda: ours(way, (NETWORKS | WIDER)[name], threads)  # noqa: E731
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, processor = time.perf_counter(), time.process_time()
    cells = call()
    row = {
        "cells": cells,
        "seconds": time.perf_counter() - clock,
        "processor_seconds": time.process_time() - processor,
        "more_bytes": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before),
    }
    print(json.dumps(row))


def measured(way: str, name: str, threads: int) -> dict[str, float]:
    """Measure one way in a process of its own."""
    command = [sys.executable, __file__, "--one", way, name, "--threads", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return row


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)


def main() -> None:
    options = arguments(str(__doc__).splitlines()[0], 3, more)
    if options.one:
        way, name = options.one
        run_one(way, name, options.threads)
        return
    results: dict[str, Any] = {"threads": options.threads, "rounds": options.rounds, "networks": {}}
    for name, ways in PLANES.items():
        rows: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way in ways:
                rows[way].append(measured(way, name, options.threads))
        medians = {
            way: {key: statistics.median(row[key] for row in own) for key in own[0]}
            for way, own in rows.items()
        }
        base = next(iter(medians.values()))
        for row in medians.values():
            row["times_as_fast"] = base["processor_seconds"] / row["processor_seconds"]
            row["times_as_small"] = base["more_bytes"] / max(row["more_bytes"], 1)
        results["networks"][name] = medians
        for way, row in medians.items():
            print(
                f"{name}, {way}: {row['cells']:.0f} cells, {row['seconds']:.2f} s, "
                f"{row['processor_seconds']:.2f} s of the processor "
                f"({row['times_as_fast']:.1f} x), "
                f"{row['more_bytes'] / 2**20:.0f} MiB "
                f"({row['times_as_small']:.1f} x)",
                flush=True,
            )
        keep(options.json, results)


if __name__ == "__main__":
    main()
