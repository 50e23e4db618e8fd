"""A plain chain is probed by its layers; the patterns must be those of the operator mode."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from reluflow_torch.sites.chain import Chain, ChainCapture
from reluflow_torch.sites.patterns import PatternCapture, Patterns, SiteNames


def nested() -> nn.Module:
    shared = nn.ReLU()
    return nn.Sequential(
        nn.Flatten(),
        nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(inplace=True)),
        nn.Linear(16, 24),
        shared,
        nn.Identity(),
        shared,
        nn.Linear(24, 3),
    )


def relu_first() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Identity(), nn.ReLU(), nn.Linear(12, 8), nn.ReLU())


def same(a: Patterns, b: Patterns) -> bool:
    return list(a) == list(b) and all(
        torch.equal(a[name].bits, b[name].bits)
        and (a[name].op, a[name].population) == (b[name].op, b[name].population)
        for name in a
    )


@pytest.mark.parametrize("make", [nested, relu_first])
@pytest.mark.parametrize("max_samples", [4096, 10])
def test_patterns_and_names_are_those_of_the_mode(
    make: Callable[[], nn.Module], max_samples: int
) -> None:
    torch.manual_seed(0)
    model, x = make(), torch.randn(20, 3, 4)
    kept = x.clone()
    chain = Chain.of(model, (x,), {})
    assert chain is not None
    with PatternCapture(model, max_samples=max_samples, names=SiteNames()) as slow:
        model(x)
    with ChainCapture(chain, max_samples) as quick:
        model(x)
    with torch.no_grad():
        probed = chain.patterns(x, max_samples)
    assert same(slow.patterns, quick.take())
    assert same(slow.patterns, probed)
    assert torch.equal(x, kept)
    assert not any(module._forward_hooks for module in model.modules())


def test_nan_is_inactive_and_counted_at_every_site() -> None:
    """One NaN input: all of the first site by its batch statistics, then one row of another."""
    for make, rows in ((nested, 4), (relu_first, 1)):
        model = make()
        x = torch.ones(4, 3, 4)
        x[0, 0, 0] = torch.nan
        chain = Chain.of(model, (x,), {})
        assert chain is not None
        with torch.no_grad():
            found = chain.patterns(x, 4096)
        with ChainCapture(chain, 4096) as quick, PatternCapture(model) as slow:
            model(x)
        for each in (found, quick.take(), slow.patterns):
            counts = [int(site.nans) for site in each.values()]
            assert counts == [
                rows * site.units if n or rows == 4 else 1 for n, site in enumerate(each.values())
            ]
            assert not any(site.bits[:rows].any() for site in list(each.values())[1:])


class Relu(nn.ReLU):
    """A subclass may do anything."""


def with_hook() -> nn.Module:
    model = relu_first()
    inner = model.get_submodule("3")
    inner.register_forward_hook(lambda module, args, result: result.relu())
    return model


def with_own_forward() -> nn.Module:
    model = relu_first()
    model.get_submodule("3").forward = torch.relu
    return model


@pytest.mark.parametrize(
    "make",
    [
        with_hook,
        with_own_forward,
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 4), Relu()),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Dropout(), nn.ReLU()),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.GELU()),
        lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
        lambda: nn.Flatten(),
    ],
)
def test_what_may_be_more_is_left_to_the_mode(make: Callable[[], nn.Module]) -> None:
    assert Chain.of(make(), (torch.randn(20, 3, 4),), {}) is None


def test_inputs_and_modes_decide_too() -> None:
    model, x = relu_first(), torch.randn(20, 3, 4)
    assert Chain.of(model, (x,), {"y": 1}) is None
    assert Chain.of(model, (x.long(),), {}) is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Chain.of(model, (x,), {}) is None
    with PatternCapture(model):
        assert Chain.of(model, (x,), {}) is None
    assert Chain.of(model, (x,), {}) is not None
