"""Averages of the weights, moving or over the last epochs, after or beside ActCoolLR."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, SequentialLR
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch_nets import MILD, mlp, same, train, vectors

from reluflow.errors import OptionError
from reluflow_torch import ActCoolLR

EPOCH = 4
COOL_EPOCHS, EPOCHS = 3, 6
SWA_RATE = 0.02


def epochs(model: nn.Module, optimizer: Any, first: int = 0) -> Iterator[tuple[int, list[float]]]:
    """Train epoch by epoch; yield each step's number and the rates that it used."""
    for number, (x, y) in enumerate(vectors(EPOCH * EPOCHS)[EPOCH * first :]):
        (rates,) = train(model, optimizer, [(x, y)])
        yield EPOCH * first + number, rates


@pytest.mark.parametrize("made", ["before", "when its turn comes"])
@pytest.mark.parametrize("clock", ["calls", "steps"])
def test_averaging_takes_the_rates_over(made: str, clock: str) -> None:
    """As in torch's own recipe, with the scheduler by batch and the averaging by epoch."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    total = EPOCH * (COOL_EPOCHS + 1)
    scheduler = ActCoolLR(optimizer, model, total, schedule=MILD, clock=clock, examples=None)
    average = AveragedModel(model)
    averaging = SWALR(optimizer, SWA_RATE, anneal_epochs=2) if made == "before" else None
    rates, passes = [], 0
    for step, used in epochs(model, optimizer):
        rates += used
        is_cooling = step < EPOCH * COOL_EPOCHS - 1
        passes = scheduler.forward_passes if len(rates) <= EPOCH * COOL_EPOCHS else passes
        if is_cooling:
            scheduler.step()
        elif (step + 1) % EPOCH == 0:
            averaging = averaging or SWALR(optimizer, SWA_RATE, anneal_epochs=2)
            average.update_parameters(model)
            averaging.step()
    cooled, averaged = rates[: EPOCH * COOL_EPOCHS], rates[EPOCH * COOL_EPOCHS :]
    assert len(set(cooled)) == len(cooled)
    halfway = (cooled[-1] + SWA_RATE) / 2
    assert averaged == pytest.approx([halfway] * EPOCH + [SWA_RATE] * 2 * EPOCH)
    update_bn([x for x, _ in vectors(2)], average)
    assert torch.isfinite(average(vectors(1)[0][0])).all()
    assert scheduler.forward_passes == passes


def test_an_averaging_made_late_leaves_the_last_rate_until_it_steps() -> None:
    """Lightning makes it at the start of an epoch and calls it at the end."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 20, schedule=MILD)
    rates = [used[0] for used in train(model, optimizer, vectors(8), scheduler)]
    averaging = SWALR(optimizer, SWA_RATE, anneal_epochs=1)
    held = [used[0] for used in train(model, optimizer, vectors(3, seed=2))]
    assert held == [rates[-1]] * 3
    averaging.step()
    assert train(model, optimizer, vectors(2, seed=3)) == [[SWA_RATE]] * 2


def test_after_a_resume_each_scheduler_of_a_sequence_has_its_turn() -> None:
    """Also where the state is saved just after the next one's turn began."""

    def run(killed_at: int | None) -> list[float]:
        def made(seed: int) -> list[Any]:
            model = mlp(seed)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            cool = ActCoolLR(optimizer, model, 12, schedule=MILD)
            after = LambdaLR(optimizer, lambda step: 0.9**step)
            return [model, optimizer, SequentialLR(optimizer, [cool, after], [6])]

        parts = made(0)
        rates = []
        torch.manual_seed(4)
        for step, batch in enumerate(vectors(12)):
            if step == killed_at:
                states = [copy.deepcopy(part.state_dict()) for part in parts]
                random = torch.get_rng_state()
                parts = made(8)
                for part, state in zip(parts, states, strict=True):
                    part.load_state_dict(state)
                torch.set_rng_state(random)
            rates += [used[0] for used in train(parts[0], parts[1], [batch])]
            parts[2].step()
        return rates

    whole = run(None)
    assert whole[6:] == pytest.approx([0.1 * 0.9**step for step in range(6)])
    for killed_at in (2, 5, 6, 7):
        assert run(killed_at) == whole, killed_at


def test_after_a_resume_neither_forgets_its_turn() -> None:
    """Killed while it cools, and while weights are averaged."""

    def run(killed_at: int | None) -> list[float]:
        model, rates = mlp(), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = ActCoolLR(optimizer, model, 12, schedule=MILD)
        averaging = SWALR(optimizer, SWA_RATE, anneal_epochs=2)
        taken: list[Any] = [model, optimizer, scheduler, averaging]
        torch.manual_seed(4)
        for step in range(EPOCH * EPOCHS):
            if step == killed_at:
                states = [copy.deepcopy(part.state_dict()) for part in taken]
                random = torch.get_rng_state()
                model = mlp(seed=8)
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
                scheduler = ActCoolLR(optimizer, model, 12, schedule=MILD)
                averaging = SWALR(optimizer, SWA_RATE, anneal_epochs=2)
                taken = [model, optimizer, scheduler, averaging]
                for part, state in zip(taken, states, strict=True):
                    part.load_state_dict(state)
                torch.set_rng_state(random)
            rates += train(model, optimizer, vectors(EPOCH * EPOCHS)[step : step + 1])[0]
            if step < EPOCH * COOL_EPOCHS - 1:
                scheduler.step()
            elif (step + 1) % EPOCH == 0:
                averaging.step()
        return rates

    whole = run(None)
    assert whole[-1] == SWA_RATE
    for killed_at in (1, 5, 11, 12, 13, 17):
        assert run(killed_at) == whole, killed_at


@pytest.mark.parametrize("when", ["each batch", "at the end of an epoch"])
def test_both_at_once_are_refused(when: str) -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 20, schedule=MILD)
    averaging = SWALR(optimizer, SWA_RATE, anneal_epochs=2)
    with pytest.raises(OptionError, match=r"ActCoolLR.step\(\) is called, but SWALR has set the"):
        for number, (x, y) in enumerate(vectors(9)):
            train(model, optimizer, [(x, y)], scheduler)
            if when == "each batch" or number == EPOCH:
                averaging.step()


@pytest.mark.parametrize("average", ["mean", "moving"])
def test_an_average_beside_the_training_changes_nothing(average: str) -> None:
    """Its model is a copy, with copies of the hooks, and is evaluated in between."""

    def run(with_average: bool) -> list[Any]:
        model = mlp()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        scheduler = ActCoolLR(optimizer, model, 12, schedule=MILD)
        kind: dict[str, Any] = {"moving": {"multi_avg_fn": get_ema_multi_avg_fn(0.9)}}
        averaged = AveragedModel(model, **kind.get(average, {})) if with_average else None
        torch.manual_seed(6)
        rates = []
        for x, y in vectors(12):
            rates += train(model, optimizer, [(x, y)], scheduler)
            if averaged is not None:
                averaged.update_parameters(model)
                with torch.no_grad():
                    averaged.eval()(x)
        return [rates, list(model.state_dict().values()), scheduler.forward_passes]

    assert same(run(True), run(False))
