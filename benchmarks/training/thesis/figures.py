"""The figures of the thesis, one function each: it draws, and returns the numbers it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from training.thesis.cooled import Cooled, cooled
from training.thesis.pictures import save_errors, save_layers
from training.thesis.runs import Course, Run, course_of

from reluflow.errors import DataError
from reluflow.report.pictures.phase_diagram import save_phase_diagram
from reluflow.report.pictures.schedules import save_schedules
from reluflow.report.pictures.transitions import save_transitions
from reluflow.temperature import PhaseDiagram, fit_transition

KEPT = Path(__file__).parents[3] / "build" / "thesis"
Rows = list[dict[str, Any]]
SCHEDULES = {"step": "StepDecayLR", "onecycle": "OneCycleLR", "cyclic": "CyclicLR"}
RATES = {"ResNet-14": 0.1, "ConvNet-14": 0.1, "PyramidNet-14": 0.1, "FixUp-14": 0.03}
PLAIN = 0.3
"""Learning rate of the trainings without momentum and weight decay."""
LENGTHS = (40, 80, 160, 320)


def usual(net: str, schedule: str, rate: float) -> Run:
    """Return a training with momentum and weight decay, as in Figures 3.8 to 3.14."""
    return Run(net, schedule, rate, momentum=0.9, l2=5e-4)


def _courses(named: Mapping[str, Run]) -> dict[str, Course]:
    return {name: course_of(run, KEPT) for name, run in named.items()}


def _phases(named: Mapping[str, PhaseDiagram], path: Path, *, with_error: bool = False) -> None:
    save_phase_diagram(named, path, with_error=with_error)


def _row(name: str, found: PhaseDiagram, accuracy: float) -> dict[str, Any]:
    """Return where the transition is and how wide, at the start, before the decays, at the end."""
    n = len(found.steps)
    parts = {
        "start": slice(0, 1),
        "middle": slice(n // 4, n // 2),
        "end": slice(-max(1, n // 5), n),
    }
    row: dict[str, Any] = {"training": name}
    for key, part in parts.items():
        row[f"rate {key}"] = float(np.exp(np.nanmean(found.mu[part])))
        row[f"sigma {key}"] = float(np.nanmean(found.sigma[part]))
    return row | {"accuracy": accuracy, "steps": int(found.steps[-1])}


def _phase_figure(named: Mapping[str, Run], path: Path) -> Rows:
    courses = _courses(named)
    _phases({name: each.diagram for name, each in courses.items()}, path)
    return [_row(name, each.diagram, each.accuracy[-1]) for name, each in courses.items()]


def _temperatures(name: str, each: Course) -> dict[str, Any]:
    """Return T of the first and the last third of the sites: start, half, end."""
    bits = each.temperatures
    n, sites = bits.shape
    third = sites // 3
    low, high = bits[:, :third].mean(axis=1), bits[:, -third:].mean(axis=1)
    row: dict[str, Any] = {"training": name}
    for key, at in (("start", 0), ("middle", n // 2 - 1), ("end", n - 1)):
        row[f"first {key}"], row[f"last {key}"] = float(low[at]), float(high[at])
    return row | {"accuracy": float(each.accuracy[-1])}


def figure_8(folder: Path) -> Rows:
    """Rates, temperatures of the first and last site, accuracy, of three schedules."""
    courses = _courses({title: usual("ResNet-14", name, 0.1) for name, title in SCHEDULES.items()})
    series = {
        name: {
            "learning_rate": (each.diagram.steps, each.diagram.used_rates),
            "temperature_bits_first": (each.diagram.steps, each.temperatures[:, 0]),
            "temperature_bits_last": (each.diagram.steps, each.temperatures[:, -1]),
            "validation_accuracy": (each.diagram.steps, each.accuracy),
        }
        for name, each in courses.items()
    }
    save_schedules(series, folder / "3_8.png", time_label="training step")
    return [_temperatures(name, each) for name, each in courses.items()]


def _layers(named: Mapping[str, Run], path: Path) -> Rows:
    courses = _courses(named)
    save_layers({name: (e.diagram.steps, e.temperatures) for name, e in courses.items()}, path)
    return [_temperatures(name, each) for name, each in courses.items()]


def figure_9(folder: Path) -> Rows:
    """Temperature by site and time: with and without shortcuts, two schedules."""
    return _layers(
        {
            f"{net}, {SCHEDULES[name]}": usual(net, name, 0.1)
            for name in ("onecycle", "cyclic")
            for net in ("ResNet-14", "ConvNet-14")
        },
        folder / "3_9.png",
    )


def figure_10(folder: Path) -> Rows:
    """Temperature by site and time: four architectures with step decay."""
    nets = ("ConvNet-14", "ResNet-14", "FixUp-14", "PyramidNet-14")
    return _layers({net: usual(net, "step", RATES[net]) for net in nets}, folder / "3_10.png")


def _sensitivity_runs() -> dict[str, Run]:
    rates = {"ResNet-14": 0.1, "F1 + BN": 0.02}
    return {
        f"{net}, {SCHEDULES[name]}": usual(net, name, rate)
        for net, rate in rates.items()
        for name in ("step", "onecycle")
    }


def figure_11(folder: Path) -> Rows:
    """Phase diagrams of two networks and two schedules, with the fit and its error (3.11, 3.12)."""
    courses = _courses(_sensitivity_runs())
    diagrams = {name: each.diagram for name, each in courses.items()}
    _phases(diagrams, folder / "3_11.png", with_error=True)
    return [_row(name, each.diagram, each.accuracy[-1]) for name, each in courses.items()]


def _errors(found: PhaseDiagram, model: str) -> np.ndarray:
    """Return the squared errors `(times, rates)` of a model that is fitted at every time."""
    rows = []
    for distances in found.distances:
        try:
            fit = fit_transition(found.rates, distances, model, space="distance")
            rows.append((fit.model.distance(found.rates) - distances) ** 2)
        except DataError:
            rows.append(np.full(len(found.rates), np.nan))
    return np.array(rows)


def figure_13(folder: Path) -> Rows:
    """Squared errors of the log-normal and of the arctan model."""
    courses = _courses(_sensitivity_runs())
    models = ("log-normal", "arctan")
    errors = {
        model: {name: _errors(e.diagram, model) for name, e in courses.items()} for model in models
    }
    save_errors(
        {
            model: {
                name: (each.diagram.steps, each.diagram.rates, errors[model][name])
                for name, each in courses.items()
            }
            for model in models
        },
        folder / "3_13.png",
    )
    return [
        {"training": name}
        | {f"{m} rmse": float(np.sqrt(np.nanmean(errors[m][name]))) for m in models}
        | {f"{m} highest": float(np.nanmax(errors[m][name])) for m in models}
        for name in courses
    ]


def figure_14(folder: Path) -> Rows:
    """The three models at the initial weights."""
    course = course_of(usual("ResNet-14", "step", 0.1), KEPT)
    rates, distances = course.diagram.rates, course.diagram.distances[0]
    fits = [
        fit_transition(rates, distances, model, space="distance")
        for model in ("erf", "arctan", "log-normal")
    ]
    save_transitions(rates, distances, [fit.model for fit in fits], folder / "3_14.png")
    return [{"model": fit.model.name, "rmse": fit.rmse} for fit in fits]


def figure_15(folder: Path) -> Rows:
    """Phase diagrams of single sites: first, middle, last."""
    course = course_of(Run("ConvNet-14", rate=PLAIN), KEPT)
    sites = course.diagram.sites
    chosen = {"first site": 0, "middle site": len(sites) // 2, "last site": len(sites) - 1}
    found = {name: course.diagram.of_site(sites[at]) for name, at in chosen.items()}
    _phases(found, folder / "3_15.png")
    return [_row(name, each, course.accuracy[-1]) for name, each in found.items()]


def figure_16(folder: Path) -> Rows:
    """With and without shortcuts."""
    nets = {"with shortcuts": "ResNet-14", "without": "ConvNet-14"}
    return _phase_figure(
        {title: Run(net, rate=PLAIN) for title, net in nets.items()}, folder / "3_16.png"
    )


def figure_17(folder: Path) -> Rows:
    """Depth, without shortcuts and without normalisation."""
    return _phase_figure(
        {f"{depth} layers": Run(f"ToyNet-{depth}", rate=0.05) for depth in (8, 14, 20)},
        folder / "3_17.png",
    )


def figure_18(folder: Path) -> Rows:
    """Width."""
    nets = {
        "4 to 16 channels": "ResNet-14, half as wide",
        "8 to 32 channels": "ResNet-14",
        "16 to 64 channels": "ResNet-14, twice as wide",
    }
    return _phase_figure(
        {title: Run(net, rate=PLAIN) for title, net in nets.items()}, folder / "3_18.png"
    )


def figure_19(folder: Path) -> Rows:
    """Without batch normalisation: one that diverges, two that train."""
    return _phase_figure(
        {
            "VGG-11, rate 1": Run("VGG-11 without BN", rate=1.0),
            "VGG-11, rate 0.03": Run("VGG-11 without BN", rate=0.03),
            "ResNet-14, rate 0.03": Run("ResNet-14 without BN", rate=0.03),
        },
        folder / "3_19.png",
    )


def figure_20(folder: Path) -> Rows:
    """Momentum."""
    return _phase_figure(
        {f"momentum {each:g}": Run("ResNet-14", momentum=each) for each in (0.0, 0.9, 0.99)},
        folder / "3_20.png",
    )


def figure_21(folder: Path) -> Rows:
    """Weight decay: none, in the gradient, and by a constant factor at each step."""
    return _phase_figure(
        {
            "none": Run("ResNet-14", rate=PLAIN),
            "L2 0.005": Run("ResNet-14", rate=PLAIN, l2=5e-3),
            "SGDW 0.005": Run("ResNet-14", rate=PLAIN, shrink=5e-3),
            "SGDW 0.05": Run("ResNet-14", rate=PLAIN, shrink=5e-2),
        },
        folder / "3_21.png",
    )


def figure_22(folder: Path) -> Rows:
    """ActCoolLR: the bend of the temperature, and the length of the training (Table 3.1)."""
    families = {
        "gamma": {f"gamma {gamma:g}": Cooled(gamma) for gamma in (1.0, 2.0, 4.0)},
        "length": {f"{steps} steps": Cooled(steps=steps) for steps in LENGTHS},
    }
    rows: Rows = []
    for family, runs in families.items():
        found = {name: cooled(run, KEPT) for name, run in runs.items()}
        series = {
            name: {
                "learning_rate": (np.arange(len(each["rates"])), each["rates"]),
                "temperature_bits": (each["measured"][0], each["measured"][1]),
                "validation_accuracy": (each["times"], 1 - np.array(each["errors"])),
            }
            for name, each in found.items()
        }
        path = folder / f"3_22_{family}.png"
        save_schedules(series, path, time_label="training step", ordered=True)
        rows += [
            {
                "training": name,
                "highest rate": max(each["rates"]),
                "step of it": int(np.argmax(each["rates"])) + 1,
                "error": each["errors"][-1],
                "error at half": each["errors"][len(each["errors"]) // 2 - 1],
            }
            for name, each in found.items()
        ]
    return rows


FIGURES: dict[str, Callable[[Path], Rows]] = {
    "3.8": figure_8,
    "3.9": figure_9,
    "3.10": figure_10,
    "3.11": figure_11,
    "3.13": figure_13,
    "3.14": figure_14,
    "3.15": figure_15,
    "3.16": figure_16,
    "3.17": figure_17,
    "3.18": figure_18,
    "3.19": figure_19,
    "3.20": figure_20,
    "3.21": figure_21,
    "3.22": figure_22,
}
