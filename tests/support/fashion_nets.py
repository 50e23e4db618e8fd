"""Small networks for real images, and 2000 of FashionMNIST, for tests of complete training runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reluflow_torch import networks

DATA = Path(__file__).resolve().parents[2] / "models" / "fashion_mnist_test_2000.npz"


def fashion(n: int = 2000) -> tuple[Tensor, Tensor]:
    """Return `(n, 1, 14, 14)` images of FashionMNIST, standardised, and `(n,)` labels."""
    with np.load(DATA) as file:
        images, labels = torch.from_numpy(file["image"][:n]), torch.from_numpy(file["label"][:n])
    images = nn.functional.avg_pool2d(images.float(), 2)
    return (images - images.mean()) / images.std(), labels


def f1(depth: int = 5, width: int = 64, norm: bool = False) -> nn.Sequential:
    """Return an F1-like network: `depth` hidden layers, with batch normalisation or without."""
    return networks.f1(depth, width, 196, norm=norm)


class Residual(nn.Module):
    """relu(x + conv(relu(norm(conv(x))))), with functional ReLUs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm(self.first(x)))
        return nn.functional.relu(x + self.second(inner))


def resnet(channels: int = 8) -> nn.Sequential:
    """Return a residual network of two blocks."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        Residual(channels),
        nn.MaxPool2d(2),
        Residual(channels),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 10),
    )


def convnet(channels: int = 8, norm: bool = False) -> nn.Sequential:
    """Return a plain convolutional network of four layers."""
    layers: list[nn.Module] = []
    units = 1
    for depth in range(4):
        layers.append(nn.Conv2d(units, channels, 3, stride=1 + (depth < 2), padding=1))
        layers += [nn.BatchNorm2d(channels)] if norm else []
        layers.append(nn.ReLU())
        units = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
