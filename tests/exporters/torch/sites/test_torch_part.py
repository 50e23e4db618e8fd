"""Measuring on the first examples of a batch: the same patterns, or a refusal."""

import pytest
import torch
from torch import nn
from torch_nets import MILD, mlp, train, vectors

from reluflow.errors import OptionError
from reluflow_torch import ActCoolLR, StepProbe, distances
from reluflow_torch.training.probe import Batch


class Plain(nn.Module):
    """Convolutions and a dense layer without anything that joins examples."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Linear(8, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first(x))
        return torch.relu(self.second(y.movedim(1, 3))).mean((1, 2)).relu()


@pytest.mark.parametrize("max_samples", [64, 4096])
def test_the_first_examples_have_the_patterns_of_the_whole_batch(max_samples: int) -> None:
    model = Plain()
    x = torch.randn(32, 1, 8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    whole = StepProbe(model, optimizer, max_samples=max_samples)
    part = StepProbe(model, optimizer, max_samples=max_samples, examples=8)
    batch = Batch.now((x,), {}, torch.device("cpu"))
    found = part.first_examples(whole.patterns(batch), batch, None, is_checked=True)
    assert [site.samples * 4 for site in found.values()] == [
        site.samples for site in whole.patterns(batch).values()
    ]
    assert distances(found, part.patterns(batch)).mean_distance == 0.0
    assert part.forward_passes == 2


def test_a_training_measures_on_the_examples_asked_for() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 12, schedule=MILD, examples=16)
    train(model, optimizer, vectors(12), scheduler)
    assert scheduler.controller.samples == 16
    assert scheduler.distances is not None
    assert scheduler.distances.sites[0].samples == 16


def test_a_model_that_joins_examples_is_refused() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 12, schedule=MILD, examples=16)
    with pytest.raises(OptionError, match="change when the other 48 leave the batch"):
        train(model, optimizer, vectors(1), scheduler)


def test_samples_that_belong_to_no_example_are_refused() -> None:
    model = nn.Sequential(nn.Linear(12, 40), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = StepProbe(model, optimizer, examples=2)
    x = torch.randn(7, 12)
    small = StepProbe(model, optimizer).patterns(Batch.now((x,), {}, torch.device("cpu")))
    batch = Batch.now((x[:3],), {}, torch.device("cpu"))
    with pytest.raises(OptionError, match="site 1 has 7 rows for 3 examples"):
        probe.first_examples(small, batch, None, is_checked=False)


def test_at_least_one_example_is_wanted() -> None:
    model = mlp()
    with pytest.raises(OptionError, match="examples is 0, but a distance wants at least 1"):
        ActCoolLR(torch.optim.SGD(model.parameters(), lr=0.1), model, 3, examples=0)
