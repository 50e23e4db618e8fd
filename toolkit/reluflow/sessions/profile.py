"""The time of each kernel of some models, by ONNX Runtime's own profiler."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reluflow.graph import Model
from reluflow.sessions.session import Session, open_session

Feeds = Mapping[str, np.ndarray]
_KERNEL = "_kernel_time"
"""End of the name of an event that measures one kernel."""
_US_PER_MS = 1000
WARM_UP = 2
"""Runs before those that count: the first one allocates memory and lays out weights."""


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One kernel of a session; part of what `profile_models` returns.

    Attributes:
        name: of the node that ONNX Runtime ran, which it derives from a node or a tensor of the
            model.
        op: the operator that it ran.
        ms: median over the runs, or the fastest of them, milliseconds.
    """

    name: str
    op: str
    ms: float


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """The kernels of one model; returned by `profile_models`.

    Attributes:
        kernels: those of the main graph, in the order of a run; the time of subgraphs is part of
            the node that holds them.
        run_ms: the same of a whole run, milliseconds.
    """

    kernels: tuple[KernelTime, ...]
    run_ms: float


def profile_models(
    models: Sequence[tuple[Model, Callable[[int], Feeds]]],
    *,
    runs: int,
    threads: int | None = None,
    library: bool | None = None,
    fastest: bool = False,
) -> tuple[ModelProfile, ...]:
    """Measure the kernels of some models, whose runs take turns.

    Turns let a machine that becomes slower or faster meanwhile change all models alike. The
    profiler has a resolution of one microsecond and adds some to each kernel.

    Args:
        models: each with a function that returns the inputs of its run number 0, 1, ...
        runs: that count; a few more come before them.
        threads: as of `open_session`.
        library: as of `open_session`.
        fastest: give the fastest of the runs instead of their median, for a busy machine.

    Returns:
        One profile per model.

    Raises:
        ModelError: ONNX Runtime cannot load a model.
        DataError: it cannot run on the inputs.

    Example:
        >>> from reluflow.graph import load
        >>> feeds = {"image": np.zeros((1, 1, 28, 28), np.float32)}
        >>> model = load("models/fashion_resnet8.onnx")
        >>> (found,) = profile_models([(model, lambda run: feeds)], runs=2, threads=1)
        >>> sum(kernel.op == "Conv" for kernel in found.kernels), found.run_ms > 0
        (9, True)

    Reference: docs/psb.md, where the time goes.
    """
    with tempfile.TemporaryDirectory(prefix="reluflow-") as folder:
        sessions = [
            open_session(
                model, threads=threads, library=library, write_profile=Path(folder, str(number))
            )
            for number, (model, _) in enumerate(models)
        ]
        for run in range(WARM_UP + runs):
            for session, (_, feeds) in zip(sessions, models, strict=True):
                session.run(feeds(run))
        return tuple(_read(session, np.min if fastest else np.median) for session in sessions)


def _read(session: Session, pick: Callable[[list[float]], Any]) -> ModelProfile:
    events = json.loads(session.end_profile().read_bytes())
    whole = [event for event in events if event["name"] == "model_run"][WARM_UP:]
    kernels = [event for event in events if event["name"].endswith(_KERNEL)]
    kernels.sort(key=lambda event: (event["ts"], -event["dur"]))
    times: dict[tuple[str, str], list[float]] = {}
    for run in whole:
        for event in _outermost(kernels, run["ts"], run["ts"] + run["dur"]):
            key = event["name"].removesuffix(_KERNEL), str(event["args"]["op_name"])
            times.setdefault(key, []).append(event["dur"] / _US_PER_MS)
    found = tuple(KernelTime(*key, float(pick(ms))) for key, ms in times.items())
    return ModelProfile(found, float(pick([run["dur"] for run in whole])) / _US_PER_MS)


def _outermost(kernels: list[Any], start: int, end: int) -> Iterator[Any]:
    """Yield the kernels of one run without those that ran inside others, in subgraphs."""
    for event in kernels:
        if start <= event["ts"] < end:
            start = event["ts"] + event["dur"]
            yield event
