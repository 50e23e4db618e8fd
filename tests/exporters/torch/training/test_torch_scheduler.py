"""ActCoolLR in the ordinary loop: rates, time, closures, who leads, and what it refuses."""

import copy
import io
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler, SequentialLR
from torch_nets import MILD, SmallCNN, images, mlp, train, vectors

from reluflow.errors import DataError, DivergenceError, OptionError
from reluflow.temperature import ActCool, ActCoolOptions, LogNormal, PowerSchedule
from reluflow_torch import ActCoolLR

STEPS = 20


def pair(model: nn.Module, **options: Any) -> tuple[torch.optim.Optimizer, ActCoolLR]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return optimizer, ActCoolLR(optimizer, model, **({"schedule": MILD} | options))


def test_it_is_a_scheduler_of_torch_that_cools() -> None:
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=60)
    assert isinstance(scheduler, LRScheduler)
    assert scheduler.get_last_lr() == [0.1]
    assert scheduler.temperature == 1.5
    rates = [rate for (rate,) in train(model, optimizer, vectors(60), scheduler)]
    assert scheduler.get_last_lr() == [rates[-1]] == [scheduler.controller.rate]
    assert sum(rates[:20]) > 3 * sum(rates[40:])
    assert scheduler.progress == 1.0
    assert scheduler.temperature == 0.0


def test_a_measured_step_changes_about_what_was_wanted() -> None:
    model = mlp()
    optimizer, scheduler = pair(
        model, progress=lambda step: 0.0, options=ActCoolOptions(probing_interval=2)
    )
    found = []
    for x, y in vectors(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        assert scheduler.distances is not None
        found.append(scheduler.distances.mean_distance)
    mean = sum(found[10:]) / len(found[10:])
    assert mean == pytest.approx(1 - 2**-1.5, abs=0.08)


def test_one_extra_pass_per_probe_where_the_model_holds() -> None:
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=64, options=ActCoolOptions())
    train(model, optimizer, vectors(64), scheduler)
    assert scheduler.n_probes == 3 + 64 // 8
    assert scheduler.forward_passes == scheduler.n_probes + scheduler.controller.n_measurements


def test_groups_keep_their_ratios_and_a_frozen_one_stays_frozen() -> None:
    model = mlp()
    groups: list[dict[str, Any]] = [
        {"params": model[0].parameters(), "lr": 0.0},
        {"params": model[1].parameters(), "lr": 0.02},
        {"params": model[4].parameters()},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
    for frozen, small, large in train(model, optimizer, vectors(STEPS), scheduler):
        assert frozen == 0.0
        assert small == pytest.approx(large / 5)
        assert large > 0


def test_a_group_added_later_joins_with_its_ratio() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
    train(model, optimizer, vectors(3), scheduler)
    now = optimizer.param_groups[0]["lr"]
    optimizer.add_param_group({"params": model[4].parameters(), "lr": now / 2})
    scheduler.step()
    for first, second in train(model, optimizer, vectors(3), scheduler):
        assert second == pytest.approx(first / 2)


def test_a_rate_that_is_a_tensor_stays_that_tensor() -> None:
    model = mlp()
    rate = torch.tensor(0.01)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    scheduler = ActCoolLR(optimizer, model, STEPS, schedule=MILD)
    train(model, optimizer, vectors(STEPS), scheduler)
    assert optimizer.param_groups[0]["lr"] is rate
    assert float(rate) == pytest.approx(scheduler.controller.rate)


@pytest.mark.parametrize("by_keyword", [False, True])
def test_a_closure_gives_the_rates_of_the_plain_loop(by_keyword: bool) -> None:
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=STEPS)
    torch.manual_seed(7)
    expected = train(model, optimizer, vectors(STEPS), scheduler)
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=STEPS)
    torch.manual_seed(7)
    found: list[Any] = []
    calls = 0
    for x, y in vectors(STEPS):

        def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
            nonlocal calls
            calls += 1
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        again: Any = closure
        loss = optimizer.step(closure=again) if by_keyword else optimizer.step(again)
        assert isinstance(loss, Tensor)
        found.append([optimizer.param_groups[0]["lr"]])
        scheduler.step()
    assert found == expected
    assert calls == STEPS


