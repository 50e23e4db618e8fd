"""What each step of tuning brings on trained networks, alone and together.

    python benchmarks/tuning.py --json benchmarks/records/tuning.json

tunes each network of `benchmarks/real` on its calibration inputs, converts it with activations of
16 bits, and compares it with the float network on test inputs: other pictures, sounds and files.
Files come from `--models`, or from the packages where they are installed. `--quick` takes a fifth
of the test inputs. A network is kept in the record as soon as it is done.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _support import keep
from networks.real import FOLDER, find_network
from real.measure import Effort, measure_network
from real.tasks import TASKS
from real.variants import Given, Variant

from reluflow.evaluation import options_of, tune
from reluflow.graph import Model, PsbOptions, to_psb

STEPS = {
    "nearest codes": "",
    "equalise": "equalise",
    "bias": "bias",
    "feedback": "feedback",
    "feedback, bias": "feedback,bias",
    "follow, bias": "follow,bias",
    "usual": "usual",
    "equalise, usual": "equalise,usual",
}
"""Title of a form -> steps of tuning."""
SAMPLES = (0, 4, 16)


def form(steps: str, p_bits: int) -> Callable[[Given], Model]:
    """Return what tunes by some steps, then converts."""
    options = PsbOptions(p_bits=p_bits, x_bits=16)

    def build(given: Given) -> Model:
        if not steps:
            return to_psb(given.model, options).model
        tuned = tune(given.model, given.source, options_of(steps.split(","), p_bits))
        return to_psb(tuned.model, options).model

    return build


def variants(p_bits: list[int], forms: list[str]) -> dict[str, Variant]:
    """Return the forms for all bits; n samples draw a code of up to log2 n bits exactly."""
    return {
        f"{title}, {bits} bits": Variant(f"{title}, {bits} bits", "psb", form(steps, bits), SAMPLES)
        for bits in p_bits
        for title, steps in STEPS.items()
        if title in forms
    }


def table(networks: dict[str, Any]) -> str:
    """Return the first measure and the SQNR of each form as a Markdown table."""
    lines = []
    for row in networks.values():
        lines += [f"| {row['title']}: {row['what']}, % (SQNR, dB) | nearest | n = 4 | n = 16 |"]
        lines += ["|---|---|---|---|"]
        for each in row["variants"].values():
            lines.append(f"| {each['title']} | {' | '.join(cells(row, each))} |")
        lines.append("")
    return "\n".join(lines)


def cells(row: dict[str, Any], each: dict[str, Any]) -> list[str]:
    """Return one text per number of samples."""
    if "failed" in each:
        return [each["failed"]]
    found = []
    for point in each["points"]:
        first, noise = (point["measures"][name]["mean"] for name in (row["measures"][0], "sqnr_db"))
        decibels = "exact" if noise is None else f"{noise:.1f}"
        found.append(f"{100 * first:.1f} ({decibels})")
    return found


def main() -> int:
    """Measure the networks one after another."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of NAME.onnx")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--p-bits", nargs="+", type=int, default=[4], help="stored bits")
    parser.add_argument("--forms", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--quick", action="store_true", help="fewer test inputs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--resume", action="store_true", help="what the file holds is kept")
    given = parser.parse_args()
    rows: dict[str, Any] = {}
    if given.resume and given.json and given.json.is_file():
        rows = json.loads(given.json.read_text("utf-8"))["results"]["networks"]
    forms = variants(given.p_bits, given.forms)
    effort = Effort(given.quick, seeds=given.seeds, threads=())
    for name in given.only:
        if name in rows:
            continue
        start = time.perf_counter()
        print(TASKS[name].title, flush=True)
        path = find_network(name, given.models)
        rows[name] = measure_network(path, TASKS[name], forms, effort)
        rows[name]["seconds"] = time.perf_counter() - start
        keep(given.json, {"quick": given.quick, "seeds": given.seeds, "networks": rows})
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
