"""One pass of a cascade: a model at a number of samples, run on any number of inputs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data import InputSpec
from reluflow.errors import DataError, OptionError
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.evaluation.options import SAMPLES
from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.graph import Model, find_psb, output_makers, with_input_defaults
from reluflow.sessions import Session, open_session

Feeds = Mapping[str, NDArray[Any]]


@dataclass(eq=False)
class Pass:
    """A model that is ready to run, as returned by `open_pass`.

    Attributes:
        name: what runs, in words: "16 samples" or "float".
        inputs: what the model wants.
        draws: sessions, each with what chooses its precision and seed.
        makers: output -> the operator that computes it.
        shift_adds: for one input; None in floating point, or where shapes do not tell.
    """

    name: str
    inputs: tuple[InputSpec, ...]
    draws: tuple[tuple[Session, Feeds], ...]
    makers: Mapping[str, str]
    shift_adds: int | None

    @property
    def batch_size(self) -> int | None:
        """The number of inputs that the model is made for, None: any."""
        return next((spec.batch_size for spec in self.inputs if spec.batch_size), None)

    def run(self, feeds: Feeds) -> tuple[tuple[dict[str, NDArray[Any]], ...], float]:
        """Run all draws on a batch.

        Args:
            feeds: input -> `(n, ...)`, by the names of the model, or in its order.

        Returns:
            The outputs of each draw, and the seconds that it took.

        Raises:
            DataError: the model does not take these inputs.
        """
        named = self._named(feeds)
        n = len(next(iter(named.values())))
        size = self.batch_size or n
        starts = range(0, n, size)
        pieces = [self._padded({k: v[at : at + size] for k, v in named.items()}) for at in starts]
        start = time.perf_counter()
        found = [
            [run_arrays(session, {**piece, **extra}) for piece in pieces]
            for session, extra in self.draws
        ]
        seconds = time.perf_counter() - start
        return tuple(_joined(parts, n) for parts in found), seconds

    def _named(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """Give the arrays the names of this model's inputs."""
        names = [spec.name for spec in self.inputs]
        if len(names) != len(feeds):
            raise DataError(
                f"{self.name} has {len(names)} inputs, but {len(feeds)} are given "
                f"({', '.join(map(repr, feeds))}); both passes take the same inputs."
            )
        if set(names) == set(feeds):
            return {name: feeds[name] for name in names}
        return dict(zip(names, feeds.values(), strict=True))

    def _padded(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Fill a batch up to the size that the model is made for, by its last input."""
        missing = (self.batch_size or 0) - len(next(iter(feeds.values())))
        if missing <= 0:
            return feeds
        return {
            name: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
            for name, array in feeds.items()
        }


def _joined(parts: list[dict[str, NDArray[Any]]], n: int) -> dict[str, NDArray[Any]]:
    """Return the outputs of several batches as those of one, without what filled the last."""
    return {
        name: np.concatenate([part[name] for part in parts])[:n] if first.ndim else first
        for name, first in parts[0].items()
    }


def open_pass(
    model: Model,
    samples: int | None = None,
    *,
    seeds: tuple[int, ...] = (0,),
    threads: int | None = None,
    native: bool | None = None,
    arena: bool = True,
) -> Pass:
    """Open a model as one pass of a cascade.

    Args:
        model: a converted model, or one in floating point.
        samples: of a converted model, one of 1, 2, 4, ..., 64; fewer than 4 are rounded to nearest.
        seeds: one of each draw.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.
        arena: keep memory from run to run, as `reluflow.sessions.open_session` says.

    Returns:
        The pass, which takes any number of inputs at a time.

    Raises:
        OptionError: samples are missing for a converted model, given for another, or not accepted;
            or of several seeds all would draw the same.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = {"image": np.zeros((2, 1, 28, 28), np.float32)}
        >>> exact, few = open_pass(model), open_pass(to_psb(model).model, 4)
        >>> exact.name, few.name, few.shift_adds == 4 * open_pass(to_psb(model).model, 1).shift_adds
        ('float', '4 samples', True)
        >>> few.batch_size is None, [v.shape for v in few.run(images)[0][0].values()]
        (True, [(2, 10)])
    """
    what = str(model.path or "<memory>")
    if not find_psb(model):
        if samples is not None:
            raise OptionError(
                f"samples is {samples}, but model {what!r} has no PSB operator; convert it with "
                "reluflow psb convert, or let it run in floating point."
            )
        if len(seeds) > 1:
            raise _no_draws(what, "in floating point")
        session = open_session(model, threads=threads, arena=arena)
        return Pass("float", tuple(model.inputs), ((session, {}),), output_makers(model), None)
    if samples not in SAMPLES:
        listed = ", ".join(map(str, SAMPLES))
        raise OptionError(f"samples of {what!r} is {samples}; accepted are {listed}.")
    runner = Runner(model, threads, native, rounded_below=ROUNDED_BELOW, arena=arena)
    if len(seeds) > 1 and runner.is_certain(samples):
        raise _no_draws(what, f"at {_samples(samples)}")
    adds = [node.shift_adds(samples) for node in find_psb(model)]
    known = [each for each in adds if each is not None]
    return Pass(
        _samples(samples),
        tuple(with_input_defaults(model).model.inputs),
        tuple(runner.at(samples, seed) for seed in seeds),
        output_makers(model),
        len(seeds) * sum(known) if len(known) == len(adds) else None,
    )


def _samples(n: int) -> str:
    return "1 sample" if n == 1 else f"{n} samples"


def _no_draws(what: str, when: str) -> OptionError:
    return OptionError(
        f"measure is 'disagreement', but {what!r} draws nothing {when}, so two draws are equal; "
        f"take {ROUNDED_BELOW} samples or more of a converted model, or another measure."
    )