def test_a_validation_pass_between_is_not_the_batch_of_the_step() -> None:
    rates = []
    for is_validated in (False, True):
        model = SmallCNN()
        optimizer, scheduler = pair(model, total_steps=8)
        found = []
        for x, y in images(8):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            if is_validated:
                model.eval()
                model(x[:3])
                model.train()
            optimizer.step()
            found.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
        rates.append(found)
    assert rates[0] == rates[1]


def test_time_may_be_epochs() -> None:
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=2)
    wanted = []
    for _ in range(2):
        for x, y in vectors(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            wanted.append(scheduler.temperature)
        scheduler.step()
    assert wanted == [1.5] * 5 + [0.75] * 5


def test_unknown_time_stays_hot_until_a_budget_is_named() -> None:
    model = mlp()
    optimizer, scheduler = pair(model)
    train(model, optimizer, vectors(10), scheduler)
    assert scheduler.temperature == 1.5
    scheduler.extend(20)
    assert scheduler.temperature == pytest.approx(0.75)
    scheduler.extend(40)
    assert scheduler.temperature == pytest.approx(1.125)


def test_progress_may_be_any_clock() -> None:
    model = mlp()
    _, scheduler = pair(model, progress=lambda step: 0.5)
    assert scheduler.progress == 0.5
    assert scheduler.temperature == 0.75


def test_after_a_warm_up_it_takes_over() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=5)
    cooled = ActCoolLR(optimizer, model, 10, schedule=MILD, options=ActCoolOptions())
    scheduler = SequentialLR(optimizer, [warm_up, cooled], milestones=[5])
    rates = [rate for (rate,) in train(model, optimizer, vectors(15), scheduler)]  # type: ignore[arg-type]
    assert rates[:5] == pytest.approx([0.01, 0.028, 0.046, 0.064, 0.082])
    assert cooled.controller.steps == 10
    assert isinstance(cooled.controller, ActCool)
    assert rates[5] == cooled.controller.model.rate_at(1.5) or rates[5] > 0.1
    assert cooled.progress == 1.0


def test_before_another_scheduler_it_hands_over() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    cooled = ActCoolLR(optimizer, model, 8, schedule=MILD)
    tail = LinearLR(optimizer, start_factor=0.5, total_iters=4)
    scheduler = SequentialLR(optimizer, [cooled, tail], milestones=[8])
    train(model, optimizer, vectors(14), scheduler)  # type: ignore[arg-type]
    assert cooled.controller.steps == 8
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_last_in_a_chain_it_leads() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = LinearLR(optimizer, total_iters=4)
    cooled = ActCoolLR(optimizer, model, 8, schedule=MILD)
    train(model, optimizer, vectors(8), ChainedScheduler([other, cooled]))  # type: ignore[arg-type]
    assert cooled.controller.steps == 8


def test_another_hand_on_the_rate_is_refused() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    cooled = ActCoolLR(optimizer, model, 8, schedule=MILD)
    other = LinearLR(optimizer, total_iters=4)
    with pytest.raises(OptionError, match=r"put ActCoolLR last in a ChainedScheduler"):
        train(model, optimizer, vectors(8), ChainedScheduler([cooled, other]))  # type: ignore[arg-type]


def test_a_copy_or_a_pickle_of_the_model_is_on_its_own() -> None:
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=8)
    twin = copy.deepcopy(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for x, y in vectors(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        twin(x[:7])
        loaded(x[:5])
        optimizer.step()
        scheduler.step()
    assert scheduler.controller.samples == 2 * 64


def test_a_scheduler_that_is_gone_or_closed_does_nothing() -> None:
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=8)
    del scheduler
    assert train(model, optimizer, vectors(2)) == [[0.1], [0.1]]
    optimizer, scheduler = pair(model, total_steps=8)
    scheduler.close()
    assert train(model, optimizer, vectors(2)) == [[0.1], [0.1]]
    assert scheduler.controller.steps == 0


def test_repr_and_state_are_plain() -> None:
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=8)
    assert repr(scheduler).startswith("ActCoolLR(step 0 of 8, 1.5 bits wanted, rate not set, mu ")
    train(model, optimizer, vectors(3), scheduler)
    assert "step 3 of 8" in repr(scheduler)
    assert "1 fits, 3 probes" in repr(scheduler)
    state = scheduler.state_dict()
    assert json.loads(json.dumps(state)) == state


