"""Compiled models: trained as graphs, measured through the eager module inside."""

from typing import Any

import pytest
import torch
from torch_nets import MILD, Constant, everything, mlp, same, train, vectors

from reluflow.errors import DataError
from reluflow_torch import ActCoolLR

# the compiler of torch imports modules of its own that are deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


def compiled(way: str) -> tuple[torch.nn.Sequential, Any]:
    """Return a model and what the training loop calls."""
    model = mlp()
    if way == "around":
        return model, torch.compile(model, backend="aot_eager")
    if way == "whole graph":
        return model, torch.compile(model, backend="aot_eager", fullgraph=True)
    if way == "in place":
        model.compile(backend="aot_eager")
    else:
        inner: Any = torch.compile(model[0], backend="aot_eager")
        model[0] = inner
        model[2].compile(backend="aot_eager")
    return model, model


@pytest.mark.parametrize("way", ["around", "whole graph", "in place", "in parts"])
def test_a_compiled_model_gets_the_rates_of_the_eager_one(way: str) -> None:
    found = []
    for chosen in ("eager", way):
        model, called = (mlp(), None) if chosen == "eager" else compiled(way)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = ActCoolLR(optimizer, called or model, 12, schedule=MILD)
        torch.manual_seed(4)
        found.append(
            [rate for (rate,) in train(called or model, optimizer, vectors(12), scheduler)]
        )
        assert scheduler.distances is not None
        assert len(scheduler.distances.sites) == 2
    assert found[1] == pytest.approx(found[0], rel=1e-3)


def test_measuring_changes_nothing_of_a_compiled_training() -> None:
    ends = []
    for is_watched in (False, True):
        model, called = compiled("around")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        scheduler = (
            ActCoolLR(optimizer, called, 12, controller=Constant(0.05)) if is_watched else None
        )
        torch.manual_seed(4)
        train(called, optimizer, vectors(12), scheduler)
        ends.append(everything(model, optimizer))
    assert same(*ends)


@pytest.mark.slow
def test_with_the_code_of_the_default_compiler() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 5))
    called: Any = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, called, 9, schedule=MILD)
    train(called, optimizer, vectors(9), scheduler)
    assert scheduler.n_probes == 8
    assert scheduler.distances is not None
    assert scheduler.distances.sites[0].name == "1"


def test_the_module_inside_a_compiled_one_is_no_good() -> None:
    model, called = compiled("around")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 9, schedule=MILD)
    with pytest.raises(DataError, match="compile or wrap that module first"):
        train(called, optimizer, vectors(9), scheduler)


@pytest.mark.parametrize("way", ["around", "whole graph", "in place"])
def test_hooks_of_probes_cause_no_new_graph(way: str) -> None:
    """Probes hang hooks on the modules inside, and run these eagerly."""
    torch._dynamo.reset()
    model, called = compiled(way)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scheduler = ActCoolLR(optimizer, called, 24, controller=Constant(0.05))
    batches = vectors(24)
    graphs = []
    for part in (batches[:1], batches[1:]):
        train(called, optimizer, part, scheduler)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[1] > 0
    assert scheduler.n_probes >= 24 // 3
