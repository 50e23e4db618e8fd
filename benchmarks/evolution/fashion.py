"""F1 while it learns FashionMNIST: its cells on a plane of three images (Figures 2.11-2.13)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch  # a benchmark of the torch bridge
from evolution.cells import Cells, cells_of
from evolution.runs import BATCH, KEPT
from torch import nn
from training import data

from reluflow.cells import Plane, plane_through
from reluflow_torch.networks import f1

LEARNT, EPOCHS, WIDTH = 5000, 10, 256
DECAYS = (5, 7)
"""Epochs after which the rate is divided by 10."""
SHOWN = (0, 1, EPOCHS)
"""Epochs whose cells are drawn."""
SEED, SIDE, COUNTED = 2, 200, 100
"""Pixels of a picture and of the grid that is counted, each way."""
VARIANTS = {"without normalisation": False, "with normalisation": True}


@functools.cache
def images() -> torch.Tensor:
    """Return the images that are learnt."""
    return data.load("fashion")["train"].images[:LEARNT]


def plane() -> Plane:
    """Return the plane through three images: (0, 0), (1, 0) and (0, 1)."""
    chosen = np.random.default_rng(SEED).choice(LEARNT, 3, replace=False)
    return plane_through(images()[chosen].numpy(), (-5, 5, -5, 5))


def states(norm: bool, folder: Path = KEPT) -> Iterator[tuple[int, nn.Module]]:
    """Yield F1 before the training and after each epoch, trained once and kept in a folder."""
    torch.manual_seed(0)
    model = f1(width=WIDTH, norm=norm, bias=not norm)
    optimizer = torch.optim.Adam(model.parameters())
    rates = torch.optim.lr_scheduler.MultiStepLR(optimizer, DECAYS)
    labels = data.load("fashion")["train"].labels[:LEARNT]
    order = torch.Generator().manual_seed(0)
    for epoch in range(EPOCHS + 1):
        file = folder / f"f1-{'bn' if norm else 'plain'}-{epoch}.pt"
        if file.exists():
            kept = torch.load(file, weights_only=True)
            model.load_state_dict(kept["model"])
            optimizer.load_state_dict(kept["optimizer"])
            rates.load_state_dict(kept["rates"])
            order.set_state(kept["order"])
        else:
            if epoch:
                model.train()
                mixed = torch.randperm(LEARNT, generator=order)
                for at in torch.split(mixed, BATCH):
                    optimizer.zero_grad()
                    loss = nn.functional.cross_entropy(model(images()[at]), labels[at])
                    torch.autograd.backward(loss)
                    optimizer.step()
                rates.step()
            elif norm:
                _measure(model)
            folder.mkdir(parents=True, exist_ok=True)
            parts: dict[str, Any] = {"optimizer": optimizer, "rates": rates, "model": model}
            kept = {name: part.state_dict() for name, part in parts.items()}
            torch.save(kept | {"order": order.get_state()}, file)
        model.eval()
        yield epoch, model


@torch.no_grad()
def _measure(model: nn.Module) -> None:
    """Let the running statistics be those of the images before the first step."""
    layers = [each for each in model.modules() if isinstance(each, nn.BatchNorm1d)]
    for layer in layers:
        layer.momentum = None  # the mean over all batches
    model.train()
    model(images())
    for layer in layers:
        layer.momentum = 0.1


def shown(norm: bool) -> dict[int, list[Cells]]:
    """Return the cells of all sites at the epochs that are drawn."""
    return {
        epoch: cells_of(model, plane(), SIDE) for epoch, model in states(norm) if epoch in SHOWN
    }


def counted(norm: bool) -> np.ndarray:
    """Return `(epochs + 1, sites)` numbers of patterns."""
    rows = [[each.count for each in cells_of(model, plane(), COUNTED)] for _, model in states(norm)]
    return np.array(rows)
