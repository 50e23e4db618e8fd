"""Gathers the records of the runs into search.json, tuning.json and results.json beside itself.

Example: `collect.py --runs build/schedules`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from schedules._plan import best_rates, records

HERE = Path(__file__).parent
DIGITS = 5


def kind_of(record: dict[str, Any]) -> str:
    """Returns which file a record belongs to: search, tuning or results."""
    run = record["run"]
    if run["test"]:
        return "results"
    return "tuning" if run["schedule"] == "actcool" else "search"


def shortened(value: Any) -> Any:
    """Rounds every float to `DIGITS` significant digits, so that the files stay small."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    return value


def gather(found: list[dict[str, Any]], folder: Path) -> None:
    """Writes one file per kind, one record per line."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for record in found:
        kinds.setdefault(kind_of(record), []).append(record)
    for kind, members in kinds.items():
        lines = ",\n".join(json.dumps(shortened(record)) for record in members)
        (folder / f"{kind}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"{kind}: {len(members)} runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("build/schedules"))
    found = records(parser.parse_args().runs)
    gather(found, HERE)
    for (network, schedule), rate in best_rates(found).items():
        print(f"{network} {schedule}: best rate {rate:g}")


if __name__ == "__main__":
    main()
