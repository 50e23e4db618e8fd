"""Steps that are not measured leave no hook on the model; those that are have one."""

import torch
from torch import nn
from torch.optim.lr_scheduler import LinearLR, SequentialLR
from torch_nets import MILD, Constant, mlp, vectors

from reluflow_torch import ActCoolLR


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
