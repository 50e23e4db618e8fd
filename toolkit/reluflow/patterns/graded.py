"""Measures that still tell sites apart where nearly every sample has a pattern of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.patterns.kernels.layout import check_pre_activations, contiguous_blocks
from reluflow.patterns.tables.count_table import CountTable

_Z = 1.959964
"""Two-sided 95 % of a normal distribution."""
_LEAST_COVERAGE = 0.75
_EULER = 0.5772156649015329
_SERIES_TERMS = 30
"""Of E1 below 1: 18 terms have float64's precision, 1.4e-15 of the value at most."""
_FRACTION_TERMS = 60
"""Of E1 from 1 on: an error of 6.6e-13 at 1, where it converges slowest, and less beyond."""
_DIGAMMA_SHIFT = 8
"""Steps up before the asymptotic series: an error of 9.5e-11 at 1, and less beyond."""


@dataclass(frozen=True, slots=True)
class EffectivePatterns:
    """How many equally frequent patterns would be as diverse; 2 to the power of `bits`.

    `effective_patterns` returns it.

    Attributes:
        bits: entropy H in bits, corrected for patterns not seen yet.
        low_bits: lower end of its 95 % interval.
        high_bits: upper end; d where the samples do not bound it.
        coverage: estimated share of future samples whose pattern has already been seen.
    """

    bits: float
    low_bits: float
    high_bits: float
    coverage: float


def unit_entropy(active: NDArray[np.int64], samples: int) -> NDArray[np.float64]:
    """Return the entropy of each unit's activity in bits, `(units,)`, each in [0, 1].

    h_i = - p_i log2 p_i - (1 - p_i) log2 (1 - p_i), with p_i = a_i / N

    Args:
        active: `(units,)` samples in which each unit was active, a_i.
        samples: N, at least 1.

    Raises:
        OptionError: `samples` is below 1.

    Example:
        >>> unit_entropy(np.array([0, 2, 4]), samples=4).tolist()
        [0.0, 1.0, 0.0]

    Reference: docs/measures.md.
    """
    _require(samples, 1, "unit_entropy")
    p = np.asarray(active, np.float64) / samples
    terms = np.zeros_like(p)
    for q in (p, 1 - p):
        inside = q > 0
        terms[inside] -= q[inside] * np.log2(q[inside])
    return terms


def pair_distance(active: NDArray[np.int64], samples: int) -> float:
    """Return the mean Hamming distance between two samples' patterns, as a share of the units.

    (1/d) sum_i 2 a_i (N - a_i) / (N (N - 1)): exact over all N (N - 1) / 2 pairs, since a pair
    differs at unit i exactly where one of the two is active there.

    Args:
        active: `(units,)` samples in which each unit was active, a_i; at least one unit.
        samples: N; a single sample has no pair, so its distance is 0.

    Returns:
        In [0, 1]; 0.5 (and a little more for small N) where every unit is on half of the time.

    Raises:
        OptionError: `samples` is below 1.

    Example:
        >>> pair_distance(np.array([1, 2]), samples=2)
        0.5

    Reference: docs/measures.md.
    """
    _require(samples, 1, "pair_distance")
    if samples == 1 or not len(active):
        return 0.0
    a = np.asarray(active, np.float64)
    return float(np.mean(a * (samples - a)) * 2 / (samples * (samples - 1.0)))


def effective_patterns(table: CountTable, units: int) -> EffectivePatterns:
    """Estimate the entropy that more samples would show, and how certain the estimate is.

    H = sum_i (c_i / N) (psi(N) - psi(c_i)) + (f1 / N) sum_{j >= 1} (1 - A)^j / (j + N - 1) in
    nats (Chao, Wang & Jost 2013), with psi the digamma function, f1 and f2 the patterns seen
    once and twice and A = 2 f2 / ((N - 1) f1 + 2 f2); at most d bits. The second term accounts for
    patterns not seen yet. The interval is 1.96 standard deviations, those of the plug-in entropy
    and of f1 and f2 as Poisson numbers. Where the coverage is below 3/4 the samples bound H only
    from below: by the number of pairs of samples that coincide, 2^-H <= sum_i p_i^2 (its Poisson
    limit, 97.5 %); the upper end is d. Samples are treated as independent; pixels of one image are
    not, so the interval of a convolutional site is too narrow.

    Args:
        table: the counts c, not empty.
        units: number of units d.

    Returns:
        The estimate in bits, its 95 % interval, and the coverage as a fraction in [0, 1].

    Raises:
        OptionError: the table is empty.

    Example:
        >>> counts = CountTable.from_keys(np.array([[i % 4, 0] for i in range(400)], np.uint64))
        >>> round(effective_patterns(counts, units=8).bits, 2)
        2.01

    Reference: docs/measures.md; Methods in Ecology and Evolution 4, 1091-1100.
    """
    n = table.samples
    _require(n, 1, "effective_patterns")
    counts, many = (array.astype(np.float64) for array in table.count_histogram())
    f1, f2 = (float(many[counts == k].sum()) for k in (1, 2))
    coverage = 1 - f1 / n * (1 - _doubletons(n, f1, f2)) if n > 1 else 0.0
    seen = float((many * counts / n * (_digamma(n) - _digamma(counts))).sum())
    bits = min(max(0.0, (seen + _unseen(n, f1, f2)) / math.log(2)), float(units))
    if coverage < _LEAST_COVERAGE:
        pairs = float((many * counts * (counts - 1)).sum()) / 2
        most = (pairs + 1) * (1 - 1 / (9 * (pairs + 1)) + _Z / (3 * math.sqrt(pairs + 1))) ** 3
        low = math.log2(max(1.0, n * (n - 1) / 2 / most))
        return EffectivePatterns(bits, min(low, bits), float(units), coverage)
    log = np.log2(counts / n)
    variance = (
        float((many * counts / n * log**2).sum()) - float((many * counts / n * log).sum()) ** 2
    )
    step1, step2 = math.sqrt(f1), math.sqrt(f2)
    # f1 and f2 are counts of rare events, nearly Poisson: one deviation up and down moves the tail
    by_f1 = _unseen(n, f1 + step1, f2) - _unseen(n, max(f1 - step1, 0), f2)
    by_f2 = _unseen(n, f1, f2 + step2) - _unseen(n, f1, max(f2 - step2, 0))
    spread = (by_f1**2 + by_f2**2) / 4 / math.log(2) ** 2
    half = _Z * math.sqrt(max(0.0, variance) / n + spread)
    high = min(bits + half, float(units))
    return EffectivePatterns(bits, max(0.0, bits - half), max(bits, high), coverage)


