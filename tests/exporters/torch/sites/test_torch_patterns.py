"""Patterns are captured at every kind of switch, and capturing changes nothing."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_nets import SmallCNN, images, mlp

from reluflow.errors import OptionError
from reluflow.patterns import DEFAULT_SEED, fingerprint
from reluflow_torch import PatternCapture, fingerprints
from reluflow_torch.sites.hashing import _by_parity
from reluflow_torch.sites.pixels import sample_units

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
X[0, 0], X[1, 1] = 0.0, float("nan")


class Call(nn.Module):
    """Any function as a model; works on a copy, as some functions overwrite their input."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x.clone())


SWITCHES: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "F.relu": (F.relu, 0.0),
    "F.relu_": (F.relu_, 0.0),
    "torch.relu": (torch.relu, 0.0),
    "torch.relu_": (torch.relu_, 0.0),
    "Tensor.relu": (Tensor.relu, 0.0),
    "Tensor.relu_": (Tensor.relu_, 0.0),
    "nn.ReLU": (nn.ReLU(), 0.0),
    "nn.ReLU inplace": (nn.ReLU(inplace=True), 0.0),
    "nn.ReLU6": (nn.ReLU6(), 0.0),
    "nn.ReLU6 inplace": (nn.ReLU6(inplace=True), 0.0),
    "F.relu6": (F.relu6, 0.0),
    "hardtanh 0..1": (nn.Hardtanh(0.0, 1.0), 0.0),
    "nn.LeakyReLU": (nn.LeakyReLU(), 0.0),
    "F.leaky_relu_": (F.leaky_relu_, 0.0),
    "nn.PReLU": (nn.PReLU(), 0.0),
    "nn.PReLU a unit": (nn.PReLU(4), 0.0),
    "nn.RReLU": (nn.RReLU(), 0.0),
    "F.threshold": (lambda x: F.threshold(x, 0.3, -1.0), 0.3),
    "F.threshold_": (lambda x: F.threshold_(x, -0.2, 0.0), -0.2),  # type: ignore[attr-defined]
    "clamp": (lambda x: x.clamp(min=0), 0.0),
    "clamp_": (lambda x: x.clamp_(0.0, 2.0), 0.0),
    "torch.clip": (lambda x: torch.clip(x, 0), 0.0),
    "clamp_min": (lambda x: x.clamp_min(0), 0.0),
    "maximum": (lambda x: torch.maximum(x, torch.zeros(())), 0.0),
    "maximum turned": (lambda x: torch.maximum(torch.zeros(4), x), 0.0),
    "max of two": (lambda x: torch.max(x, torch.zeros_like(x)), 0.0),
    "where": (lambda x: torch.where(x > 0, x, 0.1 * x), 0.0),
    "where at 0.5": (lambda x: torch.where(x > 0.5, x, torch.zeros_like(x)), 0.5),
    "nn.Hardswish": (nn.Hardswish(), -3.0),
    "nn.Hardsigmoid": (nn.Hardsigmoid(), -3.0),
}

NO_SWITCHES: dict[str, Callable[[Tensor], Tensor]] = {
    "hardtanh": nn.Hardtanh(),
    "clamp from 0.1": lambda x: x.clamp(min=0.1),
    "clamp above": lambda x: x.clamp(max=0.0),
    "maximum with 1": lambda x: torch.maximum(x, torch.ones(())),
    "sigmoid": torch.sigmoid,
    "where of others": lambda x: torch.where(x > 0, torch.ones(()), torch.zeros(())),
    "gelu": F.gelu,
    "silu": F.silu,
}


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("with_gradients", [False, True])
def test_each_spelling_of_a_switch_is_caught(name: str, with_gradients: bool) -> None:
    function, threshold = SWITCHES[name]
    model = Call(function)
    torch.manual_seed(0)
    plain = model(X)
    x = X.clone().requires_grad_(with_gradients)
    torch.manual_seed(0)
    with PatternCapture(model) as capture:
        found = model(x)
    assert torch.equal(torch.nan_to_num(found, 7.0), torch.nan_to_num(plain, 7.0))
    (site,) = capture.patterns.values()
    np.testing.assert_array_equal(site.bits.numpy(), X.numpy() > threshold)
    assert int(site.nans) == 1
    assert (site.units, site.samples, site.population) == (4, 6, 6)


@pytest.mark.parametrize("name", NO_SWITCHES)
def test_what_is_no_switch_is_left_out(name: str) -> None:
    model = Call(NO_SWITCHES[name])
    with PatternCapture(model) as capture:
        model(X)
    assert len(capture.patterns) == 0


