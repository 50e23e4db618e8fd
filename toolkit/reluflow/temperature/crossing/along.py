"""The curves of all sites from pre-activations at a few rates along one step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from reluflow.errors import DataError, OptionError
from reluflow.temperature.crossing.curves import CrossingCurve, CrossingCurves
from reluflow.temperature.crossing.lattice import BINS, Floats, bins_of
from reluflow.temperature.crossing.rates import crossing_rates

State = Mapping[str, np.ndarray]


def curves_along(
    before: State, states: Sequence[tuple[float, State]], *, weights: ArrayLike | None = None
) -> CrossingCurves:
    """Return the curves of all sites along a path of steps of increasing rates.

    Between neighbouring states pre-activations are taken as linear in the rate, and beyond the last
    one they go on as before it. A first short step tells the start of the curve; a longer one
    corrects what the kinks of earlier layers do to the rest.

    Args:
        before: by site, `(samples, units)` pre-activations less the threshold in the first state.
        states: rates and the pre-activations of the same samples after a step of that rate; where
            only a part s of a step was made, s times its rate.
        weights: `(samples,)` how often each sample counts, at every site; None: once.

    Returns:
        The curves by site.

    Raises:
        DataError: the states differ in their sites or shapes, or no sample counts.
        OptionError: no state, or rates that do not increase from above 0.

    Example:
        >>> one, tenth = np.linspace(0.0, 1.0, 8).reshape(8, 1), np.full((8, 1), 0.1)
        >>> curves = curves_along({"relu": one}, [(0.1, {"relu": one - tenth})])
        >>> round(float(curves["relu"].distance(0.5)), 1)  # half of them are off at half the way
        0.4

    Source: docs/spec.md, section 5 (crossing rates).
    """
    rates = [rate for rate, _ in states]
    if not rates or not all(a < b for a, b in pairwise([0.0, *rates, math.inf])):
        raise OptionError(f"rates of the states are {rates}; give increasing ones above 0.")
    if not before or any(set(state) != set(before) for _, state in states):
        raise DataError(
            f"the states hold the sites {[sorted(state) for _, state in states]} and the first one "
            f"{sorted(before)}; give the same sites in all."
        )
    way = [(0.0, before), *states]
    found = {
        name: _curve([(rate, np.asarray(state[name], np.float64)) for rate, state in way], weights)
        for name in before
    }
    return CrossingCurves(found)


def _curve(way: Sequence[tuple[float, Floats]], weights: ArrayLike | None) -> CrossingCurve:
    first = np.empty(0)
    for (left, start), (right, end) in pairwise(way):
        with np.errstate(invalid="ignore"):  # infinite pre-activations count as never crossing
            slope = (end - start) / (right - left)
        later = left + crossing_rates(start, slope)
        first = later if not left else np.where(first <= left, first, later)
    units = way[0][1].shape[1]
    if weights is None:
        return CrossingCurve.of(first, units)
    counted = np.asarray(weights, np.float64)
    if counted.shape != first.shape or not counted.any() or not np.all(counted >= 0):
        raise DataError(
            f"weights have the shape {counted.shape} and the sum {counted.sum():g} for "
            f"{len(first)} samples; give one each, from 0 on and not all 0."
        )
    counts = np.asarray(np.bincount(bins_of(first), counted, BINS), np.float64)
    return CrossingCurve(counts, units)
