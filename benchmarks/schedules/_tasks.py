"""What is learnt: FashionMNIST in memory, split once, and the three networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch  # a benchmark of the torch bridge
from torch import Tensor, nn

from reluflow.data import InputSpec, open_data, read_labels
from reluflow_torch.networks import BasicBlock, EightLayers, f1

FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its four idx.gz files."""
MEAN, STD = 0.2860, 0.3530  # of the training images on the scale [0, 1]
N_TRAIN, N_VALIDATION = 55_000, 5_000
SPLIT_SEED = 55_005
FILES = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Split:
    """Images, float32 `(n, 1, 28, 28)` with mean 0 and variance 1, and labels, int64 `(n,)`."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Pixels:
    """Images as stored, uint8 `(n, 28, 28)`, and labels, int64 `(n,)`."""

    images: np.ndarray
    labels: np.ndarray


def load(folder: Path = FOLDER) -> dict[str, Split]:
    """Reads FashionMNIST and splits its 60,000 training images into `train` and `validation`."""
    return {
        name: Split(torch.from_numpy(scaled(part.images)), torch.from_numpy(part.labels))
        for name, part in pixels(folder).items()
    }


def pixels(folder: Path = FOLDER) -> dict[str, Pixels]:
    """Reads the three parts of `load` without scaling their images."""
    read, test = _stored(folder, "train"), _stored(folder, "test")
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    order = torch.randperm(len(read.images), generator=generator).numpy()
    kept, held_out = order[:N_TRAIN], order[N_TRAIN : N_TRAIN + N_VALIDATION]
    return {
        "train": Pixels(read.images[kept], read.labels[kept]),
        "validation": Pixels(read.images[held_out], read.labels[held_out]),
        "test": test,
    }


def scaled(images: np.ndarray) -> np.ndarray:
    """Brings images to float32 `(n, 1, 28, 28)` of mean 0 and variance 1."""
    return ((images[:, None].astype(np.float32) / 255 - MEAN) / STD).astype(np.float32)


def _stored(folder: Path, name: str) -> Pixels:
    spec = InputSpec("image", np.dtype(np.uint8), ("N", 28, 28))
    stored = open_data(folder / f"{FILES[name]}-images-idx3-ubyte.gz", [spec])
    images = np.concatenate([batch["image"] for batch in stored.batches(10_000)])
    return Pixels(images, read_labels(folder / f"{FILES[name]}-labels-idx1-ubyte.gz"))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "f1": f1,
    "f1_bn": lambda: f1(norm=True, bias=False),
    "resnet8": lambda: EightLayers(BasicBlock, stem_stride=2),
}
TITLES = {"f1": "F1", "f1_bn": "F1 + BN", "resnet8": "ResNet-8"}
EPOCHS = {"f1": 15, "f1_bn": 15, "resnet8": 5}


def build(name: str, seed: int) -> nn.Module:
    """Makes a network with fresh weights; the same seed gives the same weights."""
    torch.manual_seed(seed)
    net = NETWORKS[name]()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net