@pytest.mark.parametrize(
    "function", [F.gelu, F.silu, F.elu, F.selu, F.celu, F.softplus, F.mish, F.elu_]
)
def test_smooth_relatives_are_sites_on_request(function: Callable[[Tensor], Tensor]) -> None:
    model = Call(function)
    with PatternCapture(model, smooth=True) as capture:
        model(X)
    (site,) = capture.patterns.values()
    np.testing.assert_array_equal(site.bits.numpy(), X.numpy() > 0)


def test_sites_have_the_names_of_their_modules_in_the_order_of_calls() -> None:
    model = SmallCNN()
    ((x, _),) = images(1)
    with PatternCapture(model) as capture:
        model(x)
    assert list(capture.patterns) == ["act", "relu", "act#2", "relu#2"]
    assert [site.op for site in capture.patterns.values()] == ["relu"] * 4
    assert all(not module._forward_hooks for module in model.modules())
    assert all(not module._forward_pre_hooks for module in model.modules())


def test_a_function_in_a_block_is_named_after_the_block() -> None:
    model = nn.ModuleDict({"block": Call(F.relu)})
    with PatternCapture(model) as capture:
        model["block"](X)
    assert list(capture.patterns) == ["block/relu"]


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_scripted_part_is_seen_too() -> None:
    model = Call(torch.jit.trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.ones(2, 4)))
    with PatternCapture(model) as capture:
        model(X)
    assert [site.units for site in capture.patterns.values()] == [3]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("max_samples", [10_000, 64])
def test_every_pixel_is_a_sample_of_all_channels(
    layout: torch.memory_format, max_samples: int
) -> None:
    x = torch.randn(4, 6, 9, 7).to(memory_format=layout)
    model = Call(torch.relu)
    model.function = torch.relu
    with PatternCapture(nn.Identity(), max_samples=max_samples) as capture:
        torch.relu(x)
    (site,) = capture.patterns.values()
    assert (site.units, site.population) == (6, 4 * 9 * 7)
    bits = site.bits if site.bits.dim() == 2 else site.bits.transpose(1, 2).flatten(0, 1)
    everything = {tuple(row) for row in (x > 0).permute(0, 2, 3, 1).reshape(-1, 6).tolist()}
    assert {tuple(row) for row in bits.tolist()} <= everything
    assert len(bits) == site.samples == min(max_samples, 4 * 9 * 7)


def test_both_memory_layouts_keep_the_same_samples() -> None:
    x = torch.randn(4, 6, 9, 7)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        with PatternCapture(nn.Identity(), max_samples=64) as capture:
            torch.relu(x.to(memory_format=layout))
        (site,) = capture.patterns.values()
        bits = site.bits if site.bits.dim() == 2 else site.bits.transpose(1, 2).flatten(0, 1)
        found.append(bits)
    assert torch.equal(*found)


def test_the_kept_pixels_spread_over_images_and_places() -> None:
    x = torch.arange(50 * 400.0).reshape(50, 1, 20, 20) + 1
    kept = sample_units(x, 1, 1000).flatten() - 1
    image, place = kept.div(400, rounding_mode="floor"), kept % 400
    assert torch.equal(image.unique(return_counts=True)[1], torch.full((50,), 20))
    counts = torch.histc(place, 20, 0, 400)
    assert counts.min() >= 30
    assert len(kept.unique()) == 1000


@pytest.mark.parametrize("rank3", ["convolution", "linear"])
def test_rank_3_asks_the_producer_where_the_units_are(rank3: str) -> None:
    model: nn.Module = nn.Conv1d(3, 8, 3) if rank3 == "convolution" else nn.Linear(10, 8)
    with PatternCapture(model) as capture:
        model(torch.randn(2, 3, 10)).relu()
    (site,) = capture.patterns.values()
    assert site.units == 8


def test_catching_leaves_results_and_gradients_as_they_are() -> None:
    batch = images(1)[0]
    grads = []
    for caught in (False, True):
        model = SmallCNN()
        capture = PatternCapture(model)
        if caught:
            with capture:
                loss = F.cross_entropy(model(batch[0]), batch[1])
        else:
            loss = F.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_a_pass_that_fails_leaves_no_hook_behind() -> None:
    model = mlp()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), PatternCapture(model):
        model(torch.ones(2, 3))
    assert all(not module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("shape", [(7, 33), (3, 5, 4), (2, 70, 3, 3)])
def test_fingerprints_are_those_of_the_toolkit(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    with PatternCapture(nn.Identity()) as capture:
        torch.relu(x)
    (site,) = capture.patterns.values()
    expected = fingerprint(x.numpy(), unit_axis=1 if len(shape) > 2 else -1).keys
    for hashed in (fingerprints, partial(_by_parity, seed=DEFAULT_SEED)):  # CPU, other devices
        np.testing.assert_array_equal(hashed(site.bits).numpy().view(np.uint64), expected)


def test_at_least_one_sample_is_wanted() -> None:
    with pytest.raises(OptionError, match="max_samples is 0"):
        PatternCapture(nn.Identity(), max_samples=0)
