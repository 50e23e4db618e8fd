"""Sums the trainings and fits beside itself up: the figures that docs/temperature.md shows.

Writes summary.json. Example: `summary.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

HERE = Path(__file__).parent
KINDS = ("mean of the sites", "each site")


def accuracies(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns test accuracies by network, schedule and rate: mean, spread over seeds, seeds."""
    groups: dict[tuple[str, str, float, int], list[float]] = {}
    for record in results:
        run = record["run"]
        key = (run["network"], run["schedule"], run["rate"], run["epochs"])
        groups.setdefault(key, []).append(record["test_accuracy"])
    names = ("network", "schedule", "rate", "epochs")
    return [
        dict(zip(names, key, strict=True))
        | {"mean": mean(values), "by_seed": values}
        | ({"spread": stdev(values)} if len(values) > 1 else {})
        for key, values in groups.items()
    ]


def fit_errors(curves: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the errors of the models in percent points, and how often each is best."""
    rows = []
    for network in dict.fromkeys(curve["network"] for curve in curves):
        mine = [curve for curve in curves if curve["network"] == network]
        whole = [curve["mean"] for curve in mine]
        sites = [site for curve in mine for site in curve["sites"]]
        for kind, fits in zip(KINDS, (whole, sites), strict=True):
            best = [min(fit, key=lambda name: fit[name]["rmse"]) for fit in fits]
            rows.append(
                {
                    "network": network,
                    "curve": kind,
                    "rmse": {n: mean(100 * fit[n]["rmse"] for fit in fits) for n in fits[0]},
                    "best": {n: best.count(n) for n in fits[0]},
                }
            )
    return rows


def summary(folder: Path = HERE) -> dict[str, Any]:
    """Returns all of it from the records of a folder."""
    results = json.loads((folder / "results.json").read_text("utf-8"))
    fits = json.loads((folder / "fits.json").read_text("utf-8"))
    return {"accuracies": accuracies(results), "fit_errors": fit_errors(fits["curves"])}


def main() -> None:
    """Writes the record."""
    (HERE / "summary.json").write_text(json.dumps(summary(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
