"""Who is ahead over all workloads: accuracies and mean ranks, with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata, t
from training.loop import DONE

LEVEL = 0.95
N_DRAWS = 2000
DRAW_SEED = 7
Scores = Mapping[str, Mapping[str, Sequence[float]]]
"""Test accuracies by workload, method, seed."""
Titles = Mapping[str, str]
"""Of workloads or methods, by name."""


@dataclass(frozen=True)
class Rank:
    """Place of a method among others.

    Attributes:
        method: its name.
        mean: over workloads; 1 is the best.
        low: lower end of the bootstrap interval over workloads and seeds.
        high: upper end.
    """

    method: str
    mean: float
    low: float
    high: float


def scores(
    records: Iterable[dict[str, Any]], settings: Mapping[str, str] | None = None
) -> dict[str, dict[str, list[float]]]:
    """Returns accuracies by workload and method; what differs in tag counts as a method.

    Args:
        records: of the runs.
        settings: None for the test accuracies of the final runs; the chosen setting of each
            method for the validation accuracies of the runs that it was chosen from.
    """
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        run = record["run"]
        if settings is None and run["stage"] == "final":
            found[run["workload"]][run["method"] + run["tag"]].append(record["test_accuracy"])
        elif settings is not None and run["stage"] == "choose":
            if run["setting"] == settings.get(run["method"]):
                name = run["method"] + run["tag"]
                found[run["workload"]][name].append(record["validation_accuracy"])
    return {name: dict(methods) for name, methods in found.items()}


def failures(records: Iterable[dict[str, Any]]) -> list[str]:
    """Returns the runs that ended in NaN or an exception, in words."""
    return [
        f"{run['workload']} {run['method']}{run['tag']} {run['setting']}, seed {run['seed']}: "
        f"{record['end']}"
        for record in records
        if record["end"] != DONE
        for run in [record["run"]]
    ]


def half_width(values: Sequence[float]) -> float:
    """Returns half of the t interval of a mean; NaN for a single value."""
    if len(values) < 2:
        return float("nan")
    spread = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * spread


def ranks(found: Scores) -> list[Rank]:
    """Returns the mean ranks of the methods that have run on every workload, the best first.

    Args:
        found: test accuracies; the workloads count alike, and ties share their ranks.
    """
    workloads = list(found)
    methods = sorted(set.intersection(*(set(found[name]) for name in workloads)))
    random = np.random.default_rng(DRAW_SEED)
    means = np.array([[np.mean(found[w][m]) for m in methods] for w in workloads])
    draws = np.empty((N_DRAWS, len(methods)))
    for row in draws:
        picked = random.integers(len(workloads), size=len(workloads))
        drawn = [[_resampled_mean(found[workloads[i]][m], random) for m in methods] for i in picked]
        row[:] = _mean_ranks(np.array(drawn))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(draws, [tail, 100 - tail], axis=0)
    rows = zip(methods, _mean_ranks(means), low, high, strict=True)
    ranked = [Rank(name, float(at), float(a), float(b)) for name, at, a, b in rows]
    return sorted(ranked, key=lambda rank: rank.mean)


def _resampled_mean(values: Sequence[float], random: np.random.Generator) -> float:
    return float(np.mean(np.asarray(values)[random.integers(len(values), size=len(values))]))


def _mean_ranks(means: np.ndarray) -> np.ndarray:
    """Returns the mean rank per method of accuracies `(workloads, methods)`."""
    mean: np.ndarray = rankdata(-means, axis=1).mean(axis=0)
    return mean


def accuracies(found: Scores) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Returns mean, half of the t interval (None for one seed) and seeds by workload and method."""
    return {
        name: {
            method: {
                "mean": float(np.mean(values)),
                "half_width": half_width(values) if len(values) > 1 else None,
                "seeds": len(values),
            }
            for method, values in by_method.items()
        }
        for name, by_method in found.items()
    }


def accuracy_table(found: dict[str, dict[str, Any]], workloads: Titles, methods: Titles) -> str:
    """Returns mean test accuracies as a Markdown table, a row per workload.

    Args:
        found: what `accuracies` gave; the best of a row is bold.
        workloads: titles by name, in the order of the rows.
        methods: titles by name, in the order of the columns; others follow.
    """
    known = {method for by_method in found.values() for method in by_method}
    columns = [*(name for name in methods if name in known), *sorted(known - set(methods))]
    titles = [methods.get(name, name) for name in columns]
    lines = ["| workload | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for name in (name for name in workloads if name in found):
        best = max(float(each["mean"]) for each in found[name].values())
        cells = [_cell(found[name].get(method), best) for method in columns]
        lines.append(f"| {workloads[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found: Mapping[str, Any] | None, best: float) -> str:
    if found is None:
        return ""
    told = f"{found['mean']:.2f}"
    width = "" if found["half_width"] is None else f" ± {found['half_width']:.2f}"
    return (f"**{told}**" if found["mean"] == best else told) + width


def rank_table(ranked: Sequence[Rank], methods: Titles) -> str:
    """Returns mean ranks as a Markdown table."""
    lines = ["| method | mean rank | 95 % interval |", "|---|---:|---:|"]
    for each in ranked:
        title = methods.get(each.method, each.method)
        lines.append(f"| {title} | {each.mean:.2f} | {each.low:.2f} to {each.high:.2f} |")
    return "\n".join(lines)
