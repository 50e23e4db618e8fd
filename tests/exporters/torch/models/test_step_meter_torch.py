"""D through ONNX Runtime against D of the torch bridge, same step, same batch."""

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from reluflow.temperature import StepDistance, StepMeter
from reluflow_torch.sites.distance import distances
from reluflow_torch.sites.patterns import PatternCapture
from reluflow_torch.training.crossing import curves_of

ALL = 10**9


class Residual(nn.Module):
    """Convolutions with batch normalisation, a module ReLU used twice, a functional one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.dense = nn.Linear(8, 10)

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        x = self.relu(self.first_norm(self.first(x)))
        x = self.relu(self.second_norm(self.second(x)) + x)
        return self.dense(torch.relu(x - 0.5).mean((2, 3)))


def dense() -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for features in (100, 64, 64):
        layers += [nn.Linear(features, 64), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(64, 10))


def exported(network: nn.Module, x: "torch.Tensor") -> bytes:
    """Export as a training graph: batch normalisation and all names are kept."""
    file: Any = io.BytesIO()
    torch.onnx.export(
        copy.deepcopy(network).train(),
        (x,),
        file,
        input_names=["x"],
        dynamic_axes={"x": {0: "N"}},
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
        opset_version=17,
        dynamo=False,
    )
    return file.getvalue()


def state(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}


def both(
    network: nn.Module, x: "torch.Tensor", rate: float, meter: StepMeter
) -> tuple[StepDistance, StepDistance]:
    """Make one step of SGD and measure it in both ways."""
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    labels = torch.arange(len(x)) % 10
    before = state(network)
    with PatternCapture(network, max_samples=ALL) as first:
        loss = nn.functional.cross_entropy(network(x), labels)
    loss.backward()
    optimizer.step()
    after = state(network)
    with PatternCapture(network, max_samples=ALL) as second, torch.no_grad():
        network(x)
    found = meter.distance(before, after, x.numpy())
    return found, distances(first.patterns, second.patterns)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("make", [dense, Residual])
def test_both_ways_give_the_same_distance(make: Callable[[], nn.Module], is_training: bool) -> None:
    torch.manual_seed(0)
    network = make()
    x = torch.randn(32, 1, 10, 10)
    meter = StepMeter(exported(network, x), batch_statistics=is_training, threads=1)
    for rate in (1e-3, 1e-2, 1e-1, 1.0):
        changed = copy.deepcopy(network).train(is_training)
        through_onnx, bridge = both(changed, x, rate, meter)
        assert len(through_onnx.sites) == len(bridge.sites) == 3
        for one, other in zip(through_onnx.sites, bridge.sites, strict=True):
            assert one.samples == other.samples
            # The two runtimes add up in another order; that decides a sign only where a
            # pre-activation is within 1e-6 of 0, in about one sample of ten thousand.
            assert abs(one.changed - other.changed) <= 2
        assert through_onnx.mean_distance == pytest.approx(bridge.mean_distance, abs=1e-3)
    assert bridge.mean_distance > 0.05


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("make", [dense, Residual])
def test_both_ways_give_the_same_curves(make: Callable[[], nn.Module], is_training: bool) -> None:
    torch.manual_seed(0)
    network, rate = make(), 1e-2
    x = torch.randn(32, 1, 10, 10)
    meter = StepMeter(exported(network, x), batch_statistics=is_training, threads=1)
    network.train(is_training)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    nn.functional.cross_entropy(network(x), torch.arange(len(x)) % 10).backward()
    before = state(network)
    with PatternCapture(network, max_samples=ALL, values=True) as first, torch.no_grad():
        network(x)
    torch.optim.SGD(network.parameters(), lr=rate).step()
    with PatternCapture(network, max_samples=ALL, values=True) as second, torch.no_grad():
        network(x)
    bridge = curves_of(first.patterns, second.patterns, rate)
    through_onnx = meter.curves(before, state(network), x.numpy(), rate)
    for one, other in zip(through_onnx.values(), bridge.values(), strict=True):
        assert (one.samples, one.units) == (other.samples, other.units)
        # Rounding of float32: two runtimes add up in another order, and a sample in a hundred that
        # barely moves, or is next to the edge of a cell, is counted in the next one.
        apart = np.abs(np.cumsum(one.counts) - np.cumsum(other.counts))
        assert apart.max() <= 0.02 * one.samples
    for bits in (0.5, 1.0, 2.0, 3.0):
        assert through_onnx.rate(bits) == pytest.approx(bridge.rate(bits), rel=0.01)
