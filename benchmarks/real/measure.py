"""Measures one network in all its forms: closeness to float, size, time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from real.forms.kept import Forms, Made
from real.metrics import Outputs
from real.tasks import Task
from real.variants import TIMED, Given, Variant

from reluflow.errors import ReluflowError
from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.graph import Model, load
from reluflow.sessions import Session, default_threads, open_session

Feeds = dict[str, NDArray[Any]]
Call = Callable[[int], object]


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        quick: fewer inputs and numbers of samples.
        seeds: runs of each number of samples that draws.
        rounds: timed runs of each form, at most.
        seconds: after which no further round of timing begins.
        threads: numbers of threads to time; none: nothing is timed.
    """

    quick: bool = False
    seeds: int = 3
    rounds: int = 15
    seconds: float = 20.0
    threads: tuple[int, ...] = (1, 2)

    def samples(self, variant: Variant) -> tuple[int, ...]:
        """Return the numbers of samples to measure."""
        few = tuple(n for n in variant.samples if n in (0, *TIMED))
        return few if self.quick else variant.samples


def measure_network(
    path: Path,
    task: Task,
    variants: Mapping[str, Variant],
    effort: Effort,
    forms: Forms | None = None,
) -> dict[str, Any]:
    """Return the record of one network.

    Args:
        path: of the float model.
        task: its inputs and measures.
        variants: name -> form.
        effort: how much to measure.
        forms: where forms are kept and taken from; None: all are made, and none is kept.
    """
    forms = forms or Forms(path.stem)
    model = load(path)
    (name,) = (spec.name for spec in model.inputs)
    inputs = task.inputs(False, task.n[effort.quick])
    given = Given(model, {name: task.inputs(True, task.n_calibration)})
    exact = run_all(open_session(model), [name], inputs, {})
    built: dict[str, Model] = {}
    rows: dict[str, Any] = {}
    for label, variant in variants.items():
        rows[label] = {"title": variant.title, "family": variant.family, "what": variant.what}
        try:
            made = forms.make(label, variant, given)
            rows[label] |= _about(made, model)
            points = _points(variant, made.model, [name], inputs, exact, task, effort)
            rows[label]["points"] = points
            built[label] = made.model
        except ReluflowError as error:
            rows[label]["failed"] = str(error)
        print(f"  {summary(variant, rows[label], task)}", flush=True)
    drawing = [label for label in built if variants[label].draws]
    return {
        "title": task.title,
        "what": task.what,
        "measures": list(task.measures),
        "inputs": len(inputs),
        "calibration_inputs": task.n_calibration,
        "file_bytes": model.size_bytes,
        "sha256": model.sha256,
        "variants": rows,
        "times": time_forms(model, built, drawing, {name: inputs[:1]}, effort),
    }


def _about(made: Made, model: Model) -> dict[str, Any]:
    return {
        "build_s": made.build_s,
        "sha256": made.model.sha256,
        "file_bytes": made.model.size_bytes,
        "file_share": made.model.size_bytes / model.size_bytes,
    }


def _points(
    variant: Variant,
    made: Model,
    names: list[str],
    inputs: NDArray[Any],
    exact: Outputs,
    task: Task,
    effort: Effort,
) -> list[dict[str, Any]]:
    """Return one point for each number of samples."""
    if not variant.draws:
        found = run_all(open_session(made), names, inputs, {})
        return [_point(0, [scores(task, exact, found)])]
    runner = Runner(made, default_threads(), True, rounded_below=ROUNDED_BELOW)
    points = []
    for samples in effort.samples(variant):
        seeds = 1 if runner.is_certain(samples) else effort.seeds
        each = []
        for seed in range(1, seeds + 1):
            session, feeds = runner.at(samples, seed)
            each.append(scores(task, exact, run_all(session, names, inputs, feeds)))
        points.append(_point(samples, each))
    return points