def refused(match: str, model: nn.Module, **options: Any) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(OptionError, match=match):
        ActCoolLR(optimizer, model, **options)


def test_bad_arguments_are_refused_in_one_sentence() -> None:
    model = mlp()
    refused("total_steps is 0, but counts the calls", model, total_steps=0)
    refused("one alone tells the time", model, total_steps=3, progress=lambda step: 0.0)
    refused(
        "controller is given together with schedule",
        model,
        controller=ActCool(MILD),
        schedule=MILD,
    )
    with pytest.raises(OptionError, match="LBFGS, whose step"):
        ActCoolLR(torch.optim.LBFGS(model.parameters()), model, 3)
    with pytest.raises(OptionError, match="at least one group an lr above 0"):
        ActCoolLR(torch.optim.SGD(model.parameters(), lr=0.0), model, 3)
    with pytest.raises(OptionError, match="max_samples is 0"):
        ActCoolLR(torch.optim.SGD(model.parameters(), lr=0.1), model, 3, max_samples=0)
    with pytest.raises(OptionError, match="total_steps is -1"):
        pair(model)[1].extend(-1)


def test_data_parallel_is_refused() -> None:
    model = nn.DataParallel(mlp())
    refused("DataParallel, which copies the module", model, total_steps=3)


def step_without(model: nn.Module, prepare: Any) -> None:
    optimizer, scheduler = pair(model, total_steps=3)
    prepare()
    optimizer.step()
    scheduler.step()


def test_a_step_without_a_training_pass_is_refused() -> None:
    model = mlp()
    with pytest.raises(DataError, match="has seen no forward pass of its model"):
        step_without(model, lambda: None)
    with pytest.raises(DataError, match=r"in train\(\) mode and with gradients"):
        step_without(model, lambda: model.eval()(torch.ones(2, 12)).sum().backward())


def test_a_model_without_a_switch_is_refused() -> None:
    model = nn.Sequential(nn.Linear(12, 5), nn.Tanh())
    with pytest.raises(OptionError, match="Sequential ran no ReLU or other switch site"):
        step_without(model, lambda: model(torch.ones(2, 12)).sum().backward())
    model = nn.Sequential(nn.Linear(12, 5), nn.GELU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 4, schedule=MILD, smooth=True)
    train(model, optimizer, vectors(4), scheduler)
    assert scheduler.n_probes == 4


def test_a_controller_that_measures_unannounced_is_refused() -> None:
    class Sudden(ActCool):
        @property
        def fit_due(self) -> bool:
            return False

        def next_rate(self, progress: float, measure: Any) -> float:
            return float(measure(0.1))

    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 4, controller=Sudden(MILD))
    with pytest.raises(DataError, match="let fit_due say before the forward pass"):
        train(model, optimizer, vectors(1), scheduler)


def test_nan_weights_end_the_training() -> None:
    model = mlp()
    optimizer, scheduler = pair(model, total_steps=16)
    train(model, optimizer, vectors(7), scheduler)
    x, y = vectors(1)[0]
    nn.functional.cross_entropy(model(x), y).backward()
    gradient = model.get_parameter("4.weight").grad
    assert gradient is not None
    gradient[0, 0] = float("nan")
    with pytest.raises(DivergenceError, match="pre-activations are NaN after step 7"):
        optimizer.step()


def test_the_controller_may_be_ones_own() -> None:
    class Known(ActCool):
        """Knows the network already."""

        def __init__(self) -> None:
            super().__init__(PowerSchedule(start=1.0))
            self.mu, self.sigma, self.n_fits = -2.0, 1.0, 1

    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 4, controller=Known())
    rates = train(model, optimizer, vectors(1), scheduler)
    assert rates == [[pytest.approx(float(LogNormal(-2.0, 1.0).rate_at(1.0)))]]
