"""Flips of a step: per site, per example of its batch, per sample of the data; strikes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fashion_nets import convnet, f1, fashion, resnet
from torch import Tensor, nn
from torch.optim import SGD

from reluflow.errors import DataError
from reluflow.monitoring import SampleFlips, StrikeWatch
from reluflow.patterns import read
from reluflow_torch import PatternCapture, PatternMonitor

Make = Callable[[], nn.Module]


def bits_of(model: nn.Module, images: Tensor) -> dict[str, np.ndarray]:
    """Site -> `(examples, units and pixels)`, in the mode that the model is in; buffers kept."""
    kept = {name: value.clone() for name, value in model.named_buffers()}
    with PatternCapture(model, max_samples=10**9) as capture, torch.no_grad():
        model(images)
    for name, value in model.named_buffers():
        value.copy_(kept[name])
    return {
        name: site.bits.reshape(len(images), -1).numpy() for name, site in capture.patterns.items()
    }


def step(model: nn.Module, optimizer: SGD, images: Tensor, labels: Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()


NETS: list[Make] = [
    lambda: f1(2, 24),
    lambda: f1(2, 24, norm=True),
    lambda: convnet(norm=True),
    resnet,
]


@pytest.mark.parametrize("make", NETS)
def test_flips_are_those_of_two_states_by_hand(make: Make, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, labels = fashion(40)
    model = make()
    optimizer = SGD(model.parameters(), lr=0.3)
    with PatternMonitor(optimizer, model, every=1, recorder=tmp_path, max_samples=10**9) as monitor:
        before = bits_of(model, images)
        step(model, optimizer, images, labels)
        after = bits_of(model, images)
    flips = {name: before[name] != after[name] for name in before}
    rows = {row["site"]: row["flip_fraction"] for row in read(tmp_path).to_pylist()}
    mean = rows.pop("mean")
    assert rows == {name: pytest.approx(each.mean()) for name, each in flips.items()}
    assert mean == pytest.approx(np.mean(list(rows.values())))
    assert mean > 0
    by_example = np.mean([each.mean(axis=1) for each in flips.values()], axis=0)
    assert [len(each) for each in monitor.batch_flips if each is not None] == [40]
    assert monitor.batch_flips[0] == pytest.approx(by_example)


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("cut", [40, 25])
def test_samples_of_the_data_are_told_apart(make: Make, cut: int, tmp_path: Path) -> None:
    """Another batch trains: the flips are of the data, normalised by its own batches."""
    torch.manual_seed(0)
    images, labels = fashion(80)
    model = make()
    optimizer = SGD(model.parameters(), lr=0.3)
    data = [images[:cut], images[cut:40]] if cut < 40 else images[:40]
    sums = np.zeros(40)
    shares = []
    with PatternMonitor(
        optimizer,
        model,
        every=0,
        flips_every=2,
        data=data,
        recorder=tmp_path,
        max_samples=10**9,
    ) as monitor:
        for at in range(5):
            parts = [images[:cut], images[cut:40]] if cut < 40 else [images[:40]]
            before = [bits_of(model, part) for part in parts]
            chosen = torch.randint(40, 80, (16,))
            step(model, optimizer, images[chosen], labels[chosen])
            if at % 2 == 0:
                after = [bits_of(model, part) for part in parts]
                flips = [
                    np.concatenate([b[name] != a[name] for b, a in zip(before, after, strict=True)])
                    for name in before[0]
                ]
                sums += np.mean([each.mean(axis=1) for each in flips], axis=0)
                shares.append(np.mean([each.mean() for each in flips]))
    assert monitor.sample_flips.steps == 3
    assert monitor.sample_flips.sums == pytest.approx(sums)
    rows = [row for row in read(tmp_path).to_pylist() if row["site"] == "mean"]
    assert [row["data_flip_fraction"] for row in rows] == pytest.approx(shares)
    assert SampleFlips.read(tmp_path).mean == pytest.approx(sums / 3)


def test_few_pixels_of_each_example_are_enough_to_tell_it_apart() -> None:
    torch.manual_seed(0)
    images, labels = fashion(40)
    model = convnet(norm=True)
    optimizer = SGD(model.parameters(), lr=0.3)
    with PatternMonitor(
        optimizer, model, every=0, flips_every=1, data=images, max_samples=8
    ) as monitor:
        step(model, optimizer, images, labels)
    assert monitor.sample_flips.mean.shape == (40,)
    assert len(np.unique(monitor.sample_flips.mean)) > 5


@pytest.mark.parametrize("pieces", [[24, 16], [8, 8, 24], [40]])
def test_passes_of_one_step_are_told_apart(pieces: list[int]) -> None:
    """Gradients accumulated over micro-batches: one vector for each, all samples in the mean."""
    torch.manual_seed(0)
    images, labels = fashion(40)
    model = f1(2, 24)
    optimizer = SGD(model.parameters(), lr=0.3)
    parts = [*zip(images.split(pieces), labels.split(pieces), strict=True)]
    with PatternMonitor(optimizer, model, every=1) as monitor:
        before = bits_of(model, images)
        for x, y in parts:
            nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        after = bits_of(model, images)
    flips = np.mean([(before[name] != after[name]).mean(axis=1) for name in before], axis=0)
    found = [each for each in monitor.batch_flips if each is not None]
    assert [len(each) for each in found] == pieces
    assert np.concatenate(found) == pytest.approx(flips)


class Noisy(nn.Module):
    """A network with dropout, batch statistics and a random number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = f1(2, 16, norm=True)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(self.drop(x) + 0.01 * torch.randn(()))
        return found


