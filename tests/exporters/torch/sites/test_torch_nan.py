"""NaN is inactive and counted wherever patterns are recorded, not only at the last site."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_nets import MILD, mlp, train, vectors

from reluflow.errors import DivergenceError
from reluflow_torch import ActCoolLR, PatternCapture, StepProbe, distances
from reluflow_torch.sites.bits import switch_bits
from reluflow_torch.training.probe import Batch

NAN, INF = float("nan"), float("inf")
ROWS = {
    "plain": [1.0, -1.0, 0.0, 2.0],
    "one NaN": [1.0, NAN, -1.0, 0.0],
    "NaN alone": [NAN, NAN, NAN, NAN],
    "infinite": [INF, -INF, 1.0, -1.0],
    "both": [INF, NAN, -INF, 1.0],
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("threshold", [0.0, 0.5, -3.0])
def test_bits_and_count_are_those_of_a_comparison(name: str, threshold: float) -> None:
    x = torch.tensor(ROWS[name])
    bits, nans = switch_bits(x, threshold)
    np.testing.assert_array_equal(bits.numpy(), x.numpy() > threshold)
    assert int(nans) == int(np.isnan(x.numpy()).sum())
    if threshold == 0.0:
        bits, nans = switch_bits(x.relu(), 0.0, is_switched=True)
        np.testing.assert_array_equal(bits.numpy(), x.numpy() > 0)
        assert int(nans) == int(np.isnan(x.numpy()).sum())


class Masked(nn.Module):
    """The NaNs of the first site never reach the last one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(torch.relu(self.first(x)) - 0.1)
        return torch.relu(self.last(torch.nan_to_num(y)))


def test_every_site_counts_even_where_the_last_is_clean() -> None:
    model = Masked()
    x = torch.ones(5, 4)
    x[:2, 0] = NAN
    with PatternCapture(model) as capture:
        model(x)
    assert [int(site.nans) for site in capture.patterns.values()] == [16, 16, 0]
    first = next(iter(capture.patterns.values()))
    assert not first.bits[:2].any()
    model(x)[2:].sum().backward()
    probe = StepProbe(model, torch.optim.SGD(model.parameters(), lr=0.1))
    found = probe.patterns(Batch.now((x,), {}, torch.device("cpu")))
    assert distances(found, found).nans == 32


def test_nan_in_a_middle_site_ends_the_training() -> None:
    model = Masked()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _scheduler = ActCoolLR(optimizer, model, 9, schedule=MILD)
    model(torch.randn(64, 4)).square().mean().backward()
    assert model.first.bias.grad is not None
    model.first.bias.grad[0] = NAN
    with pytest.raises(DivergenceError, match="pre-activations are NaN after step 0"):
        optimizer.step()


def test_nan_between_two_probes_ends_it_at_the_next() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 20, schedule=MILD)
    train(model, optimizer, vectors(10), scheduler)
    with torch.no_grad():
        model.get_parameter("0.bias")[3] = NAN
    with pytest.raises(DivergenceError, match="pre-activations are NaN after step 11"):
        train(model, optimizer, vectors(10), scheduler)


def test_nan_of_the_inputs_is_told_and_is_no_divergence() -> None:
    model = Masked()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 9, schedule=MILD)
    x = torch.randn(64, 4)
    x[:3, 1] = NAN
    with pytest.warns(RuntimeWarning, match="48 pre-activations are NaN before step 0"):
        model(x)[3:].square().mean().backward()
        for weight in model.parameters():
            assert weight.grad is not None
            weight.grad.nan_to_num_()
        optimizer.step()
    assert scheduler.distances is not None
    assert scheduler.distances.nans == 48