def run_all(session: Session, names: list[str], inputs: NDArray[Any], feeds: Feeds) -> Outputs:
    """Run all inputs one by one; return one array per output, inputs along the first axis."""
    (name,) = names
    rows = [
        [output.copy() for output in session.run({name: inputs[i : i + 1]} | feeds)]
        for i in range(len(inputs))
    ]
    return [np.concatenate(each) for each in zip(*rows, strict=True)]


def scores(task: Task, exact: Outputs, found: Outputs) -> dict[str, float]:
    """Return all measures of a task."""
    return {name: measure(exact, found) for name, measure in task.measures.items()}


def _point(samples: int, each: list[dict[str, float]]) -> dict[str, Any]:
    measures = {name: [one[name] for one in each] for name in each[0]}
    return {
        "samples": samples,
        "seeds": len(each),
        "measures": {
            name: {"mean": _finite(statistics.fmean(values)), "std": _finite(float(np.std(values)))}
            for name, values in measures.items()
        },
    }


def _finite(value: float) -> float | None:
    """Return a number that JSON has; None for infinitely many decibels."""
    return float(value) if math.isfinite(value) else None


def time_forms(
    model: Model,
    built: Mapping[str, Model],
    drawing: Collection[str],
    feeds: Feeds,
    effort: Effort,
) -> dict[str, Any]:
    """Time all forms in turn on one input, with each number of threads.

    Args:
        model: the float model.
        built: label -> form.
        drawing: labels of the forms that draw; they are timed with each number of `TIMED`, their
            seed kept.
        feeds: the input.
        effort: how often, and with how many threads.

    Returns:
        Number of threads -> medians, and the ratios of float's time to each.
    """
    found = {}
    for threads in effort.threads:
        calls = {"float": _call(model, threads, feeds)}
        for label, made in built.items():
            if label not in drawing:
                calls[label] = _call(made, threads, feeds)
                continue
            runner = Runner(made, threads, True, rounded_below=ROUNDED_BELOW)
            for samples in TIMED:
                session, numbers = runner.at(samples, 1)
                calls[f"{label}, {samples}"] = _again(session, feeds | numbers)
        found[str(threads)] = rounds_of(calls, effort)
    return found


def _call(model: Model, threads: int, feeds: Feeds) -> Call:
    return _again(open_session(model, threads=threads), feeds)


def _again(session: Session, feeds: Feeds) -> Call:
    return lambda _: session.run(feeds)


def rounds_of(calls: Mapping[str, Call], effort: Effort) -> dict[str, Any]:
    """Return median time and ratio of each call, of rounds in which all run in turn."""
    times: dict[str, list[float]] = {label: [] for label in calls}
    end = time.perf_counter() + effort.seconds
    for i in range(effort.rounds):
        for label, call in _turned(calls, i):
            call(i)  # leaves caches and the pool's threads as in a busy host
            start = time.perf_counter()
            call(i)
            times[label].append(time.perf_counter() - start)
        if time.perf_counter() > end:
            break
    base = times["float"]
    return {
        "rounds": len(base),
        "forms": {
            label: {
                "median_ms": 1e3 * statistics.median(values),
                "ratio": statistics.median(a / b for a, b in zip(base, values, strict=True)),
            }
            for label, values in times.items()
        },
    }


def _turned(calls: Mapping[str, Call], by: int) -> Iterable[tuple[str, Call]]:
    """Return the calls in an order that begins with another one in each round."""
    listed = list(calls.items())
    at = by % len(listed)
    return listed[at:] + listed[:at]


def summary(variant: Variant, row: Mapping[str, Any], task: Task) -> str:
    """Return a line that tells how close a form is."""
    if "failed" in row:
        return f"{variant.title}: failed: {row['failed']}"
    first = next(iter(task.measures))
    cells = []
    for point in row["points"]:
        found = point["measures"]
        decibels = found["sqnr_db"]["mean"]
        noise = "" if decibels is None else f" ({decibels:.1f} dB)"
        number = f"n {point['samples']} " if variant.draws else ""
        cells.append(f"{number}{100 * found[first]['mean']:.1f}{noise}")
    return f"{variant.title}: {task.what}, %: {', '.join(cells)}"