@pytest.mark.parametrize("make", [Noisy, resnet, lambda: convnet(norm=True)])
@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_training_stays_the_same_bit_for_bit(make: Make, statistics: str, tmp_path: Path) -> None:
    def run(watched: bool) -> list[bytes]:
        torch.manual_seed(0)
        images, labels = fashion(100)
        model = make()
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        monitor = None
        if watched:
            monitor = PatternMonitor(
                optimizer,
                model,
                every=2,
                keep_every=3,
                flips_every=1,
                data=[images[:30], images[30:50]],
                recorder=tmp_path,
                statistics=statistics,
            )
        for _ in range(5):
            chosen = torch.randint(0, 100, (20,))
            step(model, optimizer, images[chosen], labels[chosen])
        if monitor is not None:
            monitor.close()
            assert monitor.sample_flips.steps == 5
        assert all(module.training for module in model.modules())
        tensors = [*model.state_dict().values(), torch.get_rng_state()]
        tensors += [kept["momentum_buffer"] for kept in optimizer.state.values()]
        return [tensor.numpy().tobytes() for tensor in tensors]

    assert run(True) == run(False)


class Pair(nn.Module):
    """Two inputs, one with a row for all examples."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return self.body(x * scale)


def test_data_without_a_row_per_example_is_refused_and_batches_of_it_are_none() -> None:
    torch.manual_seed(0)
    x, scale = torch.randn(6, 4), torch.ones(1)
    model = Pair()
    optimizer = SGD(model.parameters(), lr=0.5)
    with PatternMonitor(optimizer, model, every=1) as monitor:
        model(x, scale).sum().backward()
        optimizer.step()
    assert monitor.batch_flips == [None]
    with PatternMonitor(optimizer, model, every=0, flips_every=1, data=(x, scale)):
        model(x, scale).sum().backward()
        with pytest.raises(DataError, match=r"batch 0 of data has inputs of shapes \[\(6, 4\), "):
            optimizer.step()


@pytest.mark.parametrize("kind", ["scaled", "negative", "noise"])
@pytest.mark.parametrize("make", [NETS[0], convnet, resnet])
def test_a_batch_of_another_kind_strikes(kind: str, make: Make, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, labels = fashion(400)
    model = make()
    optimizer = SGD(model.parameters(), lr=0.02)
    bad = {
        "scaled": lambda x: 30 * x,
        "negative": lambda x: -10 * x,
        "noise": lambda x: 20 * torch.randn_like(x),
    }[kind]
    with PatternMonitor(
        optimizer, model, every=1, flips_every=50, data=images[:50], recorder=tmp_path
    ) as monitor:
        for at in range(60):
            chosen = torch.randint(0, 400, (32,))
            given = bad(images[chosen]) if at == 45 else images[chosen]
            wrong = labels[chosen].roll(1) if at == 45 else labels[chosen]
            step(model, optimizer, given, wrong)
    assert 45 in [strike.step for strike in monitor.strikes]
    assert min(strike.step for strike in monitor.strikes) == 45  # later ones repair what it broke
    marks = [row["strike"] for row in read(tmp_path).to_pylist() if row["site"] == "mean"]
    assert [at for at, mark in enumerate(marks) if mark] == [s.step for s in monitor.strikes]


def test_flips_and_strikes_go_on_from_a_state() -> None:
    def run(stop: int | None) -> tuple[Any, Any]:
        torch.manual_seed(0)
        images, labels = fashion(100)
        model = f1(2, 24, norm=True)
        optimizer = SGD(model.parameters(), lr=0.1)
        watch = StrikeWatch(warm_up=2, window=4, least=1.01, sigmas=0.1)
        settings: dict[str, Any] = {"every": 1, "flips_every": 2, "data": images[:20]}
        monitor = PatternMonitor(optimizer, model, strike_watch=watch, **settings)
        strikes = []
        for at in range(9):
            if at == stop:
                kept = io.BytesIO()
                torch.save(monitor.state_dict(), kept)
                strikes = monitor.strikes
                monitor.close()
                kept.seek(0)
                monitor = PatternMonitor(optimizer, model, **settings)
                monitor.load_state_dict(torch.load(kept, weights_only=True))
            step(model, optimizer, images[10 * at : 10 * at + 10], labels[10 * at : 10 * at + 10])
        monitor.close()
        return strikes + monitor.strikes, monitor.sample_flips.sums.tolist()

    whole = run(None)
    assert whole[0]
    assert run(5) == whole


def test_a_state_of_before_there_were_flips_is_read() -> None:
    model = f1(1, 4)
    optimizer = SGD(model.parameters(), lr=0.1)
    state = PatternMonitor(optimizer, model).state_dict()
    for key in ("strike_watch", "flip_sums", "flip_steps"):
        del state[key]
    monitor = PatternMonitor(optimizer, model)
    monitor.load_state_dict(state | {"step": 3})
    assert (monitor.step, monitor.sample_flips.steps) == (3, 0)
