from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from reluflow.temperature import (
    ActCool,
    ActCoolOptions,
    CrossingCool,
    CrossingOptions,
    PowerSchedule,
    start_for_widths,
)
from reluflow_torch import ActCoolLR

WIDTHS = (8, 48)


def make_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, WIDTHS[0], 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(WIDTHS[0] * 16, WIDTHS[1]),
        nn.ReLU(),
        nn.Linear(WIDTHS[1], 1),
    )


def train(scheduler: ActCoolLR, net: nn.Module, steps: int) -> None:
    for _ in range(steps):
        scheduler.optimizer.zero_grad()
        net(torch.randn(16, 1, 6, 6)).square().mean().backward()
        scheduler.optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    "options, expected",
    [
        (None, PowerSchedule(start_for_widths(WIDTHS, "temperature"), 2.0)),
        (CrossingOptions(mean="distance"), PowerSchedule(start_for_widths(WIDTHS), 2.0)),
        (ActCoolOptions(), PowerSchedule(start_for_widths(WIDTHS))),
    ],
    ids=["default", "mean distance", "fitted"],
)
def test_default_start_fits_the_widths_of_the_model(options: Any, expected: PowerSchedule) -> None:
    net = make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, net, total_steps=8, options=options)
    kind = ActCool if isinstance(options, ActCoolOptions) else CrossingCool
    assert isinstance(scheduler.controller, kind)
    train(scheduler, net, 1)
    if kind is CrossingCool:  # eight steps are a short training
        expected = replace(expected, start=2.0 * expected.start)
    assert scheduler.controller.schedule == expected
    assert scheduler.temperature == pytest.approx(expected(1 / 8))


@pytest.mark.parametrize("total, per_call, factor", [(600, 1, 1.0), (60, 10, 1.0), (20, 10, 1.58)])
def test_a_short_training_starts_hotter(total: int, per_call: int, factor: float) -> None:
    net = make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, net, total_steps=total, clock="calls")
    for _ in range(2):
        for _ in range(per_call):  # an epoch, where the scheduler is called after each
            optimizer.zero_grad()
            net(torch.randn(16, 1, 6, 6)).square().mean().backward()
            optimizer.step()
        scheduler.step()
    assert isinstance(scheduler.controller.schedule, PowerSchedule)
    start = factor * start_for_widths(WIDTHS, "temperature")
    assert scheduler.controller.schedule.start == pytest.approx(start, rel=1e-2)


def test_the_length_counts_from_where_it_is_known() -> None:
    net = make_net()
    scheduler = ActCoolLR(torch.optim.SGD(net.parameters(), lr=0.1), net)
    train(scheduler, net, 2)
    long = scheduler.controller.schedule
    again = ActCoolLR(torch.optim.SGD(net.parameters(), lr=0.1), net)
    again.load_state_dict(scheduler.state_dict())
    again.extend(50)
    train(again, net, 1)
    assert isinstance(long, PowerSchedule)
    assert again.controller.schedule == replace(long, start=2.0 * long.start)


def test_given_temperatures_stay() -> None:
    for given in ({"schedule": PowerSchedule(2.0)}, {"controller": ActCool(PowerSchedule(2.0))}):
        net = make_net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scheduler = ActCoolLR(optimizer, net, total_steps=8, **given)
        train(scheduler, net, 2)
        assert scheduler.controller.schedule == PowerSchedule(2.0)


def test_resumed_scheduler_keeps_the_start_it_had() -> None:
    net = make_net()
    first = ActCoolLR(torch.optim.SGD(net.parameters(), lr=0.1), net, total_steps=8)
    train(first, net, 2)
    state = first.state_dict()
    again = ActCoolLR(torch.optim.SGD(net.parameters(), lr=0.1), net, total_steps=8)
    again.load_state_dict(state)
    train(again, net, 1)
    assert again.controller.schedule == first.controller.schedule
