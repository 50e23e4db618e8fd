"""Why an error does not fall with the number of samples, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from reluflow.data import DataSource
from reluflow.evaluation.options import EvaluationOptions
from reluflow.evaluation.result import LayerSaturation
from reluflow.evaluation.run import Runner
from reluflow.evaluation.signal_error import GOOD_DB, SignalError
from reluflow.graph import Model, PsbNode, expose, find_psb
from reluflow.psb import P_BITS, X_BITS_RANGE

_FALL_DB = 3.0
"""dB that doubling the samples gains at least where draws dominate the error (a factor of 2)."""
_LOST = 0.1  # share of values below the step, from which on a layer is named
_MANY_LOST = 0.3
_SATURATED = 0.01  # beyond the range: each is a large error, so few matter
_LOUD = 32.0  # times the median channel: five of the bits serve that one channel alone
_FINER = 4096.0
"""Four more bits make the step 16 times finer, which does not help a channel this much quieter."""
_FEW_BITS = 2

Measured = Mapping[int, Mapping[str, SignalError]]


def explain(
    model: Model,
    source: DataSource,
    saturation: Sequence[LayerSaturation],
    measured: Measured,
    options: EvaluationOptions,
) -> tuple[str, ...]:
    """Return sentences on outputs whose error more samples do not reduce, and on lost activations.

    An output, or one of its channels, is named where its SQNR is below 25 dB in nearest mode
    and the best is less than 3 dB above that of the fewest samples. The cause is sought in the
    activations of the layers: values below the step of the fixed-point numbers, which one loud
    channel sets for all; values that saturate; then the stored bits of the weights.

    Args:
        model: the converted model.
        source: the inputs.
        saturation: of `measure_saturation`.
        measured: samples (0 is nearest mode) -> output -> sums; empty without a float model.
        options: of the evaluation.

    Reference: docs/psb.md, when more samples do not help.
    """
    stuck = list(_stuck(measured))
    nodes = {node.name: node for node in find_psb(model)}
    rows = sorted(saturation, key=lambda row: -row.below_share)
    lost = [row for row in rows if row.below_share >= (_LOST if stuck else _MANY_LOST)]
    cut = [row for row in saturation if row.share >= _SATURATED]
    sentences = list(stuck)
    if lost:
        sentences.append(_lost(nodes[lost[0].name], lost, model, source, options))
    if stuck and cut:
        worst = max(cut, key=lambda row: row.share)
        does = "gives to its chain" if worst.chained else "multiplies"
        sentences.append(
            f"{worst.share:.1%} of what {worst.name!r} {does} saturates: its exponent was "
            "calibrated on smaller values; calibrate on data that stand for these, or leave "
            "calibration out."
        )
    if stuck and not lost and not cut:
        sentences.append(_other(nodes))
    return tuple(sentences)


def _stuck(measured: Measured) -> Iterator[str]:
    """Yield a sentence for each output, or channel of one, whose error does not fall."""
    counts = sorted(n for n in measured if n)
    if not counts:
        return
    few, nearest = counts[0], measured.get(0, {})
    for name, error in nearest.items():
        for channel in (None, error.worst_channel()):
            known = {n: measured[n][name].decibels(channel) for n in measured}
            first, best = known[few], max(known.values())
            if math.isinf(best) or known[0] >= GOOD_DB or best - first >= _FALL_DB:
                continue
            what = f"channel {channel} of output" if channel is not None else "output"
            yield (
                f"The error of {what} {name!r} does not fall with the number of samples: its "
                f"SQNR is {first:.1f} dB at n = {few} and {known[0]:.1f} dB in nearest mode."
            )
            break


def _lost(
    node: PsbNode,
    lost: Sequence[LayerSaturation],
    model: Model,
    source: DataSource,
    options: EvaluationOptions,
) -> str:
    """Say which layer loses activations, why, and what can be done."""
    row = lost[0]
    more = f" (as do {len(lost) - 1} more layers)" if len(lost) > 1 else ""
    text = (
        f"{row.below_share:.1%} of the values that {row.name!r} multiplies lie below the step of "
        f"their {row.x_bits}-bit numbers and become 0{more}"
    )
    loud = _loudest(node, model, source, options)
    if loud is not None:
        channel, ratio = loud
        text += (
            f": channel {channel} of tensor {node.x!r} is {ratio:,.0f} times as loud as the "
            "median channel and sets the step for all"
        )
    finer = row.x_bits < X_BITS_RANGE[1] and (loud is None or loud[1] <= _FINER)
    ways = ["convert with 16 bits an activation (x_bits)"] if finer else []
    if loud is not None:
        ways.insert(0, f"scale channel {loud[0]} down in the layer before and up in this one")
    elif node.x_exponent is None:
        ways.append("calibrate on usual data, so that rare large values do not set the step")
    ways.append(f"keep {row.name!r} in floating point (exclude it)")
    return f"{text}; {', or '.join(ways)}."


def _loudest(
    node: PsbNode, model: Model, source: DataSource, options: EvaluationOptions
) -> tuple[int, float] | None:
    """Return how loud the loudest input channel of a node is over the median one; None: none is.

    What exists in a subgraph only is not looked at.
    """
    if node.inside:
        return None
    session, extra = Runner(expose(model, [node.x]).model, options.threads, options.native).at(0, 0)
    place = list(session.outputs).index(node.x)
    for batch in source.batches(source.fitting_batch_size(options.batch_size)):
        values = np.abs(session.run({**batch, **extra})[place])
        axis = 1 if node.op == "PsbConv" else values.ndim - 1
        rest = tuple(each for each in range(values.ndim) if each != axis)
        tops = np.max(np.where(np.isfinite(values), values, 0), axis=rest, initial=0.0)
        # Dead channels would pull the median to 0 and make every live one loud.
        middle = float(np.median(tops[tops > 0])) if (tops > 0).any() else 0.0
        ratio = float(tops.max()) / middle if middle else 0.0
        return (int(tops.argmax()), ratio) if ratio >= _LOUD else None
    return None


def _other(nodes: Mapping[str, PsbNode]) -> str:
    bits = min((node.p_bits for node in nodes.values()), default=P_BITS[-1])
    if bits <= _FEW_BITS:
        return (
            f"The weights' probabilities are stored in {bits} bits, which no number of samples "
            "makes finer; convert with more (p_bits)."
        )
    return (
        "No layer's activations saturate or lie below their step; try the layers alone "
        "(sensitivity) to find the one that it comes from."
    )
