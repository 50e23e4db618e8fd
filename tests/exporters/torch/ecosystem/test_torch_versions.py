"""What older versions of torch lack is done in another way, or refused in a sentence."""

from __future__ import annotations

import copy
import importlib.util
import sys
import tomllib
from bisect import bisect_right
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler
from torch_nets import MILD, mlp, train, vectors

from reluflow.errors import OptionError
from reluflow_torch import ActCoolLR, PatternMonitor
from reluflow_torch.training import scheduler as module

# the compiler of torch imports modules of its own that are deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
ROOT = Path(__file__).parents[4]


class _Missing:
    """An attribute that is not there."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        raise AttributeError("_update_lr")


class OldScheduler(lr_scheduler.LRScheduler):
    """torch's base class as it is in 2.4: `step` does everything, and nothing tells the first."""

    _update_lr = _Missing()

    def _initial_step(self) -> None:
        self._step_count = 0
        self.step()

    def step(self, epoch: int | None = None) -> None:
        self._step_count += 1
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class OldSequence(lr_scheduler.SequentialLR):
    """Begins the turn of a scheduler by its `step(0)`."""

    def step(self) -> None:  # type: ignore[override]
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        is_first = turn > 0 and self._milestones[turn - 1] == self.last_epoch
        self._schedulers[turn].step(*[0] * is_first)
        self._last_lr = self._schedulers[turn].get_last_lr()


@pytest.fixture
def old_actcool(monkeypatch: pytest.MonkeyPatch) -> type[ActCoolLR]:
    """Return the class as it is where torch has the old base class."""
    monkeypatch.setattr(lr_scheduler, "LRScheduler", OldScheduler)
    assert module.__file__ is not None
    spec = importlib.util.spec_from_file_location("scheduler_with_old_base", module.__file__)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    made: type[ActCoolLR] = loaded.ActCoolLR
    assert issubclass(made, OldScheduler) and not hasattr(made.__mro__[1], "_update_lr")
    return made


def cooled(kind: type[ActCoolLR], rate: Any, warm: bool) -> tuple[list[Any], Any]:
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=copy.deepcopy(rate))
    torch.manual_seed(2)
    cool = kind(optimizer, model, 12, schedule=MILD)
    steps: Any = cool
    if warm:
        first = lr_scheduler.LambdaLR(optimizer, lambda step: 0.1 * (step + 1))
        is_old = issubclass(kind, OldScheduler)
        sequence = OldSequence if is_old else lr_scheduler.SequentialLR
        steps = sequence(optimizer, [first, cool], [4])
    rates = train(model, optimizer, vectors(12), steps)
    return [rates, cool.last_epoch, cool.progress, cool.get_last_lr()], cool.state_dict()


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("rate", [0.01, torch.tensor(0.01)])
def test_with_the_base_class_of_torch_2_4(
    rate: Any, warm: bool, old_actcool: type[ActCoolLR]
) -> None:
    assert cooled(old_actcool, rate, warm) == cooled(ActCoolLR, rate, warm)


@pytest.mark.parametrize("way", ["around", "in place", "in parts"])
@pytest.mark.parametrize("taker", ["scheduler", "monitor"])
def test_compiled_parts_want_a_torch_that_runs_them_as_written(
    taker: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = mlp()
    called: Any = model
    if way == "around":
        called = torch.compile(model, backend="aot_eager")
    elif way == "in place":
        model.compile(backend="aot_eager")
    else:
        model[0] = torch.compile(model[0], backend="aot_eager")
    monkeypatch.delattr(torch.compiler, "set_stance")
    assert "torch._dynamo" in sys.modules
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch: Any
    if taker == "scheduler":
        watch = ActCoolLR(optimizer, called, 6, schedule=MILD)
    else:
        watch = PatternMonitor(optimizer, called, every=1, measures_every=1)
    if way == "around":
        train(called, optimizer, vectors(3))
        assert [site.name for site in watch.distances.sites] == ["2", "5"]
    else:
        with pytest.raises(OptionError, match="Sequential has compiled parts, which torch"):
            train(called, optimizer, vectors(3))


def test_the_stated_bound_is_what_the_bridge_needs() -> None:
    """2.4 brought `torch.is_autocast_enabled(device_type)` and `torch.get_autocast_dtype`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["optional-dependencies"]["torch"] == ["torch>=2.4"]
    assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")
