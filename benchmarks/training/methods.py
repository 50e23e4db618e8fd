"""The ways of training that are compared, each with a few settings to choose one from."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schedules._tasks import Split
from torch import nn, optim  # a benchmark of the torch bridge
from torch.optim import lr_scheduler
from torch.optim.swa_utils import update_bn
from training.grid import cooling
from training.loop import Setup
from training.nets import has_relu

MOMENTUM, WEIGHT_DECAY, WARM_UP = 0.9, 0.01, 0.05
"""Momentum of SGD, weight decay of all others, share of the steps in which the rate rises."""
N_STATISTICS = 50
"""Batches whose statistics batch normalisation takes at the averaged weights of Schedule-Free."""
TUNED_ONECYCLE = {"f1": 0.1, "f1_bn": 0.01, "resnet8": 0.3}
"""Largest rates that the search of benchmarks/schedules found on its validation images."""
Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """What a method may know of a training.

    Attributes:
        workload: its name, for what is tuned for it alone.
        steps: of the optimiser, in all.
        batch: examples of a step.
        split: what is learnt.
    """

    workload: str
    steps: int
    batch: int
    split: Split


@dataclass(frozen=True)
class Method:
    """A way of training.

    Attributes:
        title: for tables.
        settings: candidates by name; one is chosen on validation data for all workloads together.
        make: model, task and setting to what trains.
        package: that it needs beyond torch.
        workloads: that it has a setting for; None for all.
    """

    title: str
    settings: Mapping[str, Setting]
    make: Callable[[nn.Module, Task, Setting], Setup]
    package: str | None = None
    workloads: tuple[str, ...] | None = None


def _actcool(model: nn.Module, task: Task, setting: Setting) -> Setup:
    options = dict(setting)
    name = options.pop("optimizer")
    optimizer: optim.Optimizer
    if name == "sgd":
        optimizer = optim.SGD(model.parameters(), lr=0.03, momentum=MOMENTUM)
    else:
        optimizer = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)
    if not has_relu(model):
        options.setdefault("smooth", True)
    return Setup(optimizer, cooling(optimizer, model, task.steps, options))


def _nadamw(model: nn.Module, task: Task, setting: Setting) -> Setup:
    optimizer = optim.NAdam(
        model.parameters(), **setting, weight_decay=WEIGHT_DECAY, decoupled_weight_decay=True
    )
    warm_up = max(1, round(WARM_UP * task.steps))

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, task.steps - warm_up)))

    return Setup(optimizer, lr_scheduler.LambdaLR(optimizer, factor))


def _schedule_free(model: nn.Module, task: Task, setting: Setting) -> Setup:
    from schedulefree import AdamWScheduleFree

    warm_up = round(WARM_UP * task.steps)
    optimizer = AdamWScheduleFree(
        model.parameters(), **setting, weight_decay=WEIGHT_DECAY, warmup_steps=warm_up
    )
    finish = functools.partial(_average, model, optimizer, task)
    return Setup(optimizer, None, optimizer.train, finish)


def _average(model: nn.Module, optimizer: Any, task: Task) -> None:
    """Sets the averaged weights, and the running statistics that belong to them."""
    optimizer.eval()
    update_bn(task.split.images.split(task.batch)[:N_STATISTICS], model)


def _prodigy(model: nn.Module, task: Task, setting: Setting) -> Setup:
    from prodigyopt import Prodigy

    with contextlib.redirect_stdout(None):  # it says that the weight decay is decoupled
        optimizer = Prodigy(model.parameters(), lr=1.0, weight_decay=WEIGHT_DECAY, **setting)
    return Setup(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, task.steps))


def _onecycle(model: nn.Module, task: Task, _: Setting) -> Setup:
    rate = TUNED_ONECYCLE[task.workload]
    optimizer = optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)
    return Setup(optimizer, lr_scheduler.OneCycleLR(optimizer, rate, total_steps=task.steps))


METHODS = {
    "actcool": Method(
        "ActCoolLR", {"sgd": {"optimizer": "sgd"}, "adamw": {"optimizer": "adamw"}}, _actcool
    ),
    "nadamw": Method(
        "NadamW, warm-up + cosine", {"lr1e-3": {"lr": 1e-3}, "lr3e-3": {"lr": 3e-3}}, _nadamw
    ),
    "schedule_free": Method(
        "Schedule-Free AdamW",
        {"lr2.5e-3": {"lr": 2.5e-3}, "lr1e-2": {"lr": 1e-2}},
        _schedule_free,
        "schedulefree",
    ),
    "prodigy": Method(
        "Prodigy + cosine",
        {
            "usual": {"use_bias_correction": True, "safeguard_warmup": True},
            "half": {"use_bias_correction": True, "safeguard_warmup": True, "d_coef": 0.5},
        },
        _prodigy,
        "prodigyopt",
    ),
    "onecycle": Method(
        "OneCycleLR, tuned for each",
        {"tuned": {}},
        _onecycle,
        workloads=tuple(TUNED_ONECYCLE),
    ),
}


def need_packages(names: Iterable[str]) -> None:
    """Ends the script where a package of a method is not installed."""
    packages = {METHODS[name].package or "torch" for name in names}
    missing = sorted(each for each in packages if importlib.util.find_spec(each) is None)
    if missing:
        raise SystemExit(
            f"{', '.join(missing)} is not installed; run pip install --no-deps "
            f"{' '.join(missing)}, or leave the method out of --methods."
        )


def versions(name: str) -> dict[str, str]:
    """Returns the versions of the packages that a method runs on."""
    package = METHODS[name].package
    return {each: importlib.metadata.version(each) for each in ("torch", package) if each}
