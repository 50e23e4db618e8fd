"""What flips of units tell: odd batches by steps that strike, mislabelled samples by their rank.

`PYTHONPATH=benchmarks python benchmarks/training/odd_batches/flips.py
--json benchmarks/records/flips.json`
trains F1 with and without batch normalisation and a ResNet-8 on the shipped FashionMNIST images,
with one odd batch per run and with a tenth of the labels wrong.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _support.record import keep
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reluflow_torch import PatternMonitor
from reluflow_torch.networks import BasicBlock, EightLayers, f1

IMAGES = Path(__file__).parents[3] / "models" / "fashion_mnist_test_2000.npz"
N_IMAGES = 600
BATCH = 50
RATE, MOMENTUM = 0.02, 0.9
SIDE = 14
N_ODD_STEPS, ODD_STEP = 60, 45
EPOCHS, FLIPS_EVERY = 15, 4
WRONG_SHARE = 0.1

NETS: dict[str, Callable[[], nn.Module]] = {
    "F1": lambda: f1(5, 128, SIDE * SIDE),
    "F1 + BN": lambda: f1(5, 128, SIDE * SIDE, norm=True),
    "ResNet-8": lambda: EightLayers(BasicBlock, stem_stride=2),
}
ODD: dict[str, Callable[[Tensor], Tensor]] = {
    "30 times as large": lambda x: 30 * x,
    "noise": lambda x: 10 * torch.randn_like(x),
    "black": lambda x: torch.full_like(x, float(x.min())),
    "wrong labels": lambda x: x,
}
Floats = NDArray[np.float64]


def data() -> tuple[Tensor, Tensor]:
    with np.load(IMAGES) as file:
        images = torch.from_numpy(file["image"][:N_IMAGES]).float()
        labels = torch.from_numpy(file["label"][:N_IMAGES]).long()
    images = nn.functional.avg_pool2d(images, 2)
    return (images - images.mean()) / images.std(), labels


def set_up(net: str, seed: int) -> tuple[nn.Module, torch.optim.SGD]:
    torch.manual_seed(seed)
    model = NETS[net]()
    return model, torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)


def learn(model: nn.Module, optimizer: torch.optim.SGD, images: Tensor, labels: Tensor) -> None:
    optimizer.zero_grad()
    cross_entropy(model(images), labels).backward()
    optimizer.step()


def strikes(net: str, kind: str, seed: int) -> dict[str, Any]:
    """Train with one odd batch; return its flips against the median step, and who struck."""
    images, labels = data()
    model, optimizer = set_up(net, seed)
    flips: list[float] = []
    with PatternMonitor(optimizer, model, every=1) as monitor:
        for step in range(N_ODD_STEPS):
            chosen = torch.randint(0, N_IMAGES, (BATCH,))
            x, y = images[chosen], labels[chosen]
            if step == ODD_STEP:
                x, y = ODD[kind](x), y.roll(1) if kind == "wrong labels" else y
            learn(model, optimizer, x, y)
            each = monitor.batch_flips[0]
            assert each is not None
            flips.append(float(each.mean()))
    struck = [strike.step for strike in monitor.strikes]
    return {
        "ratio": flips[ODD_STEP] / statistics.median(flips[ODD_STEP - 32 : ODD_STEP]),
        "found": ODD_STEP in struck,
        "before": sum(step < ODD_STEP for step in struck),
    }


def rank(values: Floats) -> Floats:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)


def agreement(a: Floats, b: Floats) -> float:
    """Spearman's correlation."""
    return float(np.corrcoef(rank(a), rank(b))[0, 1])


def separation(values: Floats, wrong: NDArray[np.bool_]) -> float:
    """The share of pairs of a wrong and a right sample in which the wrong one is above (AUC)."""
    return float((values[wrong][:, None] > values[~wrong][None]).mean())


def samples(net: str, seed: int) -> dict[str, float]:
    """Train with wrong labels; return how steady the ranks are, and whether they tell these."""
    images, labels = data()
    model, optimizer = set_up(net, seed)
    wrong = np.zeros(N_IMAGES, np.bool_)
    wrong[: round(WRONG_SHARE * N_IMAGES)] = True
    given = torch.where(torch.from_numpy(wrong), (labels + 3) % 10, labels)
    sums: list[Floats] = [np.zeros(N_IMAGES)]
    settings: dict[str, Any] = {"every": 0, "flips_every": FLIPS_EVERY, "data": images}
    with PatternMonitor(optimizer, model, **settings) as monitor:
        for _ in range(EPOCHS):
            for chosen in torch.randperm(N_IMAGES).split(BATCH):
                learn(model, optimizer, images[chosen], given[chosen])
                if monitor.sample_flips.steps == len(sums):
                    sums.append(monitor.sample_flips.sums.copy())
    steps = np.diff(np.array(sums), axis=0)
    model.eval()
    with torch.no_grad():
        loss = cross_entropy(model(images), given, reduction="none").double().numpy()
    flips = monitor.sample_flips.mean
    return {
        "halves": agreement(steps[::2].sum(axis=0), steps[1::2].sum(axis=0)),
        "spread": float(np.quantile(flips, 0.9) / np.quantile(flips, 0.1)),
        "flips": separation(flips, wrong),
        "loss": separation(loss, wrong),
    }


def mean_of(found: Iterable[dict[str, Any]]) -> dict[str, float]:
    rows = list(found)
    return {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each kind")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(given.seeds)
    results: dict[str, Any] = {"strikes": {}, "samples": {}}
    for net in NETS:
        results["strikes"][net] = {
            kind: mean_of(strikes(net, kind, seed) for seed in seeds) for kind in ODD
        }
        results["samples"][net] = mean_of(samples(net, seed) for seed in seeds)
        print(net, results["strikes"][net], results["samples"][net])
    steps = len(NETS) * len(ODD) * given.seeds * (ODD_STEP - 16)
    runs = [row for net in results["strikes"].values() for row in net.values()]
    found = round(given.seeds * sum(row["before"] for row in runs))
    results["false"] = {"steps": steps, "strikes": found}
    print(results["false"])
    keep(given.json, results)


if __name__ == "__main__":
    main()
