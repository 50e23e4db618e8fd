"""Pre-activations beside the bits: the same samples, above 0 exactly where the bits are set."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from reluflow_torch import PatternCapture, Patterns, StepProbe
from reluflow_torch.sites.chain import Chain, ChainCapture
from reluflow_torch.training.probe import Batch, Pass


def check(kept: Patterns, plain: Patterns) -> None:
    """Compare a capture with values to one without."""
    assert list(kept) == list(plain) and kept
    for name, site in kept.items():
        other = plain[name]
        assert other.values is None
        assert site.values is not None and site.values.shape == site.bits.shape
        assert site.values.dtype in (torch.float32, torch.float64)
        assert torch.equal(site.values > 0, site.bits)
        assert torch.equal(site.bits, other.bits)
        assert (site.op, site.layer, site.population) == (other.op, other.layer, other.population)
        assert int(site.nans) == int(other.nans) == int(site.values.isnan().sum())


SWITCHES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "relu in place": lambda x: x.clone().relu_(),
    "functional in place": lambda x: functional.relu(x.clone(), inplace=True),
    "leaky in place": lambda x: functional.leaky_relu(x.clone(), 0.2, inplace=True),
    "hardswish": functional.hardswish,
    "hardsigmoid in place": lambda x: functional.hardsigmoid(x.clone(), inplace=True),
    "threshold": lambda x: functional.threshold(x, 0.1, 0.0),
    "threshold in place": lambda x: functional.threshold(x.clone(), 0.1, 0.0, inplace=True),
    "relu6": functional.relu6,
    "clamp": lambda x: x.clamp(min=0.0),
    "maximum": lambda x: torch.maximum(torch.zeros_like(x), x),
    "where": lambda x: torch.where(x > 0.1, x, 0.0),
    "mask": lambda x: x * (x > 0),
}


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("max_samples", [4096, 32])
def test_values_are_above_zero_exactly_where_the_bits_are_set(
    switch: str, dtype: torch.dtype, max_samples: int
) -> None:
    torch.manual_seed(0)
    function = SWITCHES[switch]
    # 0.1 is 0.0999 in bfloat16: it must be rounded as the comparison rounds it.
    edges = torch.tensor([0.1, 0.0, -0.0, -3.0, 1e-40, float("nan")])
    for x in (torch.randn(64, 6), torch.randn(3, 6, 5, 5), torch.randn(2, 5, 6)):
        x.view(-1, 6)[0] = edges
        x = x.to(dtype)
        for layout in (x, x.to(memory_format=torch.channels_last) if x.dim() == 4 else x):
            model = nn.Identity()
            with PatternCapture(model, max_samples=max_samples, values=True) as kept:
                function(layout)
            with PatternCapture(model, max_samples=max_samples) as plain:
                function(layout)
            check(kept.take(), plain.take())


@pytest.mark.parametrize("max_samples", [4096, 8])
def test_values_are_the_pre_activations_less_the_threshold(max_samples: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Hardswish(inplace=True))
    x = torch.randn(8, 4)
    with PatternCapture(model, max_samples=max_samples, values=True) as capture:
        model(x)
    site = capture.take()["1"]
    assert site.values is not None
    assert torch.equal(site.values, model[0](x).detach() + 3.0)
    assert not site.values.requires_grad


def test_later_writes_into_the_pre_activations_do_not_reach_the_values() -> None:
    x = torch.randn(8, 4)
    kept = x.clone()
    with PatternCapture(nn.Identity(), values=True) as capture:
        torch.relu(x)
        x.mul_(-1.0)
    values = capture.take()["relu"].values
    assert values is not None and torch.equal(values, kept)


@pytest.mark.parametrize("max_samples", [4096, 10])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_chain_gives_the_values_of_the_mode(max_samples: int, in_place: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(inplace=in_place),
        nn.Linear(16, 24),
        nn.ReLU(inplace=in_place),
        nn.Linear(24, 3),
    )
    x = torch.randn(20, 3, 4)
    chain = Chain.of(model, (x,), {})
    assert chain is not None
    with PatternCapture(model, max_samples=max_samples, values=True) as slow:
        model(x)
    with ChainCapture(chain, max_samples, values=True) as quick:
        model(x)
    with torch.no_grad():
        probed = chain.patterns(x, max_samples, values=True)
        plain = chain.patterns(x, max_samples)
    for found in (quick.take(), probed, slow.take()):
        check(found, plain)
        for name, site in found.items():
            expected = slow.take()[name].values
            assert site.values is not None and expected is not None
            assert torch.equal(site.values, expected)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.LeakyReLU()])
def test_a_probe_keeps_values_and_cuts_them_with_the_bits(layer: nn.Module) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), layer, nn.Linear(6, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(32, 4)
    batch = Batch.now((x,), {}, torch.device("cpu"))
    probe = StepProbe(model, optimizer)
    whole = probe.patterns(batch, values=True)
    with probe.capture_of(batch, values=True) as capture:
        model(x)
    check(whole, probe.patterns(batch))
    taken = capture.take()
    assert taken is not None
    check(taken, probe.patterns(batch))
    few = StepProbe(model, optimizer, examples=8)
    few.learn_joins(Pass(Batch.now((x,), {}, x.device), whole), 8)
    with few.capture_of(batch, values=True) as capture:
        model(x)
    first = capture.take()
    assert first is not None
    for name, site in first.items():
        expected = few.patterns(batch, values=True)[name].values
        assert site.values is not None and expected is not None
        assert torch.equal(site.values > 0, site.bits)
        assert torch.allclose(site.values, expected, atol=1e-6)
