"""What is learnt: FashionMNIST in memory, split once, and the three networks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch  # a benchmark of the torch bridge
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parents[2] / "models" / "recipes"))
from _fashion_mnist import DEBIAN_FOLDER, load_fashion_mnist
from _networks import BasicBlock

MEAN, STD = 0.2860, 0.3530  # of the training images on the scale [0, 1]
N_TRAIN, N_VALIDATION = 55_000, 5_000
SPLIT_SEED = 55_005
WIDTH, N_HIDDEN, N_CLASSES = 512, 5, 10
RESNET_WIDTHS = (16, 32, 64)


@dataclass(frozen=True)
class Split:
    """Images, float32 `(n, 1, 28, 28)` with mean 0 and variance 1, and labels, int64 `(n,)`."""

    images: Tensor
    labels: Tensor


def load(folder: Path = DEBIAN_FOLDER) -> dict[str, Split]:
    """Reads FashionMNIST and splits its 60,000 training images into `train` and `validation`."""
    images, labels = _tensors(folder, "train")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
    kept, held_out = order[:N_TRAIN], order[N_TRAIN : N_TRAIN + N_VALIDATION]
    return {
        "train": Split(images[kept], labels[kept]),
        "validation": Split(images[held_out], labels[held_out]),
        "test": Split(*_tensors(folder, "test")),
    }


def _tensors(folder: Path, name: str) -> tuple[Tensor, Tensor]:
    images, labels = load_fashion_mnist(folder, name)
    scaled = (images[:, None].astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(scaled.astype(np.float32)), torch.from_numpy(labels)


def f1(batch_norm: bool) -> nn.Sequential:
    """784-512-512-512-512-512-10 with ReLU, torch's own initial weights."""
    layers: list[nn.Module] = [nn.Flatten()]
    n_in = 28 * 28
    for _ in range(N_HIDDEN):
        layers.append(nn.Linear(n_in, WIDTH, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(WIDTH))
        layers.append(nn.ReLU())
        n_in = WIDTH
    return nn.Sequential(*layers, nn.Linear(n_in, N_CLASSES))


class StridedResNet8(nn.Module):
    """ResNet-8 of 16, 32 and 64 channels whose stem halves the image: a quarter of the work."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = RESNET_WIDTHS
        self.conv = nn.Conv2d(1, first, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.block1 = BasicBlock(first, first, stride=1)
        self.block2 = BasicBlock(first, second, stride=2)
        self.block3 = BasicBlock(second, third, stride=2)
        self.dense = nn.Linear(third, N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Maps images `(n, 1, 28, 28)` to logits `(n, 10)`."""
        x = self.relu(self.bn(self.conv(image)))
        x = self.block3(self.block2(self.block1(x)))
        return self.dense(x.mean((2, 3)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "f1": lambda: f1(batch_norm=False),
    "f1_bn": lambda: f1(batch_norm=True),
    "resnet8": StridedResNet8,
}
TITLES = {"f1": "F1", "f1_bn": "F1 + BN", "resnet8": "ResNet-8"}
EPOCHS = {"f1": 15, "f1_bn": 15, "resnet8": 5}


def build(name: str, seed: int) -> nn.Module:
    """Makes a network with fresh weights; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return NETWORKS[name]().to(memory_format=torch.channels_last)
