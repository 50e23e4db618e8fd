"""The workloads on which methods of training are compared, and one run of it."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch  # a benchmark of the torch bridge
from schedules import _tasks as fashion
from torch import nn
from training.data import load
from training.loop import accuracy, kept, train
from training.methods import METHODS, Task, versions
from training.nets import DIGITS_SIDE, RowGru, Vit, characters, mlp, vgg

SEEDS = (0, 1, 2)
CHOICE_SEED = 100
"""Of the runs that settings are chosen from; no final run has it."""
STAGES = ("choose", "final")
Record = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """A network and what it learns.

    Attributes:
        title: for tables.
        data: in `data.SOURCES`.
        make: fresh weights.
        epochs: passes over the training part.
        batch: examples of a step.
        seconds: rough cost of a run on one core, which only orders the runs.
    """

    title: str
    data: str
    make: Callable[[], nn.Module]
    epochs: int
    batch: int
    seconds: float


WORKLOADS = {
    "digits_mlp": Workload("MLP, digits", "digits1400", lambda: mlp(DIGITS_SIDE), 30, 64, 1.0),
    "characters": Workload("next character", "characters", characters, 10, 128, 13.0),
    "f1": Workload("F1", "fashion", fashion.NETWORKS["f1"], fashion.EPOCHS["f1"], 128, 115.0),
    "f1_bn": Workload(
        "F1 + BN", "fashion", fashion.NETWORKS["f1_bn"], fashion.EPOCHS["f1_bn"], 128, 120.0
    ),
    "resnet8": Workload(
        "ResNet-8", "fashion", fashion.NETWORKS["resnet8"], fashion.EPOCHS["resnet8"], 128, 95.0
    ),
    "vgg": Workload("VGG-11/8 without norm", "fashion", vgg, 5, 128, 63.0),
    "vit": Workload("ViT, GELU", "fashion", Vit, 5, 128, 115.0),
    "gru": Workload("GRU by rows", "fashion", RowGru, 5, 128, 50.0),
}
DATA = tuple(dict.fromkeys(each.data for each in WORKLOADS.values()))


@dataclass(frozen=True)
class Run:
    """One training of the comparison.

    Attributes:
        workload: in `WORKLOADS`.
        method: in `methods.METHODS`.
        setting: name of the method's setting.
        stage: "choose" looks at validation data only, "final" at the test data too.
        seed: of weights and order.
        share: of the workload's epochs, at least one.
        tag: tells runs of ActCoolLR apart that differ in options or in the version of the code.
        options: of ActCoolLR, over its setting.
    """

    workload: str
    method: str
    setting: str
    stage: str
    seed: int
    share: float = 1.0
    tag: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A file name that no other run has."""
        marks = (self.workload, f"{self.method}{self.tag}", self.setting, self.stage)
        length = () if self.share == 1.0 else (f"x{self.share:g}",)
        return "-".join((*marks, *length, f"s{self.seed}"))

    @property
    def epochs(self) -> int:
        """Passes over the training part."""
        return max(1, round(self.share * WORKLOADS[self.workload].epochs))


def runs(
    stage: str,
    workloads: Iterable[str],
    methods: Iterable[str],
    seeds: Iterable[int],
    settings: dict[str, str],
    share: float = 1.0,
    tag: str = "",
    options: dict[str, Any] | None = None,
) -> Iterator[Run]:
    """Yields the runs of a stage.

    Args:
        stage: in `STAGES`.
        workloads: their names.
        methods: their names.
        seeds: of the final runs.
        settings: of each method, for the final runs.
        share: of the epochs.
        tag: of ActCoolLR's runs.
        options: of ActCoolLR.
    """
    for method, workload in itertools.product(methods, workloads):
        only = METHODS[method].workloads
        if only is not None and workload not in only:
            continue
        extra = (tag, options or {}) if method == "actcool" else ()
        if stage == "final":
            for seed in seeds:
                yield Run(workload, method, settings[method], stage, seed, share, *extra)
        elif len(METHODS[method].settings) > 1:
            for setting in METHODS[method].settings:
                yield Run(workload, method, setting, stage, CHOICE_SEED, share, *extra)


def chosen(records: Iterable[Record], tag: str = "") -> dict[str, str]:
    """Returns the setting of each method with the best mean validation accuracy.

    Args:
        records: of all runs; only those of the stage "choose" count.
        tag: of ActCoolLR's runs.

    Returns:
        Setting by method; where a method has but one, that. A method of which some workload has
        not tried every setting is left out.
    """
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        run = record["run"]
        if run["stage"] == "choose" and (run["method"] != "actcool" or run["tag"] == tag):
            found[run["method"]][run["setting"]][run["workload"]] = record["validation_accuracy"]
    best = {name: next(iter(m.settings)) for name, m in METHODS.items() if len(m.settings) == 1}
    for name, by_setting in found.items():
        tried = [set(scores) for scores in by_setting.values()]
        if set(by_setting) == set(METHODS[name].settings) and all(t == tried[0] for t in tried):
            best[name] = max(by_setting, key=lambda each: mean(by_setting[each].values()))
    return best


def cost(run: Run) -> float:
    """Returns roughly the seconds of a run, for the order of the runs."""
    return run.share * WORKLOADS[run.workload].seconds


def perform_run(run: Run, data_file: Path | None = None, device: str = "cpu") -> Record:
    """Trains and returns the record of the run, ready for JSON."""
    workload, method = WORKLOADS[run.workload], METHODS[run.method]
    data = load(workload.data, data_file, device)
    split = data["train"]
    torch.manual_seed(run.seed)
    model = workload.make().to(device)
    steps = run.epochs * -(-len(split.labels) // workload.batch)
    task = Task(run.workload, steps, workload.batch, split)
    setting = {**method.settings[run.setting], **run.options}
    course, setup = train(
        model,
        lambda net: method.make(net, task, setting),
        split,
        epochs=run.epochs,
        batch=workload.batch,
        seed=run.seed,
    )
    if setup is not None:
        setup.before_test()
    parts = ("validation", "test") if run.stage == "final" else ("validation",)
    return (
        {"run": asdict(run), "steps": steps, "versions": versions(run.method)}
        | kept(course, setup, model)
        | {f"{part}_accuracy": accuracy(model, data[part]) for part in parts}
    )


def performing(data_file: Path | None, device: str = "cpu") -> Callable[[Run], Record]:
    """Returns `perform_run` with the data of a file, on a device."""
    return functools.partial(perform_run, data_file=data_file, device=device)
