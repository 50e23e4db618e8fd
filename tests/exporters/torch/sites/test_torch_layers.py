"""The layer that feeds a site has the same name in torch as in the exported file."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from reluflow.graph import find_sites, load
from reluflow_torch import PatternCapture, PatternMonitor
from reluflow_torch.sites.patterns import SiteNames


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.short = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.short(x))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.layer1 = nn.Sequential(Block(4), Block(4))
        self.fc1 = nn.Linear(4, 8)
        self.fc2 = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1(self.stem(x).relu_()).mean((2, 3))
        return self.fc2(functional.leaky_relu(self.fc1(x)))


class PreActivation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(6, 6)
        self.norm1 = nn.BatchNorm1d(6)
        self.norm2 = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.norm1(x).relu())
        return (self.norm2(x) * 2).clamp(min=0)


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(6, 12), nn.Linear(12, 6)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.down(self.up(self.norm(x)).relu())
        return x * (x > 0)


CASES = {
    "residual": (
        Residual,
        (2, 1, 6, 6),
        ["stem", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2", "fc1"],
    ),
    "pre-activation": (PreActivation, (4, 6), ["norm1", "body"]),
    "tokens": (Tokens, (2, 5, 6), ["up", "down"]),
    "sequential": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU()),
        (5, 3),
        ["0", "2"],
    ),
}


@pytest.mark.parametrize("with_grad", [False, True], ids=["no-grad", "grad"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_capture_names_the_layers(name: str, with_grad: bool) -> None:
    make, shape, layers = CASES[name]
    model, known = make().eval(), SiteNames()
    for _ in range(2):  # the second pass takes the names of the first
        with torch.set_grad_enabled(with_grad), PatternCapture(model, names=known) as capture:
            model(torch.randn(*shape))
        assert [site.layer for site in capture.patterns.values()] == layers


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_exported_file_names_the_same_layers(name: str) -> None:
    make, shape, layers = CASES[name]
    stream: Any = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(make().eval(), (torch.randn(*shape),), stream, dynamo=False)
    found = [site.layer for site in find_sites(load(stream.getvalue()))]
    assert found == layers


@pytest.mark.parametrize("name", ["residual", "sequential"])
def test_a_monitor_tells_the_layers(name: str) -> None:
    make, shape, layers = CASES[name]
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with PatternMonitor(optimizer, model, every=1) as monitor:
        model(torch.randn(*shape)).square().mean().backward()
        optimizer.step()
    assert list(monitor.layers.values()) == layers
    assert monitor.distances is not None
    assert [site.layer for site in monitor.distances.sites] == layers
