"""The curve of D over the rate at one state of a training, from a few short steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from reluflow.errors import OptionError
from reluflow.temperature import CrossingCurves, merged
from reluflow_torch.sites.patterns import Patterns
from reluflow_torch.training.crossing import curves_along
from reluflow_torch.training.probe import Pass, StepProbe

STATES = (0.1, 1.0, 2.0, 3.5, 5.0)
"""Temperatures in bits of the steps that are made: the first for the derivative, and longer ones
that correct what is not linear in the rate."""
_NEAR = 4.0
"""A first step of a temperature so many times higher or lower than wanted will do."""
_JUMP = 64.0
"""Most that one try may be away from the last: the curve of a step far too long says little."""
_TRIES = 12


def step_curves(
    probe: StepProbe,
    passes: Sequence[Pass],
    rate: float,
    *,
    bits: Sequence[float] = STATES,
    step_kwargs: dict[str, Any] | None = None,
    told: Callable[[], None] | None = None,
) -> CrossingCurves:
    """Measure D of every site at any rate by a few hypothetical steps of the optimiser.

    A first short step gives the derivative of every pre-activation along the step and, to first
    order, the whole curve. Each longer step is made at the rate that the curve so far has for its
    temperature. All is undone, see `StepProbe`.

    Args:
        probe: of the model, with gradients of the passes.
        passes: that made the gradients.
        rate: where the search for the first step begins.
        bits: temperatures of the steps, increasing; one for the derivative alone.
        step_kwargs: keyword arguments for the optimiser's step.
        told: called after every step.

    Returns:
        The curves by site, over the samples of all passes.

    Raises:
        DataError: a batch was overwritten, or no site is measured.
        OptionError: temperatures or a rate that are not increasing from above 0.

    Example:
        >>> import torch
        >>> from reluflow_torch import Batch
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU())
        >>> x = torch.randn(256, 4)
        >>> model(x).square().sum().backward()
        >>> probe = StepProbe(model, torch.optim.SGD(model.parameters(), lr=0.1))
        >>> found = step_curves(probe, [Pass(Batch.now((x,), {}, x.device))], 0.1)
        >>> with probe.measuring(x) as measure:  # a real step at the rate for two bits
        ...     real = measure(found.rate(2.0)).temperature.bits
        >>> abs(real - 2.0) < 0.2
        True

    Source: docs/spec.md, section 5 (crossing rates).
    """
    if not 0.0 < rate < math.inf or not bits or sorted({0.0, *bits}) != [0.0, *bits]:
        raise OptionError(
            f"rate is {rate} and bits are {list(bits)}; give a rate above 0 and increasing "
            "temperatures above 0."
        )
    with probe.stepping(passes, step_kwargs, values=True) as stepped:

        def after(rate: float) -> list[Patterns]:
            with stepped(rate):
                found = [probe.patterns(p.batch, p.random, values=True) for p in passes]
            if told is not None:
                told()
            return found

        way = [_short(passes, after, rate, bits[0])]
        curves = _along(passes, way)
        for each in bits[1:]:
            rate = curves.rate(each)
            if way[-1][0] < rate < math.inf:
                way.append((rate, after(rate)))
                curves = _along(passes, way)
    return curves


Way = list[tuple[float, list[Patterns]]]


def _along(passes: Sequence[Pass], way: Way) -> CrossingCurves:
    return merged(
        curves_along(each.patterns or {}, [(rate, found[index]) for rate, found in way])
        for index, each in enumerate(passes)
    )


def _short(
    passes: Sequence[Pass], after: Callable[[float], list[Patterns]], rate: float, bits: float
) -> tuple[float, list[Patterns]]:
    """Return a step of about some temperature: the curve of each try tells the rate of the next."""
    found = after(rate)
    for _ in range(_TRIES):
        wanted = 0.0  # a step that overflows was too long
        if all(_is_finite(site.values) for state in found for site in state.values()):
            curves = _along(passes, [(rate, found)])
            if bits / _NEAR <= float(curves.temperature(rate)) <= bits * _NEAR:
                break
            wanted = curves.rate(bits)
        rate = min(max(wanted, rate / _JUMP), rate * _JUMP)
        found = after(rate)
    return rate, found


def _is_finite(values: Tensor | None) -> bool:
    return values is not None and bool(values.isfinite().all())
