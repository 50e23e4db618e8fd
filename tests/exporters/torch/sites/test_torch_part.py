"""Measuring on the first examples of a batch: the same patterns, or those of a batch of its own."""

import copy

import pytest
import torch
from torch import nn
from torch_nets import MILD, mlp, train, vectors

from reluflow.errors import OptionError
from reluflow_torch import ActCoolLR, StepProbe, distances
from reluflow_torch.sites.distance import pairs_of
from reluflow_torch.training.part_size import part_size
from reluflow_torch.training.probe import Batch, Pass


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
    probe = StepProbe(model, optimizer, max_samples=max_samples)
    whole = Batch.now((x,), {}, x.device)
    probe.learn_joins(Pass(whole, probe.patterns(whole)), 8)
    assert probe.joins is False
    part = Batch.now((x,), {}, x.device, 8)
    for _ in range(2):  # by the mode, then by what it has learned
        assert not probe.must_run_alone(part)
        with probe.capture_of(part, values=True) as capture:
            model(x)
        found, alone = capture.take(), probe.patterns(part, values=True)
        assert found is not None
        assert [site.samples for site in found.values()] == [
            site.samples for site in alone.values()
        ]
        pairs = pairs_of(found, alone)
        assert len(pairs) == len(found)
        # Rounding may differ with the size of a batch.
        for a, b in pairs:
            assert a.values is not None and b.values is not None
            assert torch.allclose(a.values, b.values, atol=1e-6)


def test_a_training_measures_on_the_examples_asked_for() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 12, schedule=MILD, examples=16)
    train(model, optimizer, vectors(12), scheduler)
    assert scheduler.controller.samples == 16
    assert scheduler.distances is not None
    assert scheduler.distances.sites[0].samples == 16


def test_a_model_that_joins_examples_runs_a_part_as_a_batch_of_its_own() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = StepProbe(model, optimizer)
    x = vectors(1)[0][0]
    whole, part = (Batch.now((x,), {}, x.device, examples) for examples in (None, 16))
    probe.learn_joins(Pass(whole, probe.patterns(whole)), 16)
    assert probe.joins is True
    assert probe.must_run_alone(part) and not probe.must_run_alone(whole)
    own = StepProbe(model, optimizer).patterns(Batch.now((x[:16],), {}, x.device))
    assert distances(probe.patterns(part), own).mean_distance == 0.0


def test_samples_that_belong_to_no_example_join_them() -> None:
    class Pairs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x[1:] - x[:-1])

    model, x = Pairs(), torch.randn(8, 4)
    probe = StepProbe(model, torch.optim.SGD(mlp().parameters(), lr=0.1))
    batch = Batch.now((x,), {}, x.device)
    probe.learn_joins(Pass(batch, probe.patterns(batch)), 4)
    assert probe.joins is True


@pytest.mark.parametrize("has_norm", [False, True])
def test_probes_take_a_part_of_the_batch_by_default_and_resume_with_it(has_norm: bool) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(40) if has_norm else nn.Identity()
    model = nn.Sequential(nn.Linear(12, 40), norm, nn.ReLU(), nn.Linear(40, 5))
    batches = vectors(40)

    def begun() -> tuple[nn.Module, torch.optim.Optimizer, ActCoolLR]:
        own = copy.deepcopy(model)
        optimizer = torch.optim.SGD(own.parameters(), lr=0.1)
        return own, optimizer, ActCoolLR(optimizer, own, 40, schedule=MILD)

    one, optimizer, scheduler = begun()
    train(one, optimizer, batches[:25], scheduler)
    assert scheduler.distances is not None
    assert scheduler.distances.sites[0].samples == (64 if has_norm else 32)
    states = [copy.deepcopy(each.state_dict()) for each in (one, optimizer, scheduler)]
    two, again, later = begun()
    two.load_state_dict(states[0])
    again.load_state_dict(states[1])
    later.load_state_dict(states[2])
    train(one, optimizer, batches[25:], scheduler)
    train(two, again, batches[25:], later)
    assert later.forward_passes == scheduler.forward_passes
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_part_costs_no_pass_before_the_step_where_examples_do_not_join() -> None:
    passes = {}
    for has_norm in (False, True):
        torch.manual_seed(0)
        norm = nn.BatchNorm1d(40) if has_norm else nn.Identity()
        model = nn.Sequential(nn.Linear(12, 40), norm, nn.ReLU(), nn.Linear(40, 5))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = ActCoolLR(optimizer, model, 60, schedule=MILD)
        train(model, optimizer, vectors(20), scheduler)
        before = scheduler.forward_passes, scheduler.n_probes
        train(model, optimizer, vectors(40), scheduler)
        passes[has_norm] = scheduler.forward_passes - before[0], scheduler.n_probes - before[1]
    assert passes[False][0] == passes[False][1] > 2
    assert passes[True][0] == passes[True][1] > 2  # of whole batches, since they join


def test_a_model_that_takes_one_batch_size_is_probed_whole() -> None:
    class Fixed(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.view(64, 12))

    model = Fixed(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 30, schedule=MILD)
    with pytest.warns(RuntimeWarning, match="does not run on a part of a batch"):
        train(model, optimizer, vectors(30), scheduler)
    assert scheduler.distances is not None
    assert scheduler.distances.sites[0].samples == 64


def test_at_least_one_example_is_wanted() -> None:
    model = mlp()
    with pytest.raises(OptionError, match="examples is 0, but a distance wants at least 1"):
        ActCoolLR(torch.optim.SGD(model.parameters(), lr=0.1), model, 3, examples=0)


@pytest.mark.parametrize("module", [nn.LSTM(4, 4), nn.TransformerEncoderLayer(4, 1, 4)])
def test_a_first_axis_that_may_be_time_is_not_cut(module: nn.Module) -> None:
    assert not part_size("auto", nn.Sequential(module)).is_auto
    assert part_size("auto", nn.LSTM(4, 4, batch_first=True)).is_auto
