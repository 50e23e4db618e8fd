"""ActCoolLR by crossing rates, with real networks and optimisers."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch_nets import MILD, mlp, train, vectors

from reluflow.errors import DataError, DivergenceError, OptionError
from reluflow.temperature import (
    CrossingCool,
    CrossingOptions,
    PowerSchedule,
    start_for_widths,
)
from reluflow_torch import ActCoolLR

OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=0.1),
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9),
    "AdamW": lambda weights: torch.optim.AdamW(weights, lr=1e-3),
}


def net() -> nn.Module:
    """Return a network that draws no random numbers in training."""
    return nn.Sequential(
        *(nn.Linear(12, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU()),
        nn.Linear(40, 5),
    )


def chain() -> nn.Module:
    """Return a network whose examples do not depend on each other."""
    return nn.Sequential(
        *(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 5))
    )


def cooled(model: nn.Module, optimizer: Any, steps: int, **options: Any) -> ActCoolLR:
    settings = CrossingOptions(history_size=1000, **options)
    return ActCoolLR(optimizer, model, steps, schedule=MILD, options=settings)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("make", [mlp, net])
def test_probed_steps_have_about_the_wanted_temperature(make: Any, optimizer: str) -> None:
    model = make()
    chosen = OPTIMIZERS[optimizer](model.parameters())
    scheduler = cooled(model, chosen, 120, growth=math.inf)
    train(model, chosen, vectors(120), scheduler)
    assert isinstance(scheduler.controller, CrossingCool)
    history = [entry for entry in scheduler.controller.history if 20 < entry[0] < 100]
    assert len(history) > 3
    differences = [measured - wanted for _, _, wanted, measured in history]
    assert abs(sum(differences) / len(differences)) < 0.4
    assert scheduler.controller.n_measurements <= 4
    assert scheduler.progress == 1.0


def test_a_resumed_training_has_the_same_rates() -> None:
    def run(cut: int | None) -> list[Any]:
        torch.manual_seed(0)
        batches = list(vectors(60))
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scheduler = cooled(model, optimizer, 60)
        rates: list[Any] = []
        for step, batch in enumerate(batches):
            if step == cut:
                states = [copy.deepcopy(each.state_dict()) for each in (model, optimizer)]
                state = json.loads(json.dumps(scheduler.state_dict()))
                model = net()
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
                scheduler = cooled(model, optimizer, 60)
                model.load_state_dict(states[0])
                optimizer.load_state_dict(states[1])
                scheduler.load_state_dict(state)
            rates += train(model, optimizer, [batch], scheduler)
        return rates

    whole = run(None)
    for cut in (1, 2, 9, 33):
        assert run(cut) == whole


@pytest.mark.parametrize("make", [chain, net])
def test_weights_are_as_without_a_probe(make: Any) -> None:
    model = make()
    plain = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = ActCoolLR(
        optimizer, model, 40, schedule=PowerSchedule(4.0), options=CrossingOptions(growth=math.inf)
    )
    other = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    batches = list(vectors(40))
    rates = train(model, optimizer, batches, scheduler)
    for (x, y), (rate,) in zip(batches, rates, strict=True):
        other.param_groups[0]["lr"] = rate
        other.zero_grad()
        nn.functional.cross_entropy(plain(x), y).backward()
        other.step()
    assert scheduler.controller.state_dict()["n_bends"] > 1  # parts of steps were measured
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_part_of_a_step_is_measured_without_copies_where_weights_are_the_models_own() -> None:
    """The curves are those that moving the weights gives, and a view of weights keeps them."""

    def curves(is_view: bool) -> tuple[Any, list[torch.Tensor]]:
        torch.manual_seed(0)
        model = mlp()
        if is_view:  # a flat tensor is trained, of which the model's weights are views
            flat = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
            torch.nn.utils.vector_to_parameters(flat, model.parameters())
            weights = [nn.Parameter(flat)]
        else:
            weights = [*model.parameters()]
        optimizer = torch.optim.SGD(weights, lr=0.1)
        scheduler = ActCoolLR(optimizer, model, 40, schedule=PowerSchedule(4.0))
        x, y = vectors(1)[0]
        for _ in range(3):
            optimizer.zero_grad()
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            if is_view:
                grads = [p.grad for p in model.parameters() if p.grad is not None]
                weights[0].grad = torch.nn.utils.parameters_to_vector(grads)
            places = [w.data_ptr() for w in model.parameters()]
            optimizer.step()
            assert places == [w.data_ptr() for w in model.parameters()]
            scheduler.step()
        assert isinstance(scheduler.controller, CrossingCool)
        assert scheduler.controller.state_dict()["n_bends"] > 0
        found = torch.cat([w.detach().reshape(-1) for w in weights])
        return scheduler.controller.curves, [found]

    (own, weights), (moved, flat) = curves(False), curves(True)
    assert own.rate(1.0) == pytest.approx(moved.rate(1.0), rel=1e-3)
    assert torch.allclose(weights[0], flat[0], rtol=1e-3)


def test_autocast_measures_a_multiple_of_cold_steps() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = cooled(model, optimizer, 60)
    for x, y in vectors(60):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
    assert all(entry[1] > 1e-6 for entry in scheduler.controller.history)


def test_the_start_follows_the_widths() -> None:
    """Twice as hot as in a long training: it has nine steps."""
    for width, expected in ((40, 2 * start_for_widths([40], "temperature")), (2048, 12.0)):
        model = nn.Sequential(nn.Linear(12, width), nn.ReLU(), nn.Linear(width, 5))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = ActCoolLR(optimizer, model, 9, options=CrossingOptions())
        train(model, optimizer, vectors(1), scheduler)
        assert isinstance(scheduler.controller, CrossingCool)
        assert scheduler.controller.schedule == PowerSchedule(expected, 2.0)


def test_nan_weights_end_it_at_the_next_probe() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = cooled(model, optimizer, 200)
    train(model, optimizer, vectors(10), scheduler)
    with torch.no_grad():
        model.get_parameter("0.bias")[3] = float("nan")
    with pytest.raises(DivergenceError, match="pre-activations are NaN after step"):
        train(model, optimizer, vectors(80), scheduler)


def test_what_cannot_be_steered_is_refused() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = cooled(model, optimizer, 3)
    (0.0 * model(next(iter(vectors(1)))[0]).sum()).backward()
    with pytest.raises(DataError, match=r"leaves all patterns .* gradients are not 0"):
        optimizer.step()
    assert scheduler.controller.n_fits == 0
    with pytest.raises(OptionError, match=r"options is 3; give CrossingOptions"):
        ActCoolLR(optimizer, mlp(), 3, options=3)  # type: ignore[arg-type]