def _doubletons(n: int, f1: float, f2: float) -> float:
    """Return A: the estimated mean share of a pattern that was seen once."""
    if f1 <= 0 or n < 2:
        return 1.0
    if f2 > 0:
        return 2 * f2 / ((n - 1) * f1 + 2 * f2)
    return 2 / ((n - 1) * max(f1 - 1, 0) + 2)


def _unseen(n: int, f1: float, f2: float) -> float:
    """Return (f1 / n) sum_{j >= 1} (1 - A)^j / (j + n - 1), by the midpoint rule as an integral."""
    share = _doubletons(n, f1, f2)
    if share >= 1:
        return 0.0
    rate = -math.log1p(-share)
    return f1 / n * math.exp(-rate / 2) * _scaled_exponential_integral(rate * (n - 0.5))


def _scaled_exponential_integral(a: float) -> float:
    """Return exp(a) E1(a), the integral of exp(-u) / (a + u) over u >= 0."""
    if a < 1:
        series = -math.log(a) - _EULER
        term = 1.0
        for k in range(1, _SERIES_TERMS):
            term *= -a / k
            series -= term / k
        return math.exp(a) * series
    fraction = 0.0
    for k in range(_FRACTION_TERMS, 0, -1):  # Lentz' continued fraction, from its far end
        fraction = k * k / (a + 2 * k + 1 - fraction)
    return 1 / (a + 1 - fraction)


def _digamma(x: NDArray[np.float64] | int) -> Any:
    """Return psi(x) for x >= 1."""
    y = np.asarray(x, np.float64)
    shift = np.zeros_like(y)
    for k in range(_DIGAMMA_SHIFT):
        shift = shift + 1 / (y + k)
    y = y + _DIGAMMA_SHIFT
    inverse = 1 / (y * y)
    return np.log(y) - 0.5 / y - inverse * (1 / 12 - inverse * (1 / 120 - inverse / 252)) - shift


@numba.njit(nogil=True, cache=True)
def _add_flips(a, b, units, inner, limit, other, flips):  # type: ignore[no-untyped-def]
    """Add to `flips` in how many samples each unit differs; `a` and `b` are flat."""
    for row in range(a.size // (units * inner)):
        for u in range(units):
            at = (row * units + u) * inner
            n = 0
            for i in range(at, at + inner):
                n += (a[i] > limit) != (b[i] > other)
            flips[u] += n


def count_flips(
    before: NDArray[Any],
    after: NDArray[Any],
    *,
    unit_axis: int = 1,
    threshold: float = 0.0,
    other_threshold: float | None = None,
) -> NDArray[np.int64]:
    """Return in how many samples each unit is active in only one of two states, `(units,)`.

    Their sum divided by N d is the mean Hamming distance of the two states as a share of the units.

    Args:
        before: pre-activations in one state, float32 or float64, of any shape.
        after: of the same samples in the other state, same shape and type.
        unit_axis: axis of the units, may be negative.
        threshold: a unit is active when its pre-activation is greater; NaN is inactive.
        other_threshold: of the state after; None: the same.

    Raises:
        OptionError: wrong type or axis, or the shapes or types differ.

    Example:
        >>> count_flips(np.float32([[1, -1], [2, 3]]), np.float32([[1, 1], [-2, 1]])).tolist()
        [1, 1]

    Reference: docs/measures.md.
    """
    if before.shape != after.shape or before.dtype != after.dtype:
        raise OptionError(
            f"before is {before.dtype} {list(before.shape)} and after {after.dtype} "
            f"{list(after.shape)}, but both must be pre-activations of the same samples; give "
            "arrays of one shape and type."
        )
    axis, limit = check_pre_activations(before, unit_axis, threshold, 1)
    other = limit if other_threshold is None else before.dtype.type(other_threshold)
    flips = np.zeros(before.shape[axis], np.int64)
    blocks = zip(contiguous_blocks(before, axis), contiguous_blocks(after, axis), strict=True)
    for (_, a), (_, b) in blocks:
        if a.size:
            _add_flips(a.reshape(-1), b.reshape(-1), a.shape[1], a.shape[2], limit, other, flips)
    return flips


def _require(samples: int, least: int, name: str) -> None:
    if samples < least:
        raise OptionError(
            f"{name} got {samples} samples, but at least {least} is needed; "
            "count some patterns first."
        )
