"""What the rounding of one layer's probabilities costs at the last layers: one layer at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.evaluation.tuning.held_out import Dampings
from reluflow.evaluation.tuning.numbers import choose_numbers, plain_numbers
from reluflow.evaluation.tuning.options import TuningOptions
from reluflow.evaluation.tuning.stream import Stream
from reluflow.evaluation.tuning.tune import LEAST_ROWS, check_finite, moments_for
from reluflow.graph import Layer, Model, Numbers, expose, last_layers, with_numbers
from reluflow.graph.tuning.part import take_part
from reluflow.progress import Progress
from reluflow.psb.feedback import DAMPING
from reluflow.psb.second_moments import InputMoments
from reluflow.sessions import Session, open_session

_F64 = NDArray[np.float64]
_TRIED = 8
"""Inputs that each layer is tried on, at most: each is run once per layer."""
_SHARE = 3
"""One in so many inputs is for trying, the others for rounding. Rounding by few second moments fits
the inputs that it knows: on these, late layers of many weights would seem to lose nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class BitErrors:
    """What `measure_bit_errors` found, for each layer.

    Attributes:
        errors: `(layers, levels)`: energy of the error at the last layers over that of their
            outputs, the mean over channels and layers, with this layer alone in so many bits.
        products: `(layers,)` multiplications for one input.
        n_inputs: number of inputs that the layers were tried on.
    """

    errors: _F64
    products: NDArray[np.int64]
    n_inputs: int


def measure_bit_errors(
    model: Model,
    layers: Sequence[Layer],
    source: DataSource,
    options: TuningOptions,
    levels: Sequence[int],
    *,
    size: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> BitErrors:
    """Measure what rounding each layer's weights alone costs at the last layers.

    Weights are rounded as tuning would round them, for the moments of the float model, and tried on
    inputs that went into no moment; a single batch serves both.

    Args:
        model: the float model, folded and raised as `plan_psb` leaves it.
        layers: of `read_layers`.
        source: representative inputs; read again for every layer.
        options: how weights are rounded.
        levels: stored bits of a probability to try.
        size: inputs per run.
        threads: of ONNX Runtime.
        progress: called after each layer.

    Raises:
        DataError: the data make a layer's inputs NaN or infinite.
    """
    size = source.fitting_batch_size(size, 1)
    ends = last_layers(model, layers)
    part = take_part(model, {}, [layer.output for layer in ends]).model
    batches, others = _tried(source, size)
    exact = _run(open_session(part, threads=threads), batches)
    stream = Stream(source, size, threads)
    errors = []
    for place, layer in enumerate(layers):
        moments = moments_for(layer, place, source, options)
        for number, (x,) in enumerate(stream.tensors(model, layer.output, [layer.x])):
            check_finite(layer, x)
            if number >= len(batches) or not others:
                moments.add(x, x)
        tried = [
            with_numbers(part, {layer.output: _rounded(layer, moments, options, p_bits)}).model
            for p_bits in levels
        ]
        runs = [_run(open_session(each, threads=threads), batches) for each in tried]
        errors.append([_error(ends, exact, found) for found in runs])
        if progress is not None:
            progress("measuring layers", place + 1, len(layers))
    n_inputs = sum(len(next(iter(batch.values()))) for batch in batches)
    products = _products(model, layers, batches[0], threads)
    return BitErrors(np.array(errors), products, n_inputs)


def _rounded(layer: Layer, moments: InputMoments, options: TuningOptions, p_bits: int) -> Numbers:
    if moments.n_rows < LEAST_ROWS:
        return plain_numbers(layer, p_bits)
    damping = DAMPING if options.damping is None else options.damping
    dampings = Dampings(damping, damping)
    return choose_numbers(layer, moments, replace(options, p_bits=p_bits), dampings)


def _tried(source: DataSource, size: int) -> tuple[list[dict[str, np.ndarray]], bool]:
    """Return the batches, the first ones, that layers are tried on, and whether others follow."""
    wanted = min(_TRIED, max(1, (source.n_samples or _SHARE * _TRIED) // _SHARE))
    found: list[dict[str, np.ndarray]] = []
    count = 0
    for batch in source.batches(size):
        if count >= wanted:
            return found, True
        found.append(batch)
        count += len(next(iter(batch.values())))
    return found, False


def _run(
    session: Session, batches: Sequence[Mapping[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    return [
        dict(zip(session.outputs, map(np.array, session.run(dict(each))), strict=True))
        for each in batches
    ]


def _error(
    ends: Sequence[Layer],
    exact: Sequence[Mapping[str, np.ndarray]],
    found: Sequence[Mapping[str, np.ndarray]],
) -> float:
    """Return the energy of the error over that of the signal, mean of channels, then of layers."""
    shares = []
    for end in ends:
        axis = -1 if end.window is None else 1
        noise = signal = np.zeros(len(end.weights))
        for right, made in zip(exact, found, strict=True):
            was = _channels(right[end.output], axis)
            noise = noise + ((_channels(made[end.output], axis) - was) ** 2).sum(axis=0)
            signal = signal + (was**2).sum(axis=0)
        carries = signal > 0
        if carries.any():
            shares.append(float((noise[carries] / signal[carries]).mean()))
    return sum(shares) / len(shares) if shares else 0.0


def _channels(values: np.ndarray, axis: int) -> _F64:
    last = np.moveaxis(np.asarray(values, np.float64), axis, -1)
    flat: _F64 = last.reshape(-1, last.shape[-1])
    return flat


def _products(
    model: Model, layers: Sequence[Layer], batch: Mapping[str, np.ndarray], threads: int | None
) -> NDArray[np.int64]:
    """Return the multiplications of each layer for one input, by the sizes of the first ones."""
    names = list(dict.fromkeys(layer.output for layer in layers))
    session = open_session(expose(model, names).model, threads=threads)
    made = dict(zip(session.outputs, session.run(dict(batch)), strict=True))
    count = len(next(iter(batch.values())))
    return np.array(
        [
            np.count_nonzero(layer.weights) * made[layer.output].size // len(layer.weights) // count
            for layer in layers
        ],
        np.int64,
    )
