"""Cells of small networks on a plane: what Figures 2.4 to 2.10 count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch  # a benchmark of the torch bridge
from numpy.typing import NDArray
from torch import Tensor, nn

from reluflow.cells import Plane, plane_of_inputs
from reluflow_torch import PatternCapture, fingerprints

Labels = NDArray[np.int64]
PART = 10_000
"""Points of a plane that are run at once."""
SIDE = 300
"""Pixels of a picture, each way."""
PLANE = plane_of_inputs()
MEASURED = 4096
"""Points, normal, that normalisation takes its statistics from where none are said."""


@dataclass(frozen=True)
class Cells:
    """The cells of one site.

    Attributes:
        labels: `(height, width)` number of the pattern at each pixel.
        keys: `(patterns, 2)` its fingerprint.
    """

    labels: Labels
    keys: NDArray[np.uint64]

    @property
    def count(self) -> int:
        """Number of patterns."""
        return len(self.keys)


def dense(
    layers: int, width: int, seed: int, *, bias: float | None = None, norm: bool = False
) -> nn.Sequential:
    """Return dense layers of one width from two inputs, each with ReLU.

    Args:
        layers: of them.
        width: units of each.
        seed: of the weights, He et al.'s normal ones.
        bias: of every unit; None: uniform, as torch draws it.
        norm: whether batch normalisation precedes each ReLU; `bias` is then its own.
    """
    torch.manual_seed(seed)
    net, at = nn.Sequential(), 2
    for _ in range(layers):
        layer = nn.Linear(at, width)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        scale = nn.BatchNorm1d(width) if norm else nn.Identity()
        if bias is not None:
            nn.init.constant_(layer.bias if not norm else scale.get_parameter("bias"), bias)
        net.extend([layer, scale, nn.ReLU()])
        at = width
    return net.eval()


@torch.no_grad()
def measure(net: nn.Module, points: Tensor) -> None:
    """Give batch normalisation the statistics of some points."""
    net.train()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.momentum = 1.0
    net(points)
    net.eval()


def normal(seed: int) -> Tensor:
    """Return points of a normal distribution, `(4096, 2)`."""
    return torch.randn(MEASURED, 2, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def cells_of(net: nn.Module, plane: Plane = PLANE, side: int = SIDE) -> list[Cells]:
    """Return the cells of every site on a grid."""
    points = plane.grid(side, side)
    keys: dict[str, list[NDArray[np.uint64]]] = {}
    for first in range(0, len(points), PART):
        inputs = torch.from_numpy(plane.at(points[first : first + PART]).astype(np.float32))
        with PatternCapture(net, max_samples=PART) as capture:
            net(inputs)
        for name, site in capture.patterns.items():
            keys.setdefault(name, []).append(fingerprints(site.bits).numpy().view(np.uint64))
    return [_numbered(np.concatenate(each), side) for each in keys.values()]


def _numbered(keys: NDArray[np.uint64], side: int) -> Cells:
    _, first, labels = np.unique(keys[:, 0], return_index=True, return_inverse=True)
    return Cells(labels.reshape(side, side), keys[first])


def counts(nets: Sequence[nn.Module], site: int = 0, side: int = SIDE) -> list[int]:
    """Return the number of patterns that one site of each network has on the plane."""
    return [cells_of(net, side=side)[site].count for net in nets]


def most_lines(width: int) -> int:
    """Return the cells into which so many lines in general position divide the plane."""
    return sum(math.comb(width, k) for k in range(3))
