"""D and T of every site as functions of the rate, counted from crossing rates."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from reluflow.errors import DataError, OptionError
from reluflow.frames import Tabular, plain_text
from reluflow.temperature.crossing.lattice import (
    BINS,
    EDGES,
    Floats,
    bins_of,
    log_survivals,
    shifted,
)

Mean = Literal["temperature", "distance"]
"""What is averaged over the sites of a network: their temperatures, or their D."""
_LN2 = math.log(2.0)
_SHOWN_BITS = (0.5, 1.0, 2.0)
_RESOLVED = 3.0
"""Samples left at which a temperature is still told from a higher one: one of e^3 misses them."""
_REACHED = 0.95
"""Share of the highest temperature that is still a matter of the rate."""
_EDGES: list[float] = EDGES.tolist()
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class CrossingCurve:
    """How many samples of one site have changed their pattern at any rate.

    Attributes:
        counts: `(BINS,)` samples by the rate at which they change, see `lattice.bins_of`.
        units: width of the site d; 0 where it is not known.

    Example:
        >>> curve = CrossingCurve.of(np.geomspace(1e-3, 1e3, 10_001))
        >>> round(float(curve.distance(1.0)), 3), round(float(curve.temperature(1.0)), 3)
        (0.5, 1.0)
        >>> round(curve.rate(1.0), 2)
        1.0
        >>> (curve + curve).samples
        20002.0
        >>> round(curve.shifted(math.log(3.0)).rate(1.0), 2)
        3.0

    Source: docs/spec.md, section 5 (crossing rates).
    """

    counts: Floats
    units: int = 0

    @classmethod
    def of(cls, rates: ArrayLike, units: int = 0) -> CrossingCurve:
        """Count samples by their crossing rates.

        Args:
            rates: of the samples, as `crossing_rates` returns them.
            units: width of the site.

        Raises:
            DataError: no sample, or a rate that is negative or NaN.

        Returns:
            The curve of the site.

        """
        values = np.asarray(rates, np.float64).reshape(-1)
        if not values.size:
            raise DataError("rates are empty; a curve needs at least one sample.")
        if not np.all(values >= 0):
            wrong = values[~(values >= 0)][0]
            raise DataError(f"a crossing rate is {wrong}; give rates from 0 on.")
        return cls(np.bincount(bins_of(values), minlength=BINS).astype(np.float64), units)

    @property
    def samples(self) -> float:
        """Number of samples; a fraction where curves were weighed."""
        return float(self.counts.sum())

    @cached_property
    def _table(self) -> Floats:
        """T at the edges of the lattice."""
        return -log_survivals(self.counts) / _LN2

    def distance(self, rate: ArrayLike) -> Floats:
        """Return D, a fraction in [0, 1].

        Args:
            rate: learning rates from 0 on, any shape.

        Returns:
            Fractions of the same shape.

        Raises:
            DataError: a rate below 0, or NaN.

        """
        return -np.expm1(-_LN2 * self.temperature(rate)) + 0.0

    def temperature(self, rate: ArrayLike) -> Floats:
        """Return T = -log2(1 - D) in bits, at most log2(samples).

        Args:
            rate: learning rates from 0 on, any shape.

        Returns:
            Bits of the same shape.

        Raises:
            DataError: a rate below 0, or NaN.

        """
        return _look_up(self._table, rate)

    def rate(self, bits: float) -> float:
        """Return the least rate with temperature `bits`, infinite where none has it.

        Args:
            bits: T from 0 on.

        Returns:
            A learning rate.

        Raises:
            OptionError: bits below 0, or NaN.

        """
        return _invert(self._edges, bits)

    @cached_property
    def _edges(self) -> list[float]:
        """T at the edges as plain numbers, which are looked up in less time."""
        found: list[float] = self._table.tolist()
        return found

    def __add__(self, other: CrossingCurve) -> CrossingCurve:
        """Merge with the curve of other samples of the same site."""
        return CrossingCurve(self.counts + other.counts, self.units or other.units)

    def __mul__(self, weight: float) -> CrossingCurve:
        """Let every sample count `weight` times."""
        return CrossingCurve(self.counts * weight, self.units)

    def shifted(self, log_factor: float) -> CrossingCurve:
        """Return the curve of samples that change at multiples of these rates.

        Args:
            log_factor: natural logarithm of the factor.

        Raises:
            OptionError: it is not finite.

        """
        return CrossingCurve(shifted(self.counts, _finite(log_factor)), self.units)


class CrossingCurves(Tabular, Mapping[str, CrossingCurve]):
    """The curves of all sites of a network, by name.

    Args:
        curves: by site.

    Raises:
        DataError: there is none.

    Example:
        >>> narrow, wide = CrossingCurve.of([1.0] * 8), CrossingCurve.of([1.0] * 4 + [4.0] * 4)
        >>> curves = CrossingCurves({"narrow": narrow, "wide": wide})
        >>> [round(float(curves.distance(rate)), 2) for rate in (0.5, 2.0, 1e9)]
        [0.18, 0.69, 0.88]
        >>> curves.rate(0.5) < curves.rate(1.5)
        True
        >>> round(curves.shifted(math.log(4.0)).rate(0.5) / curves.rate(0.5), 2)
        4.0
        >>> round(float(curves.temperature(1e9)), 2), round(curves.highest(), 2)
        (3.0, 3.0)
        >>> round(curves.resolved(), 2)
        1.42

    Source: docs/spec.md, section 5 (crossing rates, temperature of a network).
    """

    def __init__(self, curves: Mapping[str, CrossingCurve]) -> None:
        if not curves:
            raise DataError("curves are empty; a network needs at least one switch site.")
        self._curves = dict(curves)

    def __getitem__(self, name: str) -> CrossingCurve:
        return self._curves[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._curves)

    def __len__(self) -> int:
        return len(self._curves)

    def _heading(self) -> str:
        rate = self.rate(1.0)
        return f"crossing curves of {len(self)} sites, 1 bit at a rate of {rate:.4g}"

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        titles = ["site", "units", "samples", *(f"rate of {bits:g} bits" for bits in _SHOWN_BITS)]
        return titles, [
            [
                plain_text(name),
                f"{curve.units:,}" if curve.units else "",
                f"{curve.samples:,.6g}",
                *(f"{curve.rate(bits):.4g}" for bits in _SHOWN_BITS),
            ]
            for name, curve in self.items()
        ]

    def _records(self) -> Sequence[dict[str, Any]]:
        inside = np.flatnonzero(self._counts[:, 1:-1].any(axis=0))
        first, last = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)
        rates = np.exp(EDGES[first : last + 1])
        return [
            {"site": name, "rate": rate, "distance": distance, "temperature_bits": bits}
            for name, curve in self.items()
            for rate, distance, bits in zip(
                rates.tolist(),
                curve.distance(rates).tolist(),
                curve.temperature(rates).tolist(),
                strict=True,
            )
        ]

    @property
    def samples(self) -> float:
        """Samples of all sites together."""
        return sum(curve.samples for curve in self.values())

    @cached_property
    def _counts(self) -> Floats:
        """`(sites, BINS)` samples."""
        return np.stack([curve.counts for curve in self._curves.values()])

    @cached_property
    def _temperatures(self) -> Floats:
        """`(sites, edges)` T."""
        found = log_survivals(self._counts)
        found /= -_LN2
        return found

    @cached_property
    def _tables(self) -> dict[Mean, Floats]:
        """The network's T at the edges, by the means that were asked for."""
        return {}

    @cached_property
    def _edges(self) -> dict[Mean, list[float]]:
        """The same as plain numbers, which are looked up in less time."""
        return {}

    @cached_property
    def _highest_told(self) -> dict[Mean, float]:
        """What `resolved` returns, by the means that were asked for."""
        return {}

    def distance(self, rate: ArrayLike) -> Floats:
        """Return the mean of D over the sites.

        Args:
            rate: learning rates from 0 on, any shape.

        Returns:
            Fractions of the same shape.

        Raises:
            DataError: a rate below 0, or NaN.

        """
        return -np.expm1(-_LN2 * self.temperature(rate, "distance")) + 0.0

    def temperature(self, rate: ArrayLike, mean: Mean = "temperature") -> Floats:
        """Return the temperature of the network in bits.

        Args:
            rate: learning rates from 0 on, any shape.
            mean: "temperature" for the mean of the sites' temperatures (docs/spec.md, section 5),
                "distance" for the temperature of their mean D.

        Returns:
            Bits of the same shape.

        Raises:
            DataError: a rate below 0, or NaN.
            OptionError: an unknown mean.

        """
        return _look_up(self._table(mean), rate)

    def rate(self, bits: float, mean: Mean = "temperature") -> float:
        """Return the least rate at which the network has a temperature, infinite where none has.

        Args:
            bits: T from 0 on.
            mean: as in `temperature`.

        Returns:
            A learning rate.

        Raises:
            OptionError: bits below 0, or NaN.

        """
        if mean not in self._edges:
            self._edges[mean] = self._table(mean).tolist()
        return _invert(self._edges[mean], bits)

    def highest(self, mean: Mean = "temperature") -> float:
        """Return the highest temperature that any rate reaches, in bits.

        Args:
            mean: as in `temperature`.

        Returns:
            Bits.

        Raises:
            OptionError: an unknown mean.
        """
        return float(self._table(mean)[-1])

    def resolved(self, mean: Mean = "temperature") -> float:
        """Return the temperature up to which the samples tell it from a higher one, in bits.

        At each site it is log2(n / 3), or a little less than its samples that never change allow.

        Args:
            mean: as in `temperature`.

        Returns:
            Bits.

        Raises:
            OptionError: an unknown mean.
        """
        if mean not in self._highest_told:
            self._table(mean)  # refuses another mean
            told = self._resolved
            self._highest_told[mean] = (
                -math.log2(sum(2.0**-bits for bits in told) / len(told))
                if mean == "distance"
                else sum(told) / len(told)
            )
        return self._highest_told[mean]

    @cached_property
    def _resolved(self) -> list[float]:
        told = np.log2(np.maximum(self._counts.sum(axis=1) / _RESOLVED, 2.0))
        reached = _REACHED * self._temperatures[:, -1]
        return [*map(float, np.minimum(told, reached))]

    def _table(self, mean: Mean) -> Floats:
        if mean not in self._tables:
            if mean not in get_args(Mean):
                raise OptionError(f'mean is {mean!r}; give "temperature" or "distance".')
            self._tables[mean] = _averaged(self._temperatures, mean)
        return self._tables[mean]

    def __add__(self, other: CrossingCurves) -> CrossingCurves:
        """Merge with the curves of other samples, as of another batch; sites may differ."""
        names = {**self._curves, **other._curves}
        return CrossingCurves(
            {
                name: self[name] + other[name] if name in self and name in other else only
                for name, only in names.items()
            }
        )

    def __mul__(self, weight: float) -> CrossingCurves:
        """Let every sample count `weight` times."""
        return CrossingCurves({name: curve * weight for name, curve in self.items()})

    def shifted(self, log_factor: float) -> CrossingCurves:
        """Return the curves of samples that change at multiples of these rates.

        Args:
            log_factor: natural logarithm of the factor.

        Raises:
            OptionError: it is not finite.

        """
        moved = shifted(self._counts, _finite(log_factor))
        return CrossingCurves(
            {
                name: CrossingCurve(row, curve.units)
                for (name, curve), row in zip(self._curves.items(), moved, strict=True)
            }
        )


