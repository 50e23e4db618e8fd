"""What the samples of one operator cost at the outputs: runs with a single operator imprecise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.evaluation.answers.metrics import Values
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.evaluation.run import is_certain
from reluflow.graph import (
    Model,
    PsbNode,
    bake_samples,
    find_psb,
    psb_inputs,
    with_input_defaults,
    with_own_samples,
    with_sampler,
)
from reluflow.progress import Progress
from reluflow.psb import MAX_SAMPLES
from reluflow.sessions import Session, open_session, use_library


@dataclass(frozen=True, slots=True)
class SampleErrors:
    """The error of the outputs where one operator draws few samples; see `measure_sample_errors`.

    Attributes:
        nodes: the PSB operators.
        levels: numbers of samples, ascending.
        samplers: how an operator draws at a level, `(nodes, levels)`.
        errors: `(nodes, levels)`: energy of the error over that of the signal, mean of the
            outputs.
    """

    nodes: tuple[PsbNode, ...]
    levels: tuple[int, ...]
    samplers: tuple[tuple[str, ...], ...]
    errors: NDArray[np.float64]


def measure_sample_errors(
    model: Model,
    source: DataSource,
    *,
    sampler: str | None = None,
    rounded_below: int = 0,
    seeds: int = 1,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
    progress: Progress | None = None,
) -> SampleErrors:
    """Measure the error of the outputs for each operator at each number of samples, alone.

    All other operators run in nearest mode, with which the outputs are compared: no float model is
    needed. Levels end where the stored bits end, since more samples then change nothing.

    Args:
        model: of `to_psb`.
        source: representative inputs.
        sampler: how all operators draw; None: as stored.
        rounded_below: systematic draws of fewer samples are replaced by nearest.
        seeds: runs of each level that draws.
        size: inputs per run.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.
        progress: called as progress("measuring", runs done, runs).

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> images = open_data("models/fashion_mnist_test_2000.npz", psb.inputs[:1], limit=8)
        >>> found = measure_sample_errors(psb, images)
        >>> found.levels, bool((found.errors[:, 0] > found.errors[:, -1]).all())
        ((1, 2, 4, 8, 16), True)

    Reference: thesis 4.2.6; docs/spec.md, section 7.
    """
    nodes = find_psb(model)
    top = min(MAX_SAMPLES, max(1 << node.p_bits for node in nodes))
    levels = tuple(1 << k for k in range(top.bit_length()))
    trials = [
        _Trial(row, column, node, n, _sampler(node, n, sampler, rounded_below))
        for row, node in enumerate(nodes)
        for column, n in enumerate(levels)
    ]
    drawn = [trial for trial in trials if not trial.is_certain for _ in range(seeds)]
    tried = [trial for trial in trials if trial.is_certain and trial.changes] + drawn
    sums = {(trial.row, trial.column): ErrorShares() for trial in trials}
    alone = _Alone(model, threads, native)
    done, size = 0, source.fitting_batch_size(size)
    runs = None if source.n_samples is None else len(tried) * -(-source.n_samples // size)
    for batch in source.batches(size):
        exact = alone.run(batch, None, 0)
        for seed, trial in enumerate(tried):
            sums[trial.row, trial.column].add(alone.run(batch, trial, seed), exact)
            done += 1
            if progress is not None:
                progress("measuring", done, runs)
    errors = np.zeros((len(nodes), len(levels)))
    for place, each in sums.items():
        errors[place] = each.relative()
    samplers = np.reshape([trial.sampler for trial in trials], errors.shape)
    return SampleErrors(nodes, levels, tuple(map(tuple, samplers.tolist())), errors)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One operator at one number of samples."""

    row: int
    column: int
    node: PsbNode
    samples: int
    sampler: str

    @property
    def is_certain(self) -> bool:
        """Whether nothing is drawn."""
        return is_certain(replace(self.node, sampler=self.sampler), self.samples)

    @property
    def changes(self) -> bool:
        """Whether the weights differ from those of nearest mode where nothing is drawn."""
        return self.samples < 1 << self.node.p_bits


def _sampler(node: PsbNode, samples: int, wanted: str | None, rounded_below: int) -> str:
    if wanted is not None:
        return wanted
    rounds = samples < rounded_below and node.sampler == "systematic"
    return "nearest" if rounds else node.sampler


class _Alone:
    """Runs a model with one operator at its own number of samples, all others in nearest mode."""

    def __init__(self, model: Model, threads: int | None, native: bool | None) -> None:
        own = with_own_samples(with_input_defaults(model).model)
        self._model, self._inputs = own.model, own.done
        self._seed = psb_inputs(self._model)[1]
        self._threads = threads
        self._native = use_library(native)
        self._sessions: dict[str, Session] = {}

    def run(
        self, batch: Mapping[str, NDArray[Any]], trial: _Trial | None, seed: int
    ) -> dict[str, Values]:
        """Return the outputs; without a trial those of nearest mode."""
        sampler = "" if trial is None else trial.sampler
        if self._native or trial is None:
            own = {} if trial is None else {trial.node.name: trial.samples}
            feeds = {self._inputs[name]: np.array(n, np.int64) for name, n in own.items()}
            feeds |= {self._seed: np.array(seed, np.int64)} if own else {}
            return run_arrays(self._session(sampler), {**batch, **feeds})
        drawing = with_sampler(self._model, sampler).model
        baked = bake_samples(drawing, {trial.node.name: trial.samples}, seed).model
        return run_arrays(open_session(baked, threads=self._threads, library=False), batch)

    def _session(self, sampler: str) -> Session:
        if sampler not in self._sessions:
            model = with_sampler(self._model, sampler).model if sampler else self._model
            self._sessions[sampler] = open_session(
                model, threads=self._threads, library=self._native
            )
        return self._sessions[sampler]


class ErrorShares:
    """Energy of the error and of the signal of every output, over batches and seeds."""

    def __init__(self) -> None:
        self._noise: dict[str, float] = {}
        self._signal: dict[str, float] = {}

    def add(self, found: Mapping[str, Values], exact: Mapping[str, Values]) -> None:
        """Take in a batch; of class numbers and strings, those that differ count."""
        for name, right in exact.items():
            noise, signal = _energies(found[name], right)
            self._noise[name] = self._noise.get(name, 0.0) + noise
            self._signal[name] = self._signal.get(name, 0.0) + signal

    def relative(self) -> float:
        """Return noise over signal, the mean of the outputs that carry a signal."""
        shares = [self._noise[name] / top for name, top in self._signal.items() if top > 0]
        return sum(shares) / len(shares) if shares else 0.0


def _energies(found: Values, exact: Values) -> tuple[float, float]:
    if found.shape != exact.shape:
        return float(exact.size), float(exact.size)
    if exact.dtype.kind != "f":
        return float(np.count_nonzero(found != exact)), float(exact.size)
    right = exact.astype(np.float64)
    right[~np.isfinite(right)] = 0
    error = np.where(np.isfinite(found), found, 0) - right
    return float(np.vdot(error, error)), float(np.vdot(right, right))
