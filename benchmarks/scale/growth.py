"""What an analysis costs as its inputs grow, and a divided one at a thousandth of 1e9 inputs.

A dense network of random weights and the trained ResNet-8 analyse augmented FashionMNIST (shifts,
flips, brightness) by 1e3 inputs and more, exactly and by estimates, each in a process of its own
with one thread: processor time, peak memory, patterns. Processor time is told, as it hardly depends
on what else the machine does. With --divide a million inputs are divided into 400 parts, four for
each of 100 workers, which two processes count and merge: processor time, and bytes written to the
disk that they share; with --divide-resnet so many inputs of ResNet-8, beside what the record of the
growth foretells.

    PYTHONPATH=benchmarks python benchmarks/scale/growth.py --json benchmarks/records/growth.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from _support import arguments, keep
from numpy.typing import NDArray
from onnx import numpy_helper, parser

import reluflow
from reluflow import AnalysisOptions
from reluflow.analysis import peak_memory_bytes

ROOT = Path(__file__).resolve().parents[2]
RESNET = ROOT / "models" / "fashion_resnet8.onnx"
IMAGES = ROOT / "models" / "fashion_mnist_test_2000.npz"
RECORD = ROOT / "benchmarks" / "records" / "growth.json"
PICTURE = ROOT / "docs" / "images" / "scale_growth.png"
SIDE, MOST_SHIFT, LEAST_GAIN, LEVELS = 28, 3, 0.6, 255
WIDTHS = (SIDE * SIDE, 64, 64, 10)
BLOCK = 10_000
MIB = 1 << 20
PARTS, WORKERS = 400, 2
MERGED = 8
"""Parts that one merge takes."""
RECORD_BYTES = 32
PAPER = 1_000_000_000


def augmented(n: int) -> Iterator[NDArray[np.uint8]]:
    """Yield `(BLOCK, 28, 28)` images, shifted, flipped and darkened at random."""
    rng = np.random.default_rng(0)
    with np.load(IMAGES) as archive:
        images = (archive["image"].reshape(-1, SIDE, SIDE) * LEVELS).round().astype(np.uint8)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        found = images[rng.integers(0, len(images), size)]
        found = np.where(rng.random((size, 1, 1)) < 1 / 2, found[:, :, ::-1], found)
        up, left = rng.integers(-MOST_SHIFT, MOST_SHIFT + 1, (2, size))
        rows, columns = ((np.arange(SIDE) + by[:, None]) % SIDE for by in (up, left))
        found = found[np.arange(size)[:, None, None], rows[:, :, None], columns[:, None, :]]
        yield (found * rng.uniform(LEAST_GAIN, 1, (size, 1, 1))).astype(np.uint8)


def write_idx(path: Path, n: int) -> None:
    """Write images as an idx file."""
    with path.open("wb") as file:
        file.write(bytes([0, 0, 8, 3]) + struct.pack(">3I", n, SIDE, SIDE))
        for images in augmented(n):
            file.write(images.tobytes())


def dense() -> onnx.ModelProto:
    """Return a network of dense layers with random weights."""
    rng = np.random.default_rng(0)
    weights, lines, name = [], [], "flat"
    for layer, (a, b) in enumerate(itertools.pairwise(WIDTHS)):
        values = rng.normal(0, (2 / a) ** 0.5, (a, b)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        lines.append(f"z{layer} = MatMul({name}, w{layer})")
        name = f"a{layer}"
        lines.append(f"{name} = Relu(z{layer})" if b != WIDTHS[-1] else "y = Identity(z2)")
    body = "\n".join(lines)
    proto = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        dense (float[N,1,{SIDE},{SIDE}] x) => (float[N,{WIDTHS[-1]}] y) {{
        flat = Flatten(x)
        {body} }}"""
    )
    proto.graph.initializer.extend(weights)
    return proto


def processor_seconds() -> float:
    """Return the processor time of this process and its children that ended."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in each)


def analyse(model: str, data: str, n: int, approximate: bool, divided: bool, pipe: Any) -> None:
    """Analyse in this process and tell what it took, less what a few inputs take."""
    options = AnalysisOptions(threads=1, batch_size=64, approximate=approximate)
    reluflow.analyze(model, data, limit=64, options=options)  # compiles
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        given: dict[str, Any] = {"limit": n, "options": options}
        written: dict[str, int] = {}

        def look(stage: str, done: int, total: int | None) -> None:
            for part in Path(folder, "out.partial").glob("inputs-*"):
                if part.name not in written:
                    written[part.name] = size(part)

        if divided:
            given |= {"workers": WORKERS, "parts": PARTS, "progress": look}
        before, start = processor_seconds(), time.perf_counter()
        report = reluflow.analyze(model, data, out if divided else None, **given)
        wall = time.perf_counter() - start
    pipe.send(
        {
            "inputs": n,
            "processor_seconds": (spent := processor_seconds() - before),
            "microseconds_per_input": spent / n * 1e6,
            "seconds": wall,
            "peak_mib": peak_memory_bytes() / MIB,
            "samples": sum(site.samples for site in report.sites),
            "patterns": sum(site.patterns for site in report.sites),
            "global_patterns": report.global_pattern.patterns,
            "spilled_mib": sum(site.spilled_bytes for site in report.sites) / MIB,
            "written_mib": sum(written.values()) / MIB,
            "parts": len(written),
        }
    )


def size(folder: Path) -> int:
    """Return the bytes of the files below a folder, as far as they are still there."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return found


