"""Figures 3.1 to 3.7, one function each: it draws, and returns the numbers it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _support.gallery import Rows
from evolution.pictures import save_depths
from evolution.runs import DEPTHS, FIVE, NETS, SEEDS, Course, Run, course_of, early_steps
from numpy.typing import NDArray

from reluflow.monitoring import MEAN
from reluflow.report import save_layer_time

Floats = NDArray[np.float64]
COLUMNS = ("patterns", "net_change", "jaccard_initial")
MORE = ("most_frequent_fraction", "patterns_per_sample")
WAYS = {
    "ToyNet-14": Run("ToyNet"),
    "ConvNet-14": Run("ConvNet"),
    "ResNet-14": Run("ResNet"),
    "ResNet-14, PReLU": Run("PReLU"),
    "PyramidNet-14": Run("PyramidNet"),
    "FixUp-14": Run("FixUp"),
    "ResNet-14, cyclic rates": Run("ResNet", schedule="cyclic"),
    "ResNet-14, one cycle": Run("ResNet", schedule="onecycle"),
}
"""What Figure 3.7 compares."""
TIMES = ("initial", "1 step", "40 steps", "2 epochs", "end")


def values(table: pa.Table, name: str) -> tuple[Floats, Floats]:
    """Return the steps `(n,)` of a measure, and its values `(n, sites)`."""
    rows = [row for row in table.to_pylist() if row["site"] != MEAN and row[name] is not None]
    sites = list(dict.fromkeys(row["site"] for row in rows))
    steps = sorted({row["step"] for row in rows})
    found = np.full((len(steps), len(sites)), np.nan)
    for row in rows:
        found[steps.index(row["step"]), sites.index(row["site"])] = row[name]
    return np.array(steps, np.float64), found


def _followed() -> dict[str, Course]:
    return {f"{net}-14": course_of(Run(net)) for net in NETS}


def figure_1(folder: Path) -> Rows:
    """Five measures by site and time, time logarithmic: the early phase."""
    courses = _followed()
    tables = {name: each.table for name, each in courses.items()}
    save_layer_time(tables, folder / "3_1.png", COLUMNS, log_time=True)
    save_layer_time(tables, folder / "3_1_more.png", MORE, log_time=True)
    rows = []
    for name, table in tables.items():
        _, patterns = values(table, "patterns")
        _, frequent = values(table, "most_frequent_fraction")
        steps, initial = values(table, "jaccard_initial")
        ten = int(np.searchsorted(steps, 10))
        total = patterns.sum(axis=1)
        rows.append(
            {
                "network": name,
                "patterns, all sites": int(total[0]),
                "after 1 step": int(total[1]),
                "lowest": int(total.min()),
                "at the end": int(total[-1]),
                "most frequent, highest": float(frequent.max()),
                "Jaccard to start, step 10": float(initial[ten].mean()),
                "at the end, mean": float(initial[-1].mean()),
            }
        )
    return rows


def figure_2(folder: Path) -> Rows:
    """The same trainings, time linear: the whole of them."""
    courses = _followed()
    tables = {name: each.table for name, each in courses.items()}
    save_layer_time(tables, folder / "3_2.png", COLUMNS)
    save_layer_time(tables, folder / "3_2_more.png", MORE)
    rows = []
    for name, each in courses.items():
        steps, initial = values(each.table, "jaccard_initial")
        mean = initial.mean(axis=1)
        rows.append(
            {
                "network": name,
                "Jaccard to start, lowest": float(mean.min()),
                "at step": int(steps[int(mean.argmin())]),
                "at the end, first third": float(initial[-1][: initial.shape[1] // 3].mean()),
                "at the end, last third": float(initial[-1][-(initial.shape[1] // 3) :].mean()),
                "accuracy": each.accuracy,
            }
        )
    return rows


def _over_depth(folder: Path, measure: str, label: str, name: str) -> dict[str, Any]:
    """Draw a measure over depth; return time -> network -> depth -> `(seeds, sites)`."""
    steps = early_steps()
    found: dict[str, dict[str, dict[str, Floats]]] = {time: {} for time in TIMES}
    for net in NETS:
        for depth in DEPTHS:
            runs = [course_of(Run(net, depth, seed=s, kind=FIVE)).table for s in SEEDS]
            each = [values(table, measure) for table in runs]
            for time, step in zip(TIMES, steps, strict=True):
                rows = np.array([at[list(when).index(step)] for when, at in each])
                found[time].setdefault(net, {})[f"{depth} layers"] = rows
    panels = {
        time: {
            net: {depth: (rows.mean(axis=0), rows.std(axis=0)) for depth, rows in curves.items()}
            for net, curves in nets.items()
        }
        for time, nets in found.items()
    }
    save_depths(panels, folder / name, label)
    return found


def _entropy_rows(found: Mapping[str, Any]) -> Rows:
    """Return the entropy of the deepest networks: thirds, spread, and the zig-zag of shortcuts."""
    rows: Rows = []
    for time, nets in found.items():
        row: dict[str, Any] = {"time": time}
        for net, curves in nets.items():
            last = curves[f"{DEPTHS[-1]} layers"]
            third = last.shape[1] // 3
            row[f"{net}, first third"] = float(last[:, :third].mean())
            row[f"{net}, last third"] = float(last[:, -third:].mean())
            row[f"{net}, zig-zag"] = zigzag(last.mean(axis=0))
        rows.append(row)
    return rows


def zigzag(entropy: Floats) -> float:
    """Return how much every second site lies above the mean of its neighbours.

    Args:
        entropy: `(sites,)`; sites 2, 4, ... lie inside a unit, sites 3, 5, ... read a sum.
    """
    inner = entropy[1:-1]
    above = inner - (entropy[:-2] + entropy[2:]) / 2
    signs = np.where(np.arange(len(inner)) % 2 == 0, 1.0, -1.0)
    return float((signs * above).mean())


def figure_3(folder: Path) -> Rows:
    """Relative entropy over depth, with bands over seeds."""
    label = "relative APE"
    return _entropy_rows(_over_depth(folder, "relative_entropy", label, "3_3.png"))


def figure_4(folder: Path) -> Rows:
    """Distinct patterns per sample over depth, where the thesis has the load of fixed tables."""
    found = _over_depth(folder, "patterns_per_sample", "patterns\nper sample", "3_4.png")
    return [
        {"time": time}
        | {
            f"{net}, {which}": float(pick(rows.mean(axis=0)))
            for net, curves in nets.items()
            for rows in [curves[f"{DEPTHS[-1]} layers"]]
            for which, pick in (("first site", _first), ("highest", np.max), ("last", _last))
        }
        for time, nets in found.items()
    ]


def _first(values: Floats) -> float:
    return float(values[0])


def _last(values: Floats) -> float:
    return float(values[-1])


def figure_7(folder: Path) -> Rows:
    """Entropy, Jaccard index to the final state, and patterns per sample: ways to train."""
    courses = {title: course_of(run) for title, run in WAYS.items()}
    tables = {name: each.table for name, each in courses.items()}
    measures = ("relative_entropy", "jaccard_final", "patterns_per_sample")
    first = list(tables)[:4]
    for name, chosen in (("3_7.png", first), ("3_7_more.png", [*tables][4:])):
        save_layer_time({each: tables[each] for each in chosen}, folder / name, measures)
    rows = []
    for name, each in courses.items():
        steps, final = values(each.table, "jaccard_final")
        _, entropy = values(each.table, "relative_entropy")
        third = max(final.shape[1] // 3, 1)
        mean = entropy.mean(axis=1)
        half = int(np.searchsorted(steps, steps[-1] / 2))
        rows.append(
            {
                "network": name,
                "APE start": float(mean[0]),
                "lowest": float(mean.min()),
                "at step": int(steps[int(mean.argmin())]),
                "APE end": float(mean[-1]),
                "Jaccard to end at half, first third": float(final[half][:third].mean()),
                "last third": float(final[half][-third:].mean()),
                "accuracy": each.accuracy,
            }
        )
    return rows


FIGURES: dict[str, Callable[[Path], Rows]] = {
    "3.1": figure_1,
    "3.2": figure_2,
    "3.3": figure_3,
    "3.4": figure_4,
    "3.7": figure_7,
}
