"""ActCoolLR at one fixed setting beside other methods, over eight workloads.

First `PYTHONPATH=benchmarks python benchmarks/training/workloads.py choose --workers 16` tries the
settings of each method on validation data; then `workloads.py final --resume --workers 16` makes
the runs that are compared on test data, and says who is ahead. Every run is kept in a file of its
own; `--resume` goes on.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from training import comparison, pool, ranking
from training.methods import METHODS, need_packages

TIE = "<!-- record: benchmarks/records/workloads.json -->"
"""Stands above each table of the page."""
TITLES = {
    "choice": "Validation accuracy in percent of the runs from which the settings were chosen:",
    "final": "Test accuracy in percent:",
}
"""Of the tables, by what is kept."""
N_RANKED = 3
"""Workloads that a table of ranks needs at least."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=comparison.STAGES)
    known = tuple(comparison.WORKLOADS)
    parser.add_argument("--workloads", nargs="+", choices=known, default=known)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=tuple(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=comparison.SEEDS)
    parser.add_argument(
        "--settings", nargs="+", default=[], help="METHOD=SETTING, else as chosen on validation"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the epochs")
    parser.add_argument("--tag", default="", help="tells these runs of ActCoolLR from others")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON, of ActCoolLR")
    pool.add_options(parser, "build/workloads", comparison.DATA)
    return parser.parse_args()


def _settings(given: argparse.Namespace, records: list[dict[str, Any]]) -> dict[str, str]:
    return comparison.chosen(records, given.tag) | dict(
        each.split("=", 1) for each in given.settings
    )


def _train(given: argparse.Namespace) -> None:
    need_packages(given.methods)
    settings = _settings(given, pool.read(given.out) if given.out.exists() else [])
    lacking = [name for name in given.methods if name not in settings]
    if given.stage == "final" and lacking:
        raise SystemExit(
            f"no setting is chosen for {', '.join(lacking)}; run the stage choose first, or give "
            f"--settings {lacking[0]}={next(iter(METHODS[lacking[0]].settings))}."
        )
    names = ("workloads", "methods", "seeds", "share", "tag", "options")
    parts: dict[str, Any] = {name: getattr(given, name) for name in names}
    planned = list(comparison.runs(given.stage, settings=settings, **parts))
    work = comparison.performing(given.data_file, given.device)
    pool.perform(planned, work, given, comparison.cost)


def _summary(given: argparse.Namespace) -> None:
    records = pool.read(given.out)
    print("\n".join(f"FAILED {each}" for each in ranking.failures(records)))
    settings = _settings(given, records)
    print("settings:", settings)
    kept = {
        "settings": settings,
        "choice": _kept(ranking.scores(records, settings)),
        "final": _kept(ranking.scores(records)),
    }
    print(f"\n{_tables(kept)}")
    pool.keep(given, records, kept, "workloads", _tables)
    if given.pack is not None:
        pool.gather(given.out, given.pack)


def _kept(found: ranking.Scores) -> dict[str, Any] | None:
    if not found:
        return None
    ranked = [vars(each) for each in ranking.ranks(found)]
    return {"scores": found, "accuracies": ranking.accuracies(found), "ranks": ranked}


def _tables(kept: dict[str, Any]) -> str:
    workloads = {name: each.title for name, each in comparison.WORKLOADS.items()}
    methods = {name: each.title for name, each in METHODS.items()}
    lines = []
    for stage, title in TITLES.items():
        found = kept[stage]
        if found is not None:
            ranked = [ranking.Rank(**each) for each in found["ranks"]]
            accuracies = ranking.accuracy_table(found["accuracies"], workloads, methods)
            lines += [title, "", TIE, accuracies, ""]
            if len(found["accuracies"]) >= N_RANKED:
                lines += [TIE, ranking.rank_table(ranked, methods), ""]
    return "\n".join(lines).rstrip()


def main() -> None:
    given = _arguments()
    if pool.packed_data(given, comparison.DATA):
        return
    if not given.summary:
        _train(given)
        if given.list:
            return
    _summary(given)


if __name__ == "__main__":
    main()