def tables_at(rows: list[dict[str, Any]], n: float) -> float:
    """Return the bytes of all tables of n inputs, by a power law through the two nearest rows."""
    x = np.log([row["inputs"] for row in rows])
    y = np.log([row["patterns"] + row["global_patterns"] for row in rows])
    at = int(np.clip(np.searchsorted(x, np.log(n)), 1, len(x) - 1))
    slope = (y[at] - y[at - 1]) / (x[at] - x[at - 1])
    return RECORD_BYTES * float(np.exp(y[at] + slope * (np.log(n) - x[at])))


def foretold(rows: list[dict[str, Any]], n: int, parts: int) -> dict[str, float]:
    """Return what a divided exact analysis takes, from what smaller whole ones took."""
    sizes, written = [n / parts] * parts, 0.0
    while True:
        written += sum(tables_at(rows, size) for size in sizes)
        if len(sizes) == 1:
            break
        sizes = [sum(sizes[start : start + MERGED]) for start in range(0, len(sizes), MERGED)]
    return {
        "inputs": n,
        "processor_seconds": n * rows[-1]["microseconds_per_input"] / 1e6,
        "table_mib": tables_at(rows, n) / MIB,
        "written_mib": written / MIB,
    }


def draw(results: dict[str, list[dict[str, Any]]]) -> None:
    """Draw time, memory and patterns against the number of inputs."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = {
        "microseconds_per_input": "processor time, \N{MICRO SIGN}s per input",
        "peak_mib": "memory of the process, MiB",
        "patterns": "distinct patterns",
    }
    figure, panels = plt.subplots(1, len(shown), figsize=(11, 3.4))
    for axes, (key, title) in zip(panels, shown.items(), strict=True):
        for name, rows in results.items():
            if not name.startswith("divided"):
                style = "o-" if name.endswith("exact") else "s--"
                color = "#0072b2" if name.startswith("dense") else "#d55e00"
                inputs = [row["inputs"] for row in rows]
                axes.plot(inputs, [row[key] for row in rows], style, ms=4, color=color, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log" if key != "peak_mib" else "linear")
        axes.set_xlabel("inputs")
        axes.set_title(title, fontsize=10, loc="left")
        axes.grid(alpha=0.3)
    panels[1].set_ylim(bottom=0)
    panels[2].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--most", type=int, default=1_000_000, help="inputs of the dense network")
    parser.add_argument("--divide", action="store_true", help="the million into 400 parts too")
    parser.add_argument("--most-resnet", type=int, default=10_000)
    parser.add_argument(
        "--divide-resnet", type=int, metavar="INPUTS", help="only ResNet-8, divided, foretold"
    )


def main() -> None:
    given = arguments(__doc__.splitlines()[0], rounds=1, more=more)
    context = multiprocessing.get_context("spawn")
    results: dict[str, list[dict[str, Any]]] = {}

    def run(name: str, *args: Any) -> None:
        here, there = context.Pipe()
        process = context.Process(target=analyse, args=(*args, there))
        process.start()
        results.setdefault(name, []).append(here.recv())
        process.join()
        print(name, json.dumps(results[name][-1]), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        data, model = Path(folder, "images.idx"), Path(folder, "dense.onnx")
        if given.divide_resnet:
            rows = json.loads(RECORD.read_text("utf-8"))["results"]["ResNet-8, exact"]
            write_idx(data, given.divide_resnet)
            run("measured", str(RESNET), str(data), given.divide_resnet, False, True)
            told = foretold(rows, given.divide_resnet, PARTS)
            print(json.dumps(told), flush=True)
            keep(given.json, {**results, "foretold": told})
            return
        write_idx(data, given.most)
        onnx.save(dense(), model)
        steps = [10**power for power in range(3, len(str(given.most)))]
        for way in ("exact", "estimated"):
            for n in steps:
                run(f"dense, {way}", str(model), str(data), n, way == "estimated", False)
            for n in (step for step in steps if step <= given.most_resnet):
                run(f"ResNet-8, {way}", str(RESNET), str(data), n, way == "estimated", False)
        for way in ("exact", "estimated") if given.divide else ():
            run(f"divided, {way}", str(model), str(data), given.most, way == "estimated", True)
    paper = {
        "the dense network": foretold(results["dense, exact"], given.most, PARTS),
        "ResNet-8": foretold(results["ResNet-8, exact"], PAPER, PARTS),
    }
    print(json.dumps(paper, indent=1))
    draw(results)
    keep(given.json, {**results, "foretold": paper})


if __name__ == "__main__":
    main()
