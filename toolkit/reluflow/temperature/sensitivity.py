"""Learning rate sensitivity: D of one step for many rates at a fixed state (thesis 3.2.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reluflow.errors import DataError, OptionError
from reluflow.frames import Tabular
from reluflow.temperature._search import check_distance
from reluflow.temperature.fit import TransitionFit, fit_transition
from reluflow.temperature.schedule import start_for_widths
from reluflow.temperature.transition import MODELS, Floats

MEAN = "mean"
Measurement = float | Mapping[str, float]


def default_rates(count: int = 50, low: float = 1e-4, high: float = 1e2) -> Floats:
    """Return `count` learning rates from `low` to `high`, evenly spaced on a logarithmic scale.

    Args:
        count: number of rates, from 2 on.
        low: the first, above 0.
        high: the last.

    Returns:
        `(count,)` rates.

    Raises:
        OptionError: fewer than two rates, or bounds out of order.

    Example:
        >>> default_rates(4, 1e-4, 1e2).tolist()
        [0.0001, 0.01, 1.0, 100.0]
    """
    if count < 2 or not 0 < low < high < np.inf:
        raise OptionError(
            f"rates are {count} from {low} to {high}; give two at least, the first above 0 and "
            "below the last, which is finite."
        )
    rates = np.geomspace(low, high, count)
    return np.asarray(rates, np.float64)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sensitivity(Tabular):
    """D over learning rates at one state of a network, as returned by `sweep`.

    Attributes:
        rates: `(n_rates,)` learning rates, increasing.
        sites: names of the switch sites; ("mean",) where only the mean was measured.
        distances: `(n_rates, n_sites)` D, fractions in [0, 1].
        fits: the three models fitted to the mean over sites, all in the space of
            distances; a model that cannot be fitted is missing.
        widths: units of each site, in the order of `sites`; () where they are not known.
        notes: sentences the reader should know.

    Example:
        >>> from reluflow.temperature import LogNormal
        >>> found = sweep(lambda rate: float(LogNormal(-1.0, 1.25).distance(rate)))
        >>> round(found.fit("log-normal").model.sigma, 6)
        1.25
    """

    rates: Floats
    sites: tuple[str, ...]
    distances: Floats
    fits: tuple[TransitionFit, ...]
    widths: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def _heading(self) -> str:
        found = self.suggested_rate
        suggested = "" if found is None else f", suggested rate {found:.3g}"
        low, high = self.rates[0], self.rates[-1]
        return f"D at {len(self.rates)} learning rates from {low:.3g} to {high:.3g}{suggested}"

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        one = self.sites == (MEAN,)
        titles = ["rate", "mean D", *([] if one else self.sites)]
        cells = self.mean[:, None] if one else np.column_stack([self.mean, self.distances])
        return titles, [
            [f"{rate:.3g}", *(f"{value:.1%}" for value in row)]
            for rate, row in zip(self.rates.tolist(), cells.tolist(), strict=True)
        ]

    def _records(self) -> Sequence[dict[str, Any]]:
        return [
            {"rate": rate, "site": site, "distance": value}
            for rate, row in zip(self.rates.tolist(), self.distances.tolist(), strict=True)
            for site, value in zip(self.sites, row, strict=True)
        ]

    @property
    def start_bits(self) -> float | None:
        """Temperature in bits at which `ActCoolLR` starts for these widths; None without widths."""
        return start_for_widths(self.widths) if self.widths else None

    @property
    def suggested_rate(self) -> float | None:
        """Learning rate whose step has `start_bits`; None where the rates do not reach it."""
        return None if self.start_bits is None else self.rate_for(self.start_bits)

    def rate_for(self, bits: float) -> float | None:
        """Return the lowest rate at which the mean D reaches a temperature.

        D = 1 - 2^-T is interpolated between neighbouring rates, linearly in ln rate.

        Args:
            bits: temperature T in bits, above 0.

        Returns:
            The rate; None where T lies outside what was measured.

        Example:
            >>> from reluflow.temperature import LogNormal
            >>> found = sweep(lambda rate: float(LogNormal(-1.0, 1.0).distance(rate)))
            >>> rate = found.rate_for(1.0)  # where half of the patterns change: exp(mu)
            >>> bool(abs(np.log(rate) + 1.0) < 0.01)
            True

        Reference: thesis Definition 6.
        """
        wanted = 1.0 - 2.0**-bits
        above = np.flatnonzero(self.mean >= wanted)
        if above.size == 0 or above[0] == 0:
            return None
        at = int(above[0])
        low, high = self.mean[at - 1], self.mean[at]
        share = float((wanted - low) / (high - low))
        ends = np.log(self.rates[at - 1 : at + 1])
        return float(np.exp(ends[0] + share * (ends[1] - ends[0])))

    @property
    def mean(self) -> Floats:
        """`(n_rates,)` mean D over the sites."""
        return np.asarray(self.distances.mean(axis=1))

    def fit(self, model: str = "log-normal", site: str | None = None) -> TransitionFit:
        """Fit one model to one site, or to the mean, in the space of distances.

        Args:
            model: "log-normal", "erf" or "arctan".
            site: a name out of `sites`; the mean by default.

        Returns:
            The fit.

        Raises:
            OptionError: an unknown model or site.
            DataError: too few points within the transition.
        """
        if site is None:
            return fit_transition(self.rates, self.mean, model, space="distance")
        if site not in self.sites:
            raise OptionError(f"site is {site!r}; accepted are {', '.join(self.sites)}.")
        values = self.distances[:, self.sites.index(site)]
        return fit_transition(self.rates, values, model, space="distance")

    def to_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON."""
        return {
            "rates": self.rates.tolist(),
            "sites": list(self.sites),
            "distances": self.distances.tolist(),
            "mean": self.mean.tolist(),
            "fits": [fit.to_dict() for fit in self.fits],
            "widths": list(self.widths),
            "notes": list(self.notes),
            "start_bits": self.start_bits,
            "suggested_rate": self.suggested_rate,
        }


