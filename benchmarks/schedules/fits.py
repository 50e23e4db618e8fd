"""D over the learning rate at initialisation, and how well the transition models fit it.

Example: `fits.py`, which writes fits.json beside itself (thesis 3.2.3, Fig. 3.14).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch  # a benchmark of the torch bridge
from schedules._distance import patterns
from schedules._tasks import NETWORKS, Split, build, load
from torch import nn

from reluflow.temperature import fit_transition

HERE = Path(__file__).parent
MODELS = ("log-normal", "erf", "arctan")
RATES = np.geomspace(1e-4, 1e2, 50)
SEEDS = (0, 1, 2)
N_IMAGES = 512


def sweep(network: str, seed: int, split: Split) -> np.ndarray:
    """Measures D of one gradient step from fresh weights at every rate of `RATES`.

    Args:
        network: name in `_tasks.NETWORKS`.
        seed: of the weights and of the choice of images.
        split: where the images are taken from.

    Returns:
        D, fractions `(n_sites, n_rates)`.
    """
    model = build(network, seed)
    chosen = torch.randperm(
        len(split.images), generator=torch.Generator().manual_seed(1000 + seed)
    )[:N_IMAGES]
    images = split.images[chosen].contiguous(memory_format=torch.channels_last)
    nn.functional.cross_entropy(model(images), split.labels[chosen]).backward()
    weights = {name: value.detach() for name, value in model.named_parameters()}
    slopes = {name: value.grad for name, value in model.named_parameters()}
    before = patterns(model, images)
    columns = []
    for rate in RATES:
        moved = {name: value - rate * slopes[name] for name, value in weights.items()}
        after = patterns(model, images, moved)
        columns.append([_changed(a, b) for a, b in zip(before, after, strict=True)])
    return np.array(columns).T


def _changed(before: torch.Tensor, after: torch.Tensor) -> float:
    return (before != after).any(dim=1).double().mean().item()


def fitted(distances: Iterable[float]) -> dict[str, Any]:
    """Fits every model to one curve in the space of D, where all are measured alike."""
    return {
        name: fit_transition(RATES, list(distances), name, space="distance").to_dict()
        for name in MODELS
    }


def _measure(network: str, split: Split) -> Iterator[dict[str, Any]]:
    for seed in SEEDS:
        sites = sweep(network, seed, split)
        yield {
            "network": network,
            "seed": seed,
            "distances": sites.round(6).tolist(),
            "mean": fitted(sites.mean(axis=0)),
            "sites": [fitted(site) for site in sites],
        }


def table(curves: list[dict[str, Any]]) -> str:
    """Returns the errors as a Markdown table: root mean square error of D in percent points."""
    lines = ["| network | curve | " + " | ".join(MODELS) + " | least error, of all curves |"]
    lines.append("|---|---|" + "---:|" * len(MODELS) + "---|")
    for network in NETWORKS:
        mine = [curve for curve in curves if curve["network"] == network]
        for kind, fits in (
            ("mean of the sites", [curve["mean"] for curve in mine]),
            ("each site", [site for curve in mine for site in curve["sites"]]),
        ):
            lines.append(_row(network, kind, fits))
    return "\n".join(lines)


def _row(network: str, kind: str, fits: list[dict[str, Any]]) -> str:
    errors = {name: [100 * fit[name]["rmse"] for fit in fits] for name in MODELS}
    best = [min(MODELS, key=lambda name: fit[name]["rmse"]) for fit in fits]
    wins = ", ".join(f"{name} {best.count(name)}" for name in MODELS if name in best)
    cells = " | ".join(f"{mean(errors[name]):.2f}" for name in MODELS)
    return f"| {network} | {kind} | {cells} | {wins} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=HERE / "fits.json")
    path = parser.parse_args().json
    torch.set_num_threads(1)
    split = load()["train"]
    curves = [curve for network in NETWORKS for curve in _measure(network, split)]
    path.write_text(json.dumps({"rates": RATES.tolist(), "curves": curves}) + "\n", "utf-8")
    print(table(curves))


if __name__ == "__main__":
    main()
