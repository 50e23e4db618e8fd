"""Trainings that start as hot as the thesis does, and others that a rate without a bound spoils."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reluflow.temperature import CoolingWarning, PowerSchedule
from reluflow_torch import ActCoolLR
from reluflow_torch.networks import BasicBlock, EightLayers

THESIS_BITS, THESIS_GAMMA = 3.17, 4.0
BATCH = 64
OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=0.03, momentum=0.9),
    "AdamW": lambda weights: torch.optim.AdamW(weights, lr=1e-3),
}


def digits() -> tuple[Tensor, Tensor]:
    """Images `(n, 1, 8, 8)` and labels, in an order of their own."""
    found = pytest.importorskip("sklearn.datasets").load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(7))
    images = torch.tensor(found.images[:, None] / 8.0 - 1.0, dtype=torch.float32)
    return images[order], torch.tensor(found.target)[order]


def small_cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, padding=1), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, 2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10)),
    )


def trained(model: nn.Module, optimizer: str, count: int, epochs: int, **kwargs: Any) -> float:
    """Return the accuracy in percent on the images that were left out."""
    images, labels = digits()
    chosen = OPTIMIZERS[optimizer](model.parameters())
    scheduler = ActCoolLR(chosen, model, epochs * -(-count // BATCH), **kwargs)
    generator = torch.Generator().manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoolingWarning)
        for _ in range(epochs):
            for batch in torch.randperm(count, generator=generator).split(BATCH):
                chosen.zero_grad()
                nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                chosen.step()
                scheduler.step()
    model.eval()
    with torch.no_grad():
        right = model(images[count:]).argmax(1) == labels[count:]
    return 100 * float(right.float().mean())


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_narrow_residual_network_trains_from_the_start_of_the_thesis(optimizer: str) -> None:
    torch.manual_seed(0)
    schedule = PowerSchedule(THESIS_BITS, THESIS_GAMMA)
    model = EightLayers(BasicBlock, stem_stride=1)  # 16 to 64 channels
    assert trained(model, optimizer, 1400, 10, schedule=schedule) > 90


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_that_knows_its_data_by_heart_survives(seed: int) -> None:
    torch.manual_seed(seed)
    assert trained(small_cnn(), "SGD", 512, 100) > 90
