"""Choosing the bits of fixed-point activations by their error on data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reluflow.data import DataSource
from reluflow.errors import ModelError
from reluflow.evaluation.answers.metrics import Values
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.evaluation.calibrate import exponents, largest_values
from reluflow.evaluation.result import OutputError
from reluflow.evaluation.run import Runner
from reluflow.evaluation.signal_error import GOOD_DB, SignalError, open_errors
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import (
    Model,
    PsbChanges,
    PsbOptions,
    PsbPlan,
    Rewritten,
    plan_psb,
    to_psb,
    with_activations,
)

USUAL_BITS = 12
WIDTHS = (USUAL_BITS, 16)
"""The usual width and that of the thesis, the widest that the operators take."""
LOSS_DB = 0.5
"""Accepted loss in dB against the widest: rounding then adds an eighth to the error's energy."""
LOSS_EQUAL = 0.001
"""The same for an output of class numbers or strings: share of answers that may differ more."""
ENOUGH_DB = 40.0
"""An error of a hundredth of the signal: where it is no larger, bytes lose nothing."""
GOOD_SPREAD_DB = 20.0
"""An error with a hundredth of the variance, a correlation of 0.995 with the float model: where it
is larger, what the inputs differ by is lost, however small it is beside the output's energy."""
ENOUGH_SPREAD_DB = 30.0
"""The same for bytes: a thousandth, a correlation of 0.9995."""
_UNITY = 0.01


