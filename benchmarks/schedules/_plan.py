"""The runs that are made: the search for rates on the validation images, then the final runs."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from schedules._schedules import BASELINES
from schedules._tasks import EPOCHS, NETWORKS
from schedules._train import Run

SEARCH_EPOCHS = {"f1": 3, "f1_bn": 2, "resnet8": 2}
SEARCH_RATES = {
    "f1": (0.01, 0.03, 0.1, 0.3),
    "f1_bn": (0.01, 0.03, 0.1, 0.3),
    "resnet8": (0.1, 0.3, 1.0),
}
SEARCH_SEED = 100  # not used by any of the final runs
TEMPERATURES = ((6.0, 1.0), (4.0, 1.0), (6.0, 2.0), (4.0, 2.0), (3.17, 4.0), (8.0, 1.0))
LOW_TEMPERATURES = ((0.4, 1.0), (0.8, 1.0), (1.0, 1.0), (0.73, 2.0))  # only for ResNet-8
INITIAL_RATE = 0.01  # for ActCoolLR where the initial rate is not under test
INITIAL_RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
INITIAL_EPOCHS = 1
SEEDS = (0, 1, 2)
TRACED_SEED = 0


def search(_: Path) -> list[Run]:
    """The grid of rates for each baseline and network, with short training."""
    return [
        Run(network, schedule, rate, SEARCH_EPOCHS[network], SEARCH_SEED)
        for network in NETWORKS
        for schedule in BASELINES
        for rate in SEARCH_RATES[network]
    ]


def baselines(folder: Path) -> list[Run]:
    """The final runs of each baseline with the rate that the search found; waits for those."""
    chosen = best_rates(records(folder))
    return [
        _final(network, schedule, chosen[network, schedule], seed)
        for seed in SEEDS
        for network in NETWORKS
        for schedule in BASELINES
        if (network, schedule) in chosen
    ]


def tuning(_: Path) -> list[Run]:
    """Short runs of ActCoolLR, from which its default temperatures were chosen.

    For ResNet-8 two runs of full length follow, which look at no test image either.
    """
    longer = [
        Run("resnet8", "actcool", INITIAL_RATE, EPOCHS["resnet8"], SEARCH_SEED, options=options)
        for options in ({"start": 0.91, "gamma": 1.0}, {"start": 1.0, "gamma": 1.0})
    ]
    return longer + [
        Run(
            network,
            "actcool",
            INITIAL_RATE,
            SEARCH_EPOCHS[network],
            SEARCH_SEED,
            options={"start": start, "gamma": gamma},
        )
        for network in NETWORKS
        for start, gamma in TEMPERATURES + (LOW_TEMPERATURES if network == "resnet8" else ())
    ]


def actcool(_: Path) -> list[Run]:
    """The final runs of ActCoolLR with default parameters."""
    return [
        _final(network, "actcool", INITIAL_RATE, seed) for network in NETWORKS for seed in SEEDS
    ]


def initial(_: Path) -> list[Run]:
    """Short runs of ActCoolLR with default parameters from very different initial rates."""
    return [
        Run("f1", "actcool", rate, INITIAL_EPOCHS, SEARCH_SEED, trace=True)
        for rate in INITIAL_RATES
    ]


def _final(network: str, schedule: str, rate: float, seed: int) -> Run:
    return Run(network, schedule, rate, EPOCHS[network], seed, trace=seed == TRACED_SEED, test=True)


STAGES = {
    "search": search,
    "baselines": baselines,
    "tuning": tuning,
    "actcool": actcool,
    "initial": initial,
}


def records(folder: Path) -> list[dict[str, Any]]:
    """Reads what the runs wrote, in the order of their names."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def best_rates(found: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """Returns the rate of the best validation accuracy per network and baseline.

    A network and baseline is left out until its whole grid is there.
    """
    accuracies: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(dict)
    for record in found:
        run = record["run"]
        if run["test"] or run["schedule"] not in BASELINES:
            continue
        rates = accuracies[run["network"], run["schedule"]]
        rates.setdefault(run["rate"], []).append(record["validation_accuracy"])
    return {
        key: max(rates, key={rate: mean(found) for rate, found in rates.items()}.__getitem__)
        for key, rates in accuracies.items()
        if set(rates) >= set(SEARCH_RATES[key[0]])
    }
