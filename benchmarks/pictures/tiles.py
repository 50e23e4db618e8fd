"""A panorama in tiles against the whole run: peak memory, time, and whether all bits are equal.

    PYTHONPATH=benchmarks python benchmarks/pictures/tiles.py --json benchmarks/records/tiles.json

CRAFT, a text detector, on a panorama of 1024 x 4096 pixels put together from pages of text, in
floating point and as a chain of int16. Each run is a process of its own, whose peak memory the
system counts; that of a process which loads model and panorama and runs nothing comes off. Times
are of the runs alone. `--page` puts the table into docs/attention.md; with `--only-page` nothing is
measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _support import fill_page, keep
from networks.real import FOLDER, find_network
from real import pages
from real.tasks import TASKS

from reluflow.data import open_data
from reluflow.evaluation import convert_to_chains16
from reluflow.graph import load, plan_psb

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "records" / "tiles.json"
MARK = "tiles"
PAGE = ROOT / "docs" / "attention.md"
HEIGHT, WIDTH = 1024, 4096
SAMPLES = 16
LIMITS_MIB = {"int16": (None, 1024, 512), "float": (None, 2048)}
"""Memory limits of each form; None: the whole picture at once."""
PIECE = (256, 384)
"""Height and width of a page."""
SCRIPT = """
import json, sys, time
import numpy as np
from reluflow.analysis import peak_memory_bytes
from reluflow.attention import TileOptions, open_pass, run_tiles
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.graph import load
file, picture, out, samples, threads, limit = json.loads(sys.argv[1])
model, x = load(file), np.load(picture, mmap_mode="r")
open_pass(model, samples, threads=threads)
found = {"peak_bytes": peak_memory_bytes()}
if limit == "nothing":
    np.ascontiguousarray(x)
    found["peak_bytes"] = peak_memory_bytes()
elif limit is None:
    one = open_pass(model, samples, threads=threads, arena=False)
    ((session, extra),) = one.draws
    start = time.perf_counter()
    maps = run_arrays(session, {"image": np.ascontiguousarray(x), **extra})["maps"]
    found |= {"seconds": time.perf_counter() - start, "n_tiles": 1, "overhead": 1.0}
    found |= {"crop": list(x.shape[2:]), "peak_bytes": peak_memory_bytes()}
    np.save(out, maps)
else:
    options = TileOptions(limit * 2**20, samples=samples, threads=threads)
    start = time.perf_counter()
    run = run_tiles(model, {"image": x}, out, options=options)
    found |= {"planned_seconds": time.perf_counter() - start - run.seconds}
    found |= {"seconds": run.seconds, "n_tiles": run.n_tiles, "overhead": run.overhead}
    found |= {"estimated_bytes": run.estimated_bytes, "crop": list(run.crop)}
    found["peak_bytes"] = peak_memory_bytes()
print(json.dumps(found))
"""


def panorama(height: int, width: int) -> np.ndarray:
    """Return a wide picture put together from pages, as CRAFT takes it."""
    rows, columns = -(-height // PIECE[0]), -(-width // PIECE[1])
    found = pages.pages(pages.TEST, rows * columns, *PIECE)
    lines = [np.concatenate(found[i * columns : (i + 1) * columns], axis=1) for i in range(rows)]
    picture = np.concatenate(lines)[:height, :width]
    mean = np.array([123.675, 116.28, 103.53], np.float32)
    deviation = np.array([58.395, 57.12, 57.375], np.float32)
    scaled = (picture - mean) / deviation
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)


def forms(folder: Path, scratch: Path) -> dict[str, tuple[Path, int | None]]:
    """Return the files that run and their samples."""
    file = find_network("craft", folder)
    model = load(file)
    calibration = np.asarray(TASKS["craft"].inputs(True, TASKS["craft"].n_calibration))
    source = open_data({model.inputs[0].name: calibration}, model.inputs)
    convert_to_chains16(plan_psb(model), source).rewritten.model.save(scratch / "int16.onnx")
    return {"int16": (scratch / "int16.onnx", SAMPLES), "float": (file, None)}


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one run after another."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        np.save(scratch / "picture.npy", panorama(options.height, options.width))
        for form, (file, samples) in forms(options.models, scratch).items():
            if form not in options.only:
                continue
            given = [str(file), str(scratch / "picture.npy")]
            chosen = (samples, options.threads)
            idle = _run([*given, "", *chosen, "nothing"])["peak_bytes"]
            whole = 0.0
            for limit in LIMITS_MIB[form]:
                out = scratch / f"{form}-{limit}.npy"
                row = _run([*given, str(out), *chosen, limit])
                whole = whole or row["seconds"]
                first = np.load(scratch / f"{form}-None.npy", mmap_mode="r")
                maps = np.load(out, mmap_mode="r")
                yield {
                    "form": form,
                    "picture": [options.height, options.width],
                    "limit_mib": limit,
                    **row,
                    "times_whole": row["seconds"] / whole,
                    "run_bytes": row["peak_bytes"] - idle,
                    "equal": bool(np.array_equal(maps, first)),
                    "share_equal": float((maps == first).mean()),
                    "largest_difference": float(np.abs(maps - first).max()),
                    "largest_value": float(np.abs(first).max()),
                }


def _run(given: list[Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(given)],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


def table(results: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    titles = ("form", "tiles", "crop", "pixels computed", "peak, MiB", "time")
    lines = [f"| {' | '.join((*titles, 'equal'))} |", "|---" * (len(titles) + 1) + "|"]
    for row in results:
        equal = "every bit" if row["equal"] else f"within {row['largest_difference']:.1e}"
        cells = (
            row["form"],
            str(row["n_tiles"]),
            f"`{row['crop'][0]} x {row['crop'][1]}`",
            f"{row['overhead']:.2f}",
            f"{row['run_bytes'] / 2**20:.0f}",
            f"{row['times_whole']:.2f}",
            "" if row["limit_mib"] is None else equal,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or remake the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of NAME.onnx")
    parser.add_argument("--only", nargs="+", default=[*LIMITS_MIB], choices=[*LIMITS_MIB])
    parser.add_argument("--height", type=int, default=HEIGHT, help="of the panorama")
    parser.add_argument("--width", type=int, default=WIDTH, help="of the panorama")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="remake docs/attention.md")
    parser.add_argument("--only-page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.only_page:
        results = []
        for row in rows(options):
            results.append(row)
            print(json.dumps(row), flush=True)
            keep(options.json, results)
    if options.page or options.only_page:
        fill_page(PAGE, MARK, RECORD, table)


if __name__ == "__main__":
    main()
