"""Small trainings of every kind, of which ActCoolLR must not spoil one, beside cosine.

`PYTHONPATH=benchmarks python benchmarks/training/robustness.py --workers 16 --out build/robustness`
makes the whole grid; `--nets mlp cnn --epochs 10` and the like make a part of it, and `--summary`
tells which runs ended in NaN or an exception and which are behind. Every run is kept in a file of
its own; `--resume` goes on.
"""

from __future__ import annotations

import argparse
import json

from training import grid, pool, verdict


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("data", "nets", "optimizers", "labels", "schedules"):
        known = getattr(grid, name.upper())
        parser.add_argument(f"--{name}", nargs="+", choices=known, default=known)
    for name in ("epochs", "seeds"):
        parser.add_argument(f"--{name}", nargs="+", type=int, default=getattr(grid, name.upper()))
    parser.add_argument("--tag", default="", help="tells these runs of ActCoolLR from others")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON, of ActCoolLR")
    pool.add_options(parser, "build/robustness", grid.DATA)
    return parser.parse_args()


def _selected(given: argparse.Namespace) -> list[grid.Run]:
    names = ("data", "nets", "optimizers", "epochs", "labels", "schedules", "seeds")
    parts = {name: tuple(getattr(given, name)) for name in names}
    return list(grid.runs(**parts, tag=given.tag, options=given.options))


def main() -> None:
    given = _arguments()
    if pool.packed_data(given, grid.DATA):
        return
    if not given.summary:
        work = grid.performing(given.data_file, given.device)
        pool.perform(_selected(given), work, given, grid.cost)
        if given.list:
            return
    records = pool.read(given.out)
    found = verdict.cells(records)
    print(verdict.report(found))
    if given.pack is not None:
        pool.gather(given.out, given.pack)
    pool.keep(given, records, verdict.as_json(found), "robustness", verdict.page)


if __name__ == "__main__":
    main()