@dataclass(frozen=True, slots=True)
class TriedBits:
    """The errors of one width of activations on the calibration data.

    `choose_activation_bits` returns one per width.

    Attributes:
        x_bits: bits of an activation.
        outputs: SQNR of every output against the float model, in nearest mode.
    """

    x_bits: int
    outputs: tuple[OutputError, ...]

    @property
    def lowest_db(self) -> float | None:
        """Smallest SQNR in dB of an output or of its worst channel; None: no output has numbers."""
        found = [_lowest(output) for output in self.outputs]
        return min((each for each in found if each is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; infinite decibels become null."""
        return {
            "x_bits": self.x_bits,
            "lowest_db": _finite(self.lowest_db),
            "outputs": [_plain(output) for output in self.outputs],
        }

    def __str__(self) -> str:
        """Describe it in a few words."""
        if self.lowest_db is None:
            equal = min(output.equal for output in self.outputs)
            return f"{self.x_bits} bits: {equal:.1%} of the answers are those of the float model"
        worst = min(self.outputs, key=lambda o: math.inf if o.sqnr_db is None else _db(o))
        where = f"output {worst.name!r}"
        if worst.worst_db is not None and worst.worst_db <= _db(worst):
            where = f"channel {worst.worst_channel} of {where}"
        return f"{self.x_bits} bits: SQNR {self.lowest_db:.1f} dB ({where})"


@dataclass(frozen=True, slots=True)
class ActivationBits:
    """The chosen width of activations and why, as returned by `choose_activation_bits`.

    Attributes:
        options: of the conversion, with `x_bits` and `x_exponents` set.
        tried: one record per width, the smallest first.
        n_inputs: number of inputs used for the measurement.
        result: the conversion with these options.
    """

    options: PsbOptions
    tried: tuple[TriedBits, ...]
    n_inputs: int
    result: Rewritten[PsbChanges]

    @property
    def chosen(self) -> int:
        """Bits of an activation."""
        return self.options.x_bits

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; infinite decibels become null."""
        return {
            "chosen": self.chosen,
            "n_inputs": self.n_inputs,
            "tried": [each.to_dict() for each in self.tried],
        }

    def __str__(self) -> str:
        """State the figures of every width, the choice and, where the error is large, why."""
        figures = "; ".join(map(str, self.tried))
        text = f"Activations: {figures}; chosen {self.chosen}."
        best = self.tried[-1].lowest_db
        if best is not None and best < GOOD_DB:
            text += (
                f" Neither reaches {GOOD_DB:.0f} dB: the stored bits of the weights, or channels "
                "far louder than others, limit it; an evaluation names which."
            )
        return text


def choose_activation_bits(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    *,
    options: PsbOptions | None = None,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
    floats: FloatOutputs | None = None,
) -> ActivationBits:
    """Choose 12 or 16 bits for all activations, by the error of each on data.

    The model is converted once. Its activations get both widths, with exponents calibrated on the
    data, and it runs in nearest mode, so that the two differ only in the rounding of activations.
    Twelve bits are chosen where every output reaches an SQNR of 25 dB, and 20 dB against what
    differs between inputs, the variance of its channels, or is at most half a dB
    below that of 16 bits, as a whole and with its channels counted alike; probabilities of classes,
    which add up to 1, are judged as a whole. For an output without floating-point numbers, the
    agreement with the float model may be lower by a thousandth. Otherwise 16 bits are chosen.

    Args:
        model: the float model, or the plan of its conversion.
        source: representative inputs; read twice.
        options: of the conversion; its `x_bits` and `x_exponents` do not matter.
        size: inputs per run.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.
        floats: outputs of the given model on these inputs, if they are known.

    Returns:
        The choice, with the options to convert with, and the figures of both widths.

    Raises:
        ModelError: the model has nothing to convert.
        DataError: the data can be read only once or cannot calibrate, or no output of the model is
            an array.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=20)
        >>> choose_activation_bits(model, images).chosen
        12

    Reference: docs/decisions/0022-activation-bits.md; docs/psb-ops.md, activations.
    """
    options = options or PsbOptions()
    source.check_rereadable()
    plan = plan_psb(model, options) if isinstance(model, Model) else model
    given = plan.done.given
    largest = largest_values(plan, source, options=options, size=size, threads=threads)
    if not largest:
        raise ModelError(
            f"model {str(given.path or '<memory>')!r} has no activations to choose bits for; "
            "give a model with Conv, Gemm or MatMul of constant weights."
        )
    ways = {
        bits: replace(options, x_bits=bits, x_exponents=exponents(largest, bits)) for bits in WIDTHS
    }
    # Converted once: both widths share the weights, so that only the activations differ.
    made = to_psb(plan, options)
    results = {bits: with_activations(made, bits, way.x_exponents) for bits, way in ways.items()}
    runners = {bits: Runner(each.model, threads, native) for bits, each in results.items()}
    floats = floats or FloatOutputs(given, source, size, threads)
    tried, n_inputs = measure_widths(floats, runners)
    few, many = tried
    chosen = few.x_bits if is_enough(few, many) else many.x_bits
    return ActivationBits(ways[chosen], tried, n_inputs, results[chosen])


def measure_widths(
    floats: FloatOutputs, runners: Mapping[int, Runner]
) -> tuple[tuple[TriedBits, ...], int]:
    """Compare a converted model of every width with the float model, in nearest mode.

    Args:
        floats: the outputs of the float model on the data.
        runners: bits -> converted model.

    Returns:
        The errors of every width in the order of `runners`, and the number of inputs.

    Raises:
        DataError: no output of the model is an array.
    """
    # Nearest mode: draws would add an error many times that of rounding activations.
    sessions = {bits: runner.at(0, 0) for bits, runner in runners.items()}
    measured: dict[int, dict[str, SignalError]] = {}
    n_inputs = 0
    for batch, exact in floats:
        n_inputs += len(next(iter(batch.values())))
        for bits, (session, extra) in sessions.items():
            errors = measured.setdefault(bits, _open(exact))
            found = run_arrays(session, {**batch, **extra})
            for name, error in errors.items():
                error.add(found[name], exact[name])
    tried = tuple(
        TriedBits(bits, tuple(error.result() for error in errors.values()))
        for bits, errors in measured.items()
    )
    return tried, n_inputs


def _open(exact: Mapping[str, Values]) -> dict[str, SignalError]:
    """Return empty sums for each output; probabilities of classes are judged as a whole."""
    whole = {name: SignalError(name, 1, whole=True) for name, x in exact.items() if _are_shares(x)}
    return open_errors(exact, {}) | whole


def _are_shares(x: Values) -> bool:
    """Tell whether channels add up to 1: no decision depends on those that are nearly 0."""
    if x.dtype.kind != "f" or x.ndim < 2 or x.shape[1] < 2 or not x.size:
        return False
    return bool(x.min() >= 0 and np.abs(x.sum(axis=1, dtype=np.float64) - 1).max() < _UNITY)


def is_enough(
    few: TriedBits,
    many: TriedBits,
    loss_db: float = LOSS_DB,
    enough_db: float = GOOD_DB,
    spread_db: float = GOOD_SPREAD_DB,
    worst: bool = False,
) -> bool:
    """Tell whether the smaller width is within the accepted loss at every output.

    An output is judged as a whole and with all its channels counted alike. By itself the error of
    the whole is small where it is small beside the output's spread: beside its energy, what all
    inputs share, such as the probability of a class that is nearly always 1, would hide it.

    Args:
        few: the errors of the smaller width.
        many: those of the larger one.
        loss_db: accepted loss in dB.
        enough_db: SQNR from which on nothing counts as lost.
        spread_db: the same of the spread, which has to be reached as well.
        worst: judge the worst channel by itself as well.
    """
    for a, b in zip(few.outputs, many.outputs, strict=True):
        if a.sqnr_db is None or b.sqnr_db is None:
            if a.equal < b.equal - LOSS_EQUAL:
                return False
            continue
        told = a.spread_db is None or a.spread_db >= spread_db
        # Good enough by itself, or limited by the weights, which more bits of activations cannot
        # mend.
        if _is_lost(a.sqnr_db, b.sqnr_db, loss_db, enough_db if told else math.inf):
            return False
        pairs = [(a.even_db, b.even_db), (a.worst_db, b.worst_db)]
        if any(_is_lost(x, y, loss_db, enough_db) for x, y in pairs[: 1 + worst]):
            return False
    return True


def _is_lost(few: float | None, many: float | None, loss_db: float, enough_db: float) -> bool:
    if few is None or many is None:
        return False
    return few < enough_db and few < many - loss_db


def pays_alone(x_bits: int) -> bool:
    """Tell whether a convolution without neighbours in its chain is faster with int16 at its ends.

    Up to 12 bits PsbConv multiplies in the same lanes as FixedConv16, and needs no ends.

    Args:
        x_bits: bits of an activation.

    Example:
        >>> pays_alone(12), pays_alone(16)
        (False, True)
    """
    return x_bits > USUAL_BITS


def _db(output: OutputError) -> float:
    assert output.sqnr_db is not None
    return output.sqnr_db if output.worst_db is None else min(output.sqnr_db, output.worst_db)


def _lowest(output: OutputError) -> float | None:
    return None if output.sqnr_db is None else _db(output)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plain(output: OutputError) -> dict[str, Any]:
    return {
        "name": output.name,
        "sqnr_db": _finite(output.sqnr_db),
        "worst_channel": output.worst_channel,
        "worst_db": _finite(output.worst_db),
        "equal": output.equal,
        "even_db": _finite(output.even_db),
        "spread_db": _finite(output.spread_db),
    }
