"""Trained networks of public packages as shift-adds, beside float and ONNX Runtime's int8.

    python benchmarks/real_models.py --json benchmarks/records/real_models.json

measures how close each form of each network is to the float network by what the network is for, the
size of its file, and its time for one input, all forms in turn. Files come from `--models`, or from
the packages where they are installed; nothing is downloaded. Calibration and test use different
pictures, sounds and files. A network is kept in the record as soon as it is done; `--resume` keeps
what the record holds. `--quick` takes a fifth of the inputs and fewer numbers of samples. `--page`
measures nothing: it puts the tables and the picture of the record into docs/psb.md.

On a busy machine, `--threads --forms FOLDER` measures closeness alone and keeps the made forms; on
a quiet one, `--retime --forms FOLDER` times the forms of the record, and replaces times alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from _support import command, keep, machine, write
from networks.real import FOLDER, find_network
from real.forms.kept import Forms
from real.forms.retime import times_of
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


def options() -> argparse.Namespace:
    """Parse the command."""
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
    parser.add_argument("--forms", type=Path, help="folder where made forms are kept and looked up")
    parser.add_argument("--retime", action="store_true", help="only time the record's forms anew")
    parser.add_argument("--page", action="store_true", help="only remake docs/psb.md")
    given = parser.parse_args()
    if given.retime and not (given.forms and given.json and given.threads):
        parser.error("--retime needs --forms, --json and a number of --threads.")
    return given


def retime(given: argparse.Namespace, effort: Effort, paths: dict[str, Path]) -> None:
    """Replace the times of the record, network by network."""
    record = json.loads(given.json.read_text("utf-8"))
    for name, row in record["results"]["networks"].items():
        if name in paths:
            print(f"{TASKS[name].title}", flush=True)
            forms = Forms(name, given.forms)
            row["times"] = times_of(paths[name], TASKS[name], row, effort, forms)
            row["timed_by"] = {"command": command(), "machine": machine()}
            write(given.json, record)


def main() -> int:
    """Measure the networks one after another; return 2 where none is at hand."""
    given = options()
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
    paths = available(given.only, given.models)
    if not paths:
        return 2
    if given.retime:
        retime(given, effort, paths)
        return 0
    measure(given, effort, paths)
    return 0


def measure(given: argparse.Namespace, effort: Effort, paths: dict[str, Path]) -> None:
    """Measure the networks; keep each in the record as soon as it is done."""
    rows = known(given.json, given.variants) if given.resume else {}
    variants = {name: (VARIANTS | TUNED)[name] for name in given.variants}
    for number, (name, path) in enumerate(paths.items(), 1):
        if name not in rows:
            start = time.perf_counter()
            print(f"{number} of {len(paths)}: {TASKS[name].title}", flush=True)
            forms = Forms(name, given.forms)
            rows[name] = measure_network(path, TASKS[name], variants, effort, forms)
            rows[name]["seconds"] = time.perf_counter() - start
            print(f"  {rows[name]['seconds']:.0f} s", flush=True)
            held = {each: rows[each] for each in TASKS if each in rows}
            keep(given.json, {"quick": given.quick, "timed_samples": TIMED, "networks": held})


if __name__ == "__main__":
    sys.exit(main())
