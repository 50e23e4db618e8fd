"""Remakes the tables and the pictures of docs/temperature.md from the JSON files beside itself.

Example: `report.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from schedules._plan import (
    INITIAL_RATES,
    LOW_TEMPERATURES,
    SEARCH_EPOCHS,
    TEMPERATURES,
    TRACED_SEED,
    best_rates,
)
from schedules._schedules import NAMES
from schedules._schedules import TITLES as SCHEDULES
from schedules._tasks import EPOCHS
from schedules._tasks import TITLES as NETWORKS
from schedules.fits import table as fit_table

from reluflow.report import save_schedules, save_transitions
from reluflow.temperature import transition_from_dict

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "temperature.md"
IMAGES = PAGE.parent / "images"
WINDOW = 5  # traced steps behind one point of a drawn temperature
LEAST_UNCHANGED = 1 / 1024

Record = dict[str, Any]
Groups = dict[tuple[str, str], list[Record]]


def read(name: str) -> Any:
    """Returns the content of a JSON file of this folder, an empty list where there is none."""
    path = HERE / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def grouped(found: list[Record]) -> Groups:
    """Returns the records by network and schedule."""
    groups: Groups = defaultdict(list)
    for record in found:
        groups[record["run"]["network"], record["run"]["schedule"]].append(record)
    return groups


def accuracy_table(results: Groups) -> str:
    """Returns test accuracies as a Markdown table: mean, spread over seeds, seeds."""
    lines = ["| network | schedule | rate | test accuracy, % | spread | by seed |"]
    lines.append("|---|---|---:|---:|---:|---|")
    for network, title in NETWORKS.items():
        for schedule in NAMES:
            runs = results.get((network, schedule), [])
            for rate in sorted({record["run"]["rate"] for record in runs}):
                found = [record for record in runs if record["run"]["rate"] == rate]
                lines.append(f"| {title}, {EPOCHS[network]} epochs {_accuracy_row(found)}")
    return "\n".join(lines)


def _accuracy_row(found: list[Record]) -> str:
    run = found[0]["run"]
    values = [record["test_accuracy"] for record in found]
    spread = f"{stdev(values):.2f}" if len(values) > 1 else ""
    rate = "found" if run["schedule"] == "actcool" else f"{run['rate']:g}"
    seeds = ", ".join(f"{value:.2f}" for value in values)
    return f"| {SCHEDULES[run['schedule']]} | {rate} | {mean(values):.2f} | {spread} | {seeds} |"


def search_table(search: Groups) -> str:
    """Returns the validation accuracies of the grid of rates as a Markdown table."""
    rates = sorted({record["run"]["rate"] for found in search.values() for record in found})
    lines = ["| network | schedule | " + " | ".join(f"{rate:g}" for rate in rates) + " |"]
    lines.append("|---|---|" + "---:|" * len(rates))
    for network, title in NETWORKS.items():
        for schedule in NAMES:
            found = search.get((network, schedule), [])
            cells = {r["run"]["rate"]: f"{r['validation_accuracy']:.2f}" for r in found}
            epochs = found[0]["run"]["epochs"] if found else 0
            row = [cells.get(rate, "") for rate in rates]
            if found:
                head = f"| {title}, {epochs} epochs | {SCHEDULES[schedule]} | "
                lines.append(head + " | ".join(row) + " |")
    return "\n".join(lines)


def tuning_table(tuning: list[Record]) -> str:
    """Returns the validation accuracies of the temperatures tried as a Markdown table."""
    lines = ["| T_start, bits | gamma | " + " | ".join(NETWORKS.values()) + " |"]
    lines.append("|---:|---:|" + "---:|" * len(NETWORKS))
    for start, gamma in TEMPERATURES + LOW_TEMPERATURES:
        options = {"start": start, "gamma": gamma}
        cells = [_tuned(tuning, network, options) for network in NETWORKS]
        lines.append(f"| {start:g} | {gamma:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _tuned(tuning: list[Record], network: str, options: dict[str, float]) -> str:
    for record in tuning:
        run = record["run"]
        is_short = run["epochs"] == SEARCH_EPOCHS[network]
        if is_short and run["network"] == network and run["options"] == options:
            failed = not math.isfinite(record["epochs"][-1]["loss"])
            return "diverged" if failed else f"{record['validation_accuracy']:.2f}"
    return ""


def initial_runs(tuning: list[Record]) -> dict[float, Record]:
    """Returns the runs with default parameters by their initial rate."""
    found = {r["run"]["rate"]: r for r in tuning if not r["run"]["options"]}
    return {rate: found[rate] for rate in INITIAL_RATES if rate in found}


def initial_table(runs: dict[float, Record]) -> str:
    """Returns what the initial rate changes as a Markdown table."""
    lines = ["| initial rate | validation accuracy, % | rate of step 1 | rate of the middle |"]
    lines.append("|---:|---:|---:|---:|")
    for rate, record in runs.items():
        trace = record["trace"]
        lines.append(
            f"| {rate:g} | {record['validation_accuracy']:.2f} | {trace[0]['rate']:.4g} "
            f"| {trace[len(trace) // 2]['rate']:.4g} |"
        )
    return "\n".join(lines)


def curves(record: Record) -> dict[str, tuple[Any, Any]]:
    """Returns rate, temperature and validation accuracy of one run over its epochs."""
    trace, epochs = record["trace"], record["epochs"]
    steps = np.array([row["step"] for row in trace], float)
    x = steps / (steps[-1] + np.diff(steps)[-1]) * len(epochs)
    unchanged = 1 - np.array([np.mean(row["distances"]) for row in trace])
    smooth = np.convolve(unchanged, np.ones(WINDOW) / WINDOW, mode="valid")
    bits = -np.log2(np.maximum(smooth, LEAST_UNCHANGED))
    return {
        "learning_rate": (x, [row["rate"] for row in trace]),
        "temperature_bits": (x[WINDOW // 2 : -(WINDOW // 2)], bits),
        "validation_accuracy": (
            [row["epoch"] for row in epochs],
            [row["validation_accuracy"] / 100 for row in epochs],
        ),
    }


def draw_schedules(results: Groups, chosen: dict[tuple[str, str], float]) -> None:
    """Draws the schedules of every network together, one seed each (Fig. 3.8).

    Args:
        results: final runs by network and schedule.
        chosen: rate that the search found, by network and schedule.
    """
    for network, title in NETWORKS.items():
        runs = {
            SCHEDULES[schedule]: curves(record)
            for schedule in NAMES
            for record in results.get((network, schedule), [])
            if record["run"]["seed"] == TRACED_SEED
            and record["run"]["rate"] == chosen.get((network, schedule), record["run"]["rate"])
        }
        if runs:
            path = IMAGES / f"schedules_{network}.png"
            save_schedules(runs, path, title=f"{title} on FashionMNIST")


def draw_initial(runs: dict[float, Record]) -> None:
    """Draws the runs from different initial rates together."""
    if runs:
        named = {f"from {rate:g}": curves(record) for rate, record in runs.items()}
        path = IMAGES / "initial_rates.png"
        save_schedules(named, path, title="F1, ActCoolLR from five initial rates", ordered=True)


def draw_fits(fits: dict[str, Any]) -> None:
    """Draws the three models over the mean curve of every network's first seed (Fig. 3.14)."""
    for curve in fits["curves"]:
        if curve["seed"] == 0:
            title = NETWORKS[curve["network"]]
            save_transitions(
                fits["rates"],
                np.mean(curve["distances"], axis=0),
                [transition_from_dict(fit["model"]) for fit in curve["mean"].values()],
                IMAGES / f"transition_{curve['network']}.png",
                title=f"{title} at initialisation",
            )


def put(page: str, name: str, table: str) -> str:
    """Puts a table between its two marks on the page."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda match: f"{match[1]}{table}\n{match[2]}", page, flags=re.DOTALL)


def main() -> None:
    results, search, tuning = grouped(read("results")), grouped(read("search")), read("tuning")
    initial, fits = initial_runs(tuning), read("fits")
    tables = {
        "accuracy": accuracy_table(results),
        "search": search_table(search),
        "tuning": tuning_table(tuning),
        "initial": initial_table(initial),
    }
    IMAGES.mkdir(exist_ok=True)
    draw_schedules(results, best_rates(read("search")))
    draw_initial(initial)
    if fits:
        tables["fits"] = fit_table(fits["curves"])
        draw_fits(fits)
    page = PAGE.read_text("utf-8") if PAGE.exists() else ""
    for name, table in tables.items():
        print(f"{name}\n{table}\n")
        page = put(page, name, table)
    if page:
        PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
