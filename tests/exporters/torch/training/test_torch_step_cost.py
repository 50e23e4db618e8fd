"""What a step costs: no hook where nothing is measured, and one transfer for all of a probe."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR, SequentialLR
from torch_nets import MILD, Constant, mlp, vectors

from reluflow_torch import ActCoolLR, PatternCapture, StepProbe
from reluflow_torch.sites.distance import distances_and_nans
from reluflow_torch.sites.weights import WeightMarks
from reluflow_torch.training.probe import Batch, Pass

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def write_by_data(model: nn.Module) -> None:
    next(model.parameters()).data.mul_(1.5)


def write(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)


def replace(model: nn.Module) -> None:
    weight = next(model.parameters())
    weight.data = weight.data * 1.5


def test_marks_without_values_see_what_leaves_a_trace() -> None:
    model = mlp()
    for with_values in (False, True):
        marks = WeightMarks(model, with_values=with_values)
        assert marks == WeightMarks(model, with_values=with_values)
        for change in (write, replace):
            change(model)
            now = WeightMarks(model, with_values=with_values)
            assert marks != now
            assert marks.leave_traces(now)
            marks = now
        write_by_data(model)
        now = WeightMarks(model, with_values=with_values)
        assert (marks == now) != with_values
        assert marks.leave_traces(now) != with_values


def test_a_probe_notices_that_weights_are_written_without_a_trace() -> None:
    torch.manual_seed(0)
    model = mlp()
    probe = StepProbe(model, torch.optim.SGD(model.parameters(), lr=0.1))
    x = vectors(1)[0][0]
    batch = Batch.now((x,), {}, torch.device("cpu"))
    marks = probe.marks()
    with PatternCapture(model) as capture:
        model(x)
    write_by_data(model)
    passes = [Pass(batch, capture.take(), None, marks)]
    before = probe.forward_passes
    probe.look(passes)
    assert probe.forward_passes == before + 1
    assert not probe.trusts_marks


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nans_of_both_states_come_with_the_distance(rows: int) -> None:
    x = torch.ones(4, 6)
    x[:rows, 2] = torch.nan

    def patterns(x: Tensor) -> PatternCapture:
        with PatternCapture(nn.Identity()) as capture:
            torch.relu(x)
        return capture

    found, nans = distances_and_nans(patterns(x).take(), patterns(-x).take())
    assert nans == found.sites[0].nans == rows
    assert found.sites[0].changed == 4


@needs_cuda
def test_steps_that_are_not_measured_never_wait_for_the_device() -> None:
    model = mlp().cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 64, schedule=MILD)
    waits: dict[bool, list[int]] = {True: [], False: []}
    for number, (x, y) in enumerate(vectors(64)):
        x, y = x.cuda(), y.cuda()
        is_fit_due, probes = scheduler.controller.fit_due, scheduler.n_probes
        torch.cuda.synchronize()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            scheduler.step()
        torch.cuda.set_sync_debug_mode("default")
        if number > 4 and not is_fit_due and number % 16:
            found = [each for each in caught if "synchroniz" in str(each.message)]
            waits[scheduler.n_probes > probes].append(len(found))
    assert waits[False] and not any(waits[False])
    assert waits[True]
    assert sorted(waits[True])[len(waits[True]) // 2] <= 1


def has_hooks(model: nn.Module) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_hooks_hang_on_the_model_where_its_next_pass_is_measured() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 40, schedule=MILD)
    watched, probes = [], []
    for x, y in vectors(40):
        watched.append(has_hooks(model))
        probes.append(scheduler.n_probes)
        is_fit_due = scheduler.controller.fit_due
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()
        probes[-1] = scheduler.n_probes > probes[-1] or is_fit_due
    assert watched == probes
    assert 5 < sum(watched) < 20
    scheduler.close()
    assert not has_hooks(model)


def test_a_step_with_a_closure_is_measured_and_one_without_a_pass_is_not() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 20, controller=Constant(0.05))
    for x, y in vectors(20):

        def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> float:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return float(loss.detach())

        optimizer.step(closure)
        scheduler.step()
        assert optimizer.param_groups[0]["lr"] == 0.05
    assert scheduler.n_probes >= 20 // 3


def test_a_warm_up_before_leaves_the_first_pass_of_its_turn_watched() -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=3)
    cooled = ActCoolLR(optimizer, model, 9, schedule=MILD)
    scheduler = SequentialLR(optimizer, [warm_up, cooled], milestones=[3])
    for number, (x, y) in enumerate(vectors(12)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()
        assert (cooled.n_probes > 0) == (number >= 3)


def test_groups_that_join_before_a_fit_are_measured_with_the_others() -> None:
    model = mlp()
    first, *others = [m for m in model if isinstance(m, nn.Linear)]
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    scheduler = ActCoolLR(optimizer, model, 12, controller=Constant(0.05))
    for number, (x, y) in enumerate(vectors(12)):
        if number == 4:
            optimizer.add_param_group({"params": others[0].parameters(), "lr": 0.01})
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.01]
