"""The rows of an evaluation, as text, for terminal and page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reluflow.evaluation import Evaluation, OutputError, SamplePoint
from reluflow.report.tables.format import MISSING, plain, shorten

_NAME = 18


@dataclass(frozen=True, slots=True)
class PrecisionRow:
    """One model: at a number of samples, in nearest mode, int8 or float32.

    Attributes:
        name: of the row.
        value: the metric.
        std: its deviation over seeds, "" where there is one run.
        loss: against the float model, "" without one.
        more: the other metrics.
        noise: SQNR in dB of each output and of its worst channel, in the order of
            `noise_titles`; empty where nothing is known.
    """

    name: str
    value: str
    std: str
    loss: str
    more: tuple[str, ...]
    noise: tuple[str, ...]


def precision_rows(result: Evaluation) -> list[PrecisionRow]:
    """Return one row per number of samples, then nearest mode, int8 and float32."""
    found = [
        _row(result, _samples(result, p), p.mean, p.std, p.more, p.outputs) for p in result.points
    ]
    found += [_row(result, n.name, n.value, None, n.more, n.outputs) for n in result.neighbours]
    return found


def _samples(result: Evaluation, point: SamplePoint) -> str:
    """Return n, and the sampler where it is not that of the model."""
    own = point.sampler in ("", result.psb.sampler)
    return str(point.samples) if own else f"{point.samples}, {point.sampler}"


def _row(
    result: Evaluation,
    name: str,
    value: float,
    std: float | None,
    more: tuple[float, ...],
    outputs: tuple[OutputError, ...],
) -> PrecisionRow:
    loss = result.loss(value)
    return PrecisionRow(
        name=name,
        value=measure(value, result.share),
        std="" if std is None else difference(std, result.share).lstrip("+"),
        loss="" if loss is None else difference(loss, result.share),
        more=tuple(measure(v, s) for v, s in zip(more, result.more_shares, strict=True)),
        noise=tuple(text for output in outputs for text in _noise(output)),
    )


def noise_titles(result: Evaluation) -> tuple[str, ...]:
    """Return the headings of `PrecisionRow.noise`."""
    outputs = next((point.outputs for point in result.points), ())
    return tuple(
        title
        for output in outputs
        if output.sqnr_db is not None
        for name in [shorten(plain(output.name), _NAME)]
        for title in ([name] if output.worst_channel is None else [name, f"{name}, worst channel"])
    )


def _noise(output: OutputError) -> list[str]:
    if output.sqnr_db is None:
        return []
    found = [decibels(output.sqnr_db)]
    if output.worst_db is not None:
        found.append(f"{decibels(output.worst_db)} ({output.worst_channel})")
    return found


def measure(value: float, share: bool) -> str:
    """Return a metric: in percent where it is a share, else with four digits.

    Example:
        >>> measure(0.9083, True), measure(0.98765, False)
        ('90.83 %', '0.9877')
    """
    if not math.isfinite(value):
        return MISSING
    return f"{100 * value:.2f} %" if share else f"{value:.4g}"


def difference(value: float, share: bool) -> str:
    """Return a difference with its sign: in percentage points for shares.

    Example:
        >>> difference(0.0125, True), difference(-0.5, False)
        ('+1.25', '-0.5')
    """
    if not math.isfinite(value):
        return MISSING
    return f"{100 * value:+.2f}" if share else f"{value:+.3g}"


def decibels(value: float) -> str:
    """Return decibels with one decimal; "exact" where there is no error.

    Example:
        >>> decibels(31.26), decibels(math.inf)
        ('31.3', 'exact')
    """
    if math.isfinite(value):
        return f"{value:.1f}"
    return "exact" if value > 0 else "lost"
