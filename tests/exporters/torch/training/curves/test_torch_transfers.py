"""A probe makes the host wait for the device once, whatever it reads.

The host's own device is treated as one that is waited for, so that all that would wait is counted.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_nets import SmallCNN, images, mlp, vectors

from reluflow.temperature import ActCoolOptions, CrossingOptions, PowerSchedule
from reluflow_torch import ActCoolLR
from reluflow_torch.sites.device.transfer import Transfer, to_host

READS = ("item", "tolist", "cpu", "__bool__", "__float__", "__int__", "__array__")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class Hooked(nn.Module):
    """Convolutions whose switches are all modules, so that hooks capture them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3)
        self.norm, self.act, self.head = nn.BatchNorm2d(8), nn.ReLU(), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.second(self.act(self.norm(self.first(x)))))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 24), nn.ReLU(), nn.Linear(24, 5)
    )


NETS: dict[str, tuple[Any, Any]] = {
    "a chain": (plain, vectors),
    "dense, with dropout": (mlp, vectors),
    "by hooks": (Hooked, images),
    "by the mode": (SmallCNN, images),
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield a list that grows with every read for which the host would wait."""
    found: list[str] = []

    def counted(name: str, read: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            found.append(name)
            return read(*args, **kwargs)

        return call

    for name in READS:
        monkeypatch.setattr(Tensor, name, counted(name, getattr(Tensor, name)))
    monkeypatch.setattr(torch, "equal", counted("equal", torch.equal))
    for name, module in list(sys.modules.items()):
        if name.startswith("reluflow_torch") and hasattr(module, "waits_for"):
            monkeypatch.setattr(module, "waits_for", lambda device: True)
    yield found


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize(
    ("options", "bits", "passes"),
    [
        (CrossingOptions(longest=8), 0.5, 1),
        (CrossingOptions(longest=8, short=0.1), 0.5, 1),  # of such a step a part is measured too
        (CrossingOptions(longest=8, short=0.1), 0.5, 2),
        (ActCoolOptions(), 0.5, 1),
        (ActCoolOptions(), 0.5, 2),
    ],
)
def test_a_probe_reads_once(
    reads: list[str], kind: str, options: Any, bits: float, passes: int
) -> None:
    make, data = NETS[kind]
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scheduler = ActCoolLR(optimizer, model, 400, schedule=PowerSchedule(bits), options=options)
    batches = data(48 * passes)
    counts: dict[bool, list[int]] = {True: [], False: []}
    extra = set()
    for step in range(48):
        reads.clear()
        probes, is_fit_due = scheduler.n_probes, scheduler.controller.fit_due
        forwards = scheduler.forward_passes
        optimizer.zero_grad()
        for x, y in batches[passes * step : passes * (step + 1)]:
            nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()
        if not is_fit_due and scheduler.n_probes != 0 and step > 8:
            counts[scheduler.n_probes > probes].append(len(reads))
            extra.add((scheduler.forward_passes - forwards) // passes)
    assert not any(counts[False])
    assert len(counts[True]) >= 4
    assert counts[True] == [1] * len(counts[True])
    is_part = isinstance(options, CrossingOptions) and options.short < bits
    # Where examples join in convolutional networks, a part of a batch runs before the step as well.
    is_alone = isinstance(options, CrossingOptions) and kind not in (
        "a chain",
        "dense, with dropout",
    )
    assert max(extra) == 1 + is_part + is_alone


@needs_cuda
@pytest.mark.parametrize("bits", [0.5, 3.0])
def test_a_probe_by_crossing_rates_waits_once_for_the_device(bits: float) -> None:
    model = plain().cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    options = CrossingOptions(longest=8)
    scheduler = ActCoolLR(optimizer, model, 400, schedule=PowerSchedule(bits), options=options)
    for step, (x, y) in enumerate(vectors(48)):
        x, y = x.cuda(), y.cuda()
        probes = scheduler.n_probes
        torch.cuda.synchronize()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            scheduler.step()
        torch.cuda.set_sync_debug_mode("default")
        if step > 8:
            found = [each for each in caught if "synchroniz" in str(each.message)]
            assert len(found) <= int(scheduler.n_probes > probes)


@pytest.mark.parametrize("is_away", [False, True])
def test_numbers_of_any_type_and_shape_come_together(
    monkeypatch: pytest.MonkeyPatch, is_away: bool
) -> None:
    module = sys.modules[to_host.__module__]
    monkeypatch.setattr(module, "waits_for", lambda device: is_away)
    tensors = [
        torch.tensor(True),
        torch.arange(6, dtype=torch.int32).reshape(2, 3),
        torch.tensor(2.5, dtype=torch.float64),
        torch.ones(0, 4),
        torch.arange(12.0).reshape(3, 4).T,
        torch.tensor([[1], [-(2**40)]]),
    ]
    transfer = Transfer()
    early = [transfer.ask(each) for each in tensors[:4]]
    assert float(early[2]()) == 2.5
    late = [transfer.ask(each) for each in tensors[4:]]
    for tensor, answer in zip(tensors, early + late, strict=True):
        found = answer()
        assert found.dtype == tensor.numpy().dtype
        assert np.array_equal(found, tensor.numpy())
        assert found.shape == tuple(tensor.shape)
