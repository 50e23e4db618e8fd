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
    assert scheduler.controller.schedule == expected
    assert scheduler.temperature == pytest.approx(expected(1 / 8))


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
