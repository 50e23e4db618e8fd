"""Hooks on modules give what the mode gives, where all switches are modules; else the mode does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reluflow_torch import PatternCapture, Patterns, StepProbe
from reluflow_torch.networks import BasicBlock, EightLayers
from reluflow_torch.sites.hooked.capture import LOOK_AGAIN, HookCapture
from reluflow_torch.training.probe import Batch


class Branches(nn.Module):
    """Switches of many kinds, one called twice, and a path that depends on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.leaky = nn.LeakyReLU(0.2, inplace=True)
        self.hard = nn.Hardswish()
        self.prelu = nn.PReLU(8)
        self.linear = nn.Linear(8, 8)
        self.rare = nn.ReLU6(inplace=True)
        self.threshold = nn.Threshold(0.1, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.leaky(self.norm(self.first(x)))
        y = self.prelu(self.hard(input=y))
        if x[0, 0, 0, 0] > 0:
            y = self.rare(y)
        z = self.threshold(self.linear(y.movedim(1, 3)))
        return self.leaky(self.linear(z))


class Functional(nn.Module):
    """A switch that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.act = nn.Linear(6, 8), nn.Linear(8, 8), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.b(self.act(self.a(x))))


class Mapped(nn.Module):
    """Calls its activation on tensors of torch.func."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.act = nn.Linear(6, 8), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.vmap(lambda row: self.act(self.a(row)))(x)


class Doubled(nn.ReLU):
    """A subclass may be any function."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + super().forward(-x)


def smooth_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 8), nn.ReLU(), nn.SiLU())


def image() -> Tensor:
    return torch.randn(16, 3, 5, 5).abs()


def vector() -> Tensor:
    return torch.randn(16, 6)


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], bool]] = {
    "branches": (Branches, image, False),
    "channels last": (
        lambda: Branches().to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        lambda: image().to(memory_format=torch.channels_last),
        False,
    ),
    "resnet": (lambda: EightLayers(BasicBlock), lambda: torch.randn(4, 1, 28, 28), False),
    "smooth left out": (smooth_net, vector, False),
    "smooth": (smooth_net, vector, True),
}


def same(a: Patterns, b: Patterns, values: bool) -> bool:
    def equal(x: Tensor | None, y: Tensor | None) -> bool:
        return x is y is None or (x is not None and y is not None and torch.equal(x, y))

    return list(a) == list(b) and all(
        torch.equal(a[name].bits, b[name].bits)
        and equal(a[name].values, b[name].values)
        and (a[name].values is not None) == values
        and (a[name].op, a[name].layer, a[name].population, int(a[name].nans))
        == (b[name].op, b[name].layer, b[name].population, int(b[name].nans))
        for name in a
    )


def probe_of(model: nn.Module, *, smooth: bool = False, max_samples: int = 64) -> StepProbe:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return StepProbe(model, optimizer, smooth=smooth, max_samples=max_samples)


def batch_of(x: Tensor) -> Batch:
    return Batch.now((x,), {}, torch.device("cpu"))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("max_samples", [4096, 32])
def test_hooks_capture_what_the_mode_does(name: str, values: bool, max_samples: int) -> None:
    torch.manual_seed(0)
    make, inputs, smooth = NETS[name]
    model, x = make(), inputs()
    probe = probe_of(model, smooth=smooth, max_samples=max_samples)
    with PatternCapture(model, smooth=smooth, max_samples=max_samples, values=values) as mode:
        expected = model(x)
    probe.patterns(batch_of(x))
    capture = probe.capture_of(batch_of(x), values=values)
    assert isinstance(capture, HookCapture)
    with capture:
        found = model(x)
    assert torch.equal(found, expected)
    taken = capture.take()
    assert taken is not None and same(mode.take(), taken, values)
    assert same(taken, probe.patterns(batch_of(x), values=values), values)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_new_path_through_the_model_is_looked_at() -> None:
    torch.manual_seed(0)
    model, x = Branches(), image()
    probe = probe_of(model)
    first = probe.patterns(batch_of(-x))
    assert "rare" not in first
    capture = probe.capture_of(batch_of(x))
    assert isinstance(capture, HookCapture)
    with capture:
        model(x)
    assert capture.take() is None
    passes = probe.forward_passes
    found = probe.patterns(batch_of(x))
    assert probe.forward_passes == passes + 1
    with PatternCapture(model, max_samples=64) as mode:
        model(x)
    assert "rare" in found and same(found, mode.take(), False)
    assert found["rare"].layer == mode.take()["rare"].layer
    # both paths are known now
    for inputs in (x, -x):
        assert isinstance(probe.capture_of(batch_of(inputs)), HookCapture)
        with probe.capture_of(batch_of(inputs)) as known:
            model(inputs)
        assert known.take() is not None


def test_a_probe_that_meets_a_new_path_repeats_its_pass() -> None:
    torch.manual_seed(0)
    model, x = Branches(), image()
    probe = probe_of(model)
    probe.patterns(batch_of(-x))
    state = torch.get_rng_state()
    buffers = [b.clone() for b in model.buffers()]
    found = probe.patterns(batch_of(x))
    assert probe.forward_passes == 3
    assert "rare" in found
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))


@pytest.mark.parametrize("make", [Functional, lambda: nn.Sequential(nn.Linear(6, 8), Doubled())])
def test_switches_that_are_no_modules_need_the_mode(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = make(), vector()
    probe = probe_of(model)
    with PatternCapture(model) as mode:
        model(x)
    for _ in range(3):
        assert same(mode.take(), probe.patterns(batch_of(x)), False)
        assert isinstance(probe.capture_of(batch_of(x)), PatternCapture)


def test_tensors_of_torch_func_are_left_to_the_mode() -> None:
    torch.manual_seed(0)
    model, x = Mapped(), vector()
    probe = probe_of(model)
    with PatternCapture(model) as mode:
        model(x)
    for _ in range(3):
        assert same(mode.take(), probe.patterns(batch_of(x)), False)
    assert isinstance(probe.capture_of(batch_of(x)), PatternCapture)


def test_modules_may_be_replaced_and_a_function_may_join() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Sequential(nn.ReLU()), nn.Dropout(0.5))
    x = vector()
    probe = probe_of(model)
    assert list(probe.patterns(batch_of(x))) == ["1.0"]
    model[1] = nn.Sequential(nn.ReLU(), nn.Linear(8, 4), nn.LeakyReLU())
    assert list(probe.patterns(batch_of(x))) == ["1.0", "1.2"]
    model[1] = nn.Identity()
    model.append(nn.ReLU())
    assert list(probe.patterns(batch_of(x))) == ["3"]

    class Clip(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(min=0.0)

    model[1] = Clip()
    for _ in range(LOOK_AGAIN + 1):  # a function that joins is seen at the next look
        found = probe.patterns(batch_of(x))
    assert list(found) == ["1/clamp", "3"]


def test_foreign_hooks_may_change_what_goes_in_and_out() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, 4), nn.ReLU())
    model[1].register_forward_hook(lambda module, args, result: result - 1.0)
    model[4].register_forward_pre_hook(lambda module, args: (-args[0],))
    x = vector()
    probe = probe_of(model)
    with PatternCapture(model, max_samples=64) as mode:
        model(x)
    probe.patterns(batch_of(x))
    capture = probe.capture_of(batch_of(x))
    assert isinstance(capture, HookCapture)
    assert same(mode.take(), probe.patterns(batch_of(x)), False)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
@pytest.mark.parametrize("reentrant", [False, True])
def test_each_site_counts_once_under_checkpointing(reentrant: bool) -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
            self.b = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = checkpoint(self.a, x, use_reentrant=reentrant)
            z: Tensor = checkpoint(self.b, y, use_reentrant=reentrant)
            return z

    torch.manual_seed(0)
    model, x = Checkpointed(), vector().requires_grad_()
    probe = probe_of(model)
    expected = probe.patterns(batch_of(x))
    capture = probe.capture_of(batch_of(x))
    assert isinstance(capture, HookCapture)
    with capture:
        result = model(x)
    result.sum().backward()
    taken = capture.take()
    assert list(expected) == ["a.1", "b.1"]
    assert taken is not None and same(taken, expected, False)


def test_bfloat16_under_autocast_gives_the_bits_of_the_mode() -> None:
    torch.manual_seed(0)
    model, x = EightLayers(BasicBlock), torch.randn(4, 1, 28, 28)
    probe = probe_of(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        batch = batch_of(x)
        with PatternCapture(model, max_samples=64, values=True) as mode:
            model(x)
        probe.patterns(batch)
        capture = probe.capture_of(batch, values=True)
        assert isinstance(capture, HookCapture)
        with capture:
            model(x)
    taken = capture.take()
    assert taken is not None and same(mode.take(), taken, True)
    assert same(taken, probe.patterns(batch, values=True), True)
