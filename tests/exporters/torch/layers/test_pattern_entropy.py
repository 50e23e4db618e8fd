"""The entropy loss: its value, its gradient, and what a training by it does."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reluflow.errors import DataError, OptionError
from reluflow_torch.layers import RELAXATIONS, PatternEntropy, pattern_entropy


def sample(n: int = 200, units: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, units, generator=generator, dtype=torch.float64) + 0.4


def shares(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pattern of each sample and the counts of all, without a hash."""
    number = ((y > 0).long() * 2 ** torch.arange(y.shape[1])).sum(1)
    return number, torch.bincount(number, minlength=2 ** y.shape[1])


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_the_gradient_is_that_of_the_formula(relaxation: str) -> None:
    y = sample().requires_grad_()
    entropy = pattern_entropy(y, relaxation)
    entropy.backward()
    number, counts = shares(y.detach())
    p = counts[counts > 0] / len(y)
    wanted = -(p * p.log2()).sum()
    assert torch.allclose(entropy.detach(), wanted.double())
    if relaxation == "quadratic":
        slope = y.detach()
    else:
        nearest = y.detach().abs().argmin(1)[:, None]
        slope = torch.zeros_like(y).scatter(1, nearest, y.detach().sign().gather(1, nearest))
    factor = (-(counts[number] / len(y)).log2() - wanted) / len(y)
    assert y.grad is not None
    assert torch.allclose(y.grad, factor[:, None] * slope)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_the_gradient_is_that_of_relaxed_counts_by_differences(relaxation: str) -> None:
    y = sample(12)
    number, counts = shares(y)
    start = RELAXATIONS[relaxation](y)

    def relaxed(moved: Tensor) -> Tensor:
        change = RELAXATIONS[relaxation](moved) - start
        c = counts.double().index_add(0, number, change)
        p = c[counts > 0] / c.sum()
        return -(p * p.log2()).sum()

    moved = y.clone().requires_grad_()
    pattern_entropy(moved, relaxation).backward()
    assert moved.grad is not None
    for at in np.ndindex(y.shape):
        step = torch.zeros_like(y)
        step[at] = 1e-6
        slope = (relaxed(y + step) - relaxed(y - step)) / 2e-6
        assert torch.isclose(slope, moved.grad[at], atol=1e-8)


def test_pixels_are_samples_and_the_axis_of_units_can_be_told() -> None:
    y = sample(64, 4)
    images = y.reshape(2, 4, 8, 4).permute(0, 3, 1, 2)
    assert torch.equal(pattern_entropy(images), pattern_entropy(y))
    assert torch.equal(pattern_entropy(y.T, unit_axis=0), pattern_entropy(y))


def test_ascending_makes_patterns_more_alike_in_number() -> None:
    torch.manual_seed(0)
    x = torch.randn(400, 2) @ torch.tensor([[1.0, 0.9], [0.0, 0.3]])
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with PatternEntropy(model) as entropy:
        seen = []
        for _ in range(60):
            optimizer.zero_grad()
            model(x)
            [value] = entropy.take().values()
            (-value).backward()
            optimizer.step()
            seen.append(value.item())
    assert seen[-1] > max(seen[0] + 0.2, 1.9)  # of at most 2 bits
    assert entropy.take() == {}
    model(x)
    assert entropy.take() == {}


def test_wrong_arguments_are_one_sentence() -> None:
    with pytest.raises(OptionError, match="relaxation is 'cubic'; give one of 'linear'"):
        pattern_entropy(sample(), "cubic")
    with pytest.raises(OptionError, match="relaxation is 'cubic'; give one of 'linear'"):
        PatternEntropy(nn.Sequential(nn.ReLU()), "cubic")
    with pytest.raises(DataError, match=r"preactivations are \[3\]; give at least one sample"):
        pattern_entropy(torch.zeros(3))
    with pytest.raises(OptionError, match=r"model has no nn.ReLU modules to watch"):
        PatternEntropy(nn.Linear(2, 2))
