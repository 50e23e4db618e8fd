"""What steering a training costs beside a plain one, from blocks of steps that took turns."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from actcool_overhead import BLOCK, START_SHARE, ratio


class Timed(Protocol):
    """A training: the seconds of its blocks, by the clock and of the CPU, and the probes so far."""

    times: list[float]
    cpu: list[float]
    probes: list[int]


@dataclass
class Cost:
    """What steering cost.

    Attributes:
        steps: of each side.
        step_ms: median time of a plain step.
        bare: median of the ratios of blocks that hold no probe, less 1; None: each holds one.
        bare_cpu: the same of CPU time.
        steady: ratio of the time without the first fifth of the blocks, less 1.
        steady_error: its standard error.
        steady_cpu: the same of CPU time.
        steady_cpu_error: its standard error.
        probes: measured steps.
        loss: at the end, with that of the plain side.
    """

    steps: int
    step_ms: float
    bare: float | None
    bare_cpu: float | None
    steady: float
    steady_error: float
    steady_cpu: float
    steady_cpu_error: float
    probes: int
    loss: tuple[float, float]


def cost_of(steered: Timed, plain: Timed, loss: tuple[float, float]) -> Cost:
    """Return what the steering of one side cost; `loss` is that of both at the end."""
    start = round(START_SHARE * len(plain.times))
    clock = steered.times[start:], plain.times[start:]
    cpu = steered.cpu[start:], plain.cpu[start:]
    steady, error = ratio(*clock)
    steady_cpu, cpu_error = ratio(*cpu)
    is_bare = [a == b for a, b in itertools.pairwise(steered.probes)][start - 1 :]

    def median(pair: tuple[Sequence[float], Sequence[float]]) -> float | None:
        blocks = zip(is_bare, *pair, strict=True)
        ratios = [a / b for bare, a, b in blocks if bare]
        return statistics.median(ratios) - 1.0 if ratios else None

    return Cost(
        steps=len(plain.times) * BLOCK,
        step_ms=1e3 * statistics.median(clock[1]) / BLOCK,
        bare=median(clock),
        bare_cpu=median(cpu),
        steady=steady,
        steady_error=error,
        steady_cpu=steady_cpu,
        steady_cpu_error=cpu_error,
        probes=steered.probes[-1],
        loss=loss,
    )


def told(name: str, found: Mapping[str, Any]) -> str:
    """Return a result, the fields of a `Cost`, in words behind its name."""
    percent = {key: 100 * each for key, each in found.items() if isinstance(each, float)}
    bare = "no block without a probe"
    if found["bare"] is not None:
        bare = f"without a probe {percent['bare']:+5.2f} % (CPU {percent['bare_cpu']:+5.2f} %)"
    return (
        f"{name} {found['steps']:5d} steps of {found['step_ms']:6.2f} ms: {bare}, steady state "
        f"{percent['steady']:+5.2f} % (+-{percent['steady_error']:.2f}; CPU "
        f"{percent['steady_cpu']:+5.2f} % +-{percent['steady_cpu_error']:.2f}), "
        f"{found['probes']} probes, loss {found['loss'][0]:.2f} ({found['loss'][1]:.2f} without)"
    )