def sweep(measure: Callable[[float], Measurement], rates: ArrayLike | None = None) -> Sensitivity:
    """Measure D at many learning rates and fit the three transition models.

    Args:
        measure: takes a rate; gives D of a hypothetical step with it, or D by site.
        rates: `(n,)` learning rates above 0, increasing; 50 from 1e-4 to 1e2 by default.

    Returns:
        D by rate and site, with the fits.

    Raises:
        OptionError: rates that are not increasing or not above 0.
        DataError: a D outside [0, 1], or sites that change from rate to rate.

    Example:
        >>> from reluflow.temperature import LogNormal
        >>> found = sweep(lambda rate: float(LogNormal(-1.0, 1.0).distance(rate)))
        >>> best = min(found.fits, key=lambda fit: fit.rmse)
        >>> best.model.name, round(best.model.mu, 6)
        ('log-normal', -1.0)
    """
    grid = default_rates() if rates is None else np.asarray(rates, np.float64)
    if grid.ndim != 1 or grid.size == 0 or not np.all(grid > 0) or np.any(np.diff(grid) <= 0):
        raise OptionError(f"rates are {grid.tolist()}; give increasing rates above 0.")
    rows = [_by_site(measure(float(rate)), float(rate)) for rate in grid]
    sites = tuple(rows[0])
    for rate, row in zip(grid, rows, strict=True):
        if tuple(row) != sites:
            raise DataError(
                f"measure({rate:.6g}) has sites {list(row)} after {list(sites)}; "
                "measure the same sites at every rate."
            )
    distances = np.array([list(row.values()) for row in rows], np.float64)
    return Sensitivity(grid, sites, distances, _fit_all(grid, distances.mean(axis=1)))


def _by_site(value: Measurement, rate: float) -> dict[str, float]:
    values = value if isinstance(value, Mapping) else {MEAN: value}
    if not values:
        raise DataError(f"measure({rate:.6g}) has no site; measure at least one.")
    return {name: check_distance(d, f"measure({rate:.6g})") for name, d in values.items()}


def _fit_all(rates: Floats, distances: Floats) -> tuple[TransitionFit, ...]:
    fits = []
    for name in MODELS:
        try:
            fits.append(fit_transition(rates, distances, name, space="distance"))
        except DataError:
            continue
    return tuple(fits)