def merged(curves: Iterable[CrossingCurves]) -> CrossingCurves:
    """Return the curves of all samples together.

    Args:
        curves: such as those of several batches; they may differ in their sites.

    Raises:
        DataError: there is none.

    Example:
        >>> one = CrossingCurves({"relu": CrossingCurve.of([1.0, 2.0])})
        >>> merged([one, one])["relu"].samples
        4.0

    Source: docs/spec.md, section 5.
    """
    found: CrossingCurves | None = None
    for each in curves:
        found = each if found is None else found + each
    if found is None:
        raise DataError("curves are empty; give those of at least one batch.")
    return found


def _finite(log_factor: float) -> float:
    if not math.isfinite(log_factor):
        raise OptionError(f"log_factor is {log_factor}; give a finite number.")
    return log_factor


def _averaged(temperatures: Floats, mean: Mean) -> Floats:
    """Return T of a network at the edges, from `(sites, edges)` of its sites."""
    if mean == "temperature":
        return np.asarray(temperatures.mean(axis=0))
    distances = -np.expm1(-_LN2 * temperatures)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log2(np.maximum(1.0 - distances.mean(axis=0), _TINY)))


def _look_up(table: Floats, rate: ArrayLike) -> Floats:
    """Return T at some rates, linear in the logarithm of the rate inside a cell."""
    rates = np.asarray(rate, np.float64)
    if not np.all(rates >= 0):
        raise DataError(f"rate is {rates.tolist()}; give rates from 0 on.")
    with np.errstate(divide="ignore"):
        found = np.interp(np.log(rates), EDGES, table)
    # Below the lattice D falls with the rate; at 0 nothing has changed.
    below = np.minimum(rates * math.exp(-EDGES[0]), 1.0)
    return np.asarray(found * below)


def _invert(table: Sequence[float], bits: float) -> float:
    """Return the least rate with temperature `bits`."""
    if not bits >= 0:
        raise OptionError(f"bits is {bits}; give a temperature of 0 bits or more.")
    if bits > table[-1]:
        return math.inf
    if bits <= table[0]:
        return math.exp(_EDGES[0]) * (bits / table[0] if table[0] > 0 else 0.0)
    right = bisect_left(table, bits)
    share = (bits - table[right - 1]) / (table[right] - table[right - 1])
    return math.exp(_EDGES[right - 1] + share * (_EDGES[right] - _EDGES[right - 1]))
