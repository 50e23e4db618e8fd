"""Trained networks of public packages as shift-adds, beside float and ONNX Runtime's int8.

    python benchmarks/real_models.py --json benchmarks/records/real_models.json

measures how close each form of each network is to the float network by what the network is for, the
size of its file, and its time for one input, all forms in turn. Files come from `--models`, or from
the packages where they are installed; nothing is downloaded. Calibration and test use different
pictures, sounds and files. A network is kept in the record as soon as it is done; `--resume` keeps
what the record holds. `--quick` takes a fifth of the inputs and fewer numbers of samples. `--page`
measures nothing: it puts the tables and the picture of the record into docs/psb.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from _support import keep
from networks.real import FOLDER, find_network
from real.measure import Effort, measure_network
from real.page import RECORD, rebuild
from real.tasks import TASKS
from real.tuning import TUNED
from real.variants import TIMED, VARIANTS


def available(names: list[str], folder: Path) -> dict[str, Path]:
    """Return the files of the networks; say of each that is missing where it was looked for."""
    found = {}
    for name in names:
        try:
            found[name] = find_network(name, folder)
        except FileNotFoundError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def known(path: Path | None, variants: list[str]) -> dict[str, Any]:
    """Return the networks that a record holds in all wanted forms, by the measures of today."""
    if path is None or not path.is_file():
        return {}
    held: dict[str, Any] = json.loads(path.read_text("utf-8"))["results"]["networks"]
    return {
        name: row
        for name, row in held.items()
        if set(variants) <= set(row["variants"]) and row["measures"] == list(TASKS[name].measures)
    }


def main() -> int:
    """Measure the networks one after another; return 2 where none is at hand."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of NAME.onnx")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS | TUNED, default=list(VARIANTS))
    parser.add_argument("--quick", action="store_true", help="fewer inputs and samples")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each form")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--resume", action="store_true", help="what the file holds is kept")
    parser.add_argument("--page", action="store_true", help="only remake docs/psb.md")
    given = parser.parse_args()
    if given.page:
        rebuild(given.json or RECORD)
        return 0
    effort = Effort(
        given.quick,
        seeds=given.seeds,
        rounds=given.rounds,
        seconds=5.0 if given.quick else 20.0,
        threads=tuple(given.threads),
    )
    rows = known(given.json, given.variants) if given.resume else {}
    paths = available(given.only, given.models)
    if not paths:
        return 2
    variants = {name: (VARIANTS | TUNED)[name] for name in given.variants}
    for number, (name, path) in enumerate(paths.items(), 1):
        if name not in rows:
            start = time.perf_counter()
            print(f"{number} of {len(paths)}: {TASKS[name].title}", flush=True)
            rows[name] = measure_network(path, TASKS[name], variants, effort)
            rows[name]["seconds"] = time.perf_counter() - start
            print(f"  {rows[name]['seconds']:.0f} s", flush=True)
            held = {each: rows[each] for each in TASKS if each in rows}
            keep(given.json, {"quick": given.quick, "timed_samples": TIMED, "networks": held})
    return 0


if __name__ == "__main__":
    sys.exit(main())
