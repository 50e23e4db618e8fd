"""Phase diagrams: sensitivity over training time (thesis 3.2.3, Fig. 3.11 to 3.21)."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reluflow.errors import DataError, OutputError
from reluflow.frames import Tabular
from reluflow.temperature.fit import fit_transition
from reluflow.temperature.sensitivity import Sensitivity
from reluflow.temperature.transition import Floats, LogNormal

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PhaseDiagram(Tabular):
    """Mean D over learning rate and training time, with the log-normal fit at each time.

    Attributes:
        steps: `(n_times,)` training steps, increasing.
        rates: `(n_rates,)` learning rates tried, increasing.
        sites: names of the switch sites.
        site_distances: `(n_times, n_rates, n_sites)` D, fractions in [0, 1].
        used_rates: `(n_times,)` the rate that training used; NaN where unknown.
        mu: `(n_times,)` place of the transition, ln of a rate; NaN where it has no fit.
        sigma: `(n_times,)` its width; NaN where it has no fit.

    Example:
        >>> from reluflow.temperature import sweep
        >>> states = [LogNormal(-2.0, 1.5), LogNormal(-3.0, 1.25)]
        >>> sweeps = [sweep(lambda rate, s=s: float(s.distance(rate))) for s in states]
        >>> found = PhaseDiagram.from_sweeps([0, 100], sweeps, used_rates=[0.1, 0.05])
        >>> found.distances.shape, found.mu.round(3).tolist(), found.sigma.round(3).tolist()
        ((2, 50), [-2.0, -3.0], [1.5, 1.25])
        >>> bool(found.squared_error().max() < 1e-9), found.of_site("mean").sites
        (True, ('mean',))
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     PhaseDiagram.load(found.save(Path(folder, "run.npz"))).steps.tolist()
        [0, 100]
    """

    steps: np.ndarray
    rates: Floats
    sites: tuple[str, ...]
    site_distances: Floats
    used_rates: Floats
    mu: Floats
    sigma: Floats

    def _heading(self) -> str:
        first, last = self.steps[0], self.steps[-1]
        return f"D of {len(self.steps)} sweeps at {len(self.rates)} rates, steps {first} to {last}"

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        columns = (self.steps, self.used_rates, self.mu, self.sigma)
        return ["step", "used rate", "mu", "sigma"], [
            [f"{step:,}", *(f"{value:.4g}" for value in values)]
            for step, *values in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _records(self) -> Sequence[dict[str, Any]]:
        used, mu, sigma = (each.tolist() for each in (self.used_rates, self.mu, self.sigma))
        return [
            {
                "step": step,
                "used_rate": used[at],
                "mu": mu[at],
                "sigma": sigma[at],
                "rate": rate,
                "site": site,
                "distance": value,
            }
            for at, step in enumerate(self.steps.tolist())
            for rate, row in zip(self.rates.tolist(), self.site_distances[at].tolist(), strict=True)
            for site, value in zip(self.sites, row, strict=True)
        ]

    @classmethod
    def from_sweeps(
        cls,
        steps: Sequence[int],
        sweeps: Sequence[Sensitivity],
        used_rates: Sequence[float] | None = None,
    ) -> PhaseDiagram:
        """Combine sweeps made during a training run.

        Args:
            steps: the training step of each sweep, increasing.
            sweeps: over the same rates and sites.
            used_rates: the rate in use at each sweep.

        Returns:
            The diagram, with the log-normal fit of each sweep's mean D.

        Raises:
            DataError: the lengths, rates or sites do not agree.
        """
        if not sweeps or len(steps) != len(sweeps) or np.any(np.diff(steps) <= 0):
            raise DataError(
                f"steps are {list(steps)} for {len(sweeps)} sweeps; give one increasing step a "
                "sweep, and at least one."
            )
        if used_rates is not None and len(used_rates) != len(sweeps):
            raise DataError(f"used_rates has {len(used_rates)} of {len(sweeps)}; give one a sweep.")
        first = sweeps[0]
        for step, other in zip(steps, sweeps, strict=True):
            if other.sites != first.sites or not np.array_equal(other.rates, first.rates):
                raise DataError(
                    f"the sweep at step {step} has other rates or sites than the first; "
                    "sweep the same ones each time."
                )
        mu, sigma = _fit_rows(first.rates, [found.mean for found in sweeps])
        unknown = np.full(len(sweeps), np.nan)
        return cls(
            steps=np.asarray(steps, np.int64),
            rates=first.rates,
            sites=first.sites,
            site_distances=np.stack([found.distances for found in sweeps]),
            used_rates=unknown if used_rates is None else np.asarray(used_rates, np.float64),
            mu=mu,
            sigma=sigma,
        )

    @property
    def distances(self) -> Floats:
        """`(n_times, n_rates)` mean D over the sites."""
        return np.asarray(self.site_distances.mean(axis=2))

    def of_site(self, site: str) -> PhaseDiagram:
        """Return the diagram of a single site, with its own fit (Fig. 3.15).

        Args:
            site: a name out of `sites`.

        Raises:
            DataError: an unknown site.
        """
        if site not in self.sites:
            raise DataError(f"site is {site!r}; accepted are {', '.join(self.sites)}.")
        index = self.sites.index(site)
        rows = self.site_distances[:, :, index]
        mu, sigma = _fit_rows(self.rates, list(rows))
        return PhaseDiagram(
            steps=self.steps,
            rates=self.rates,
            sites=(site,),
            site_distances=rows[:, :, None],
            used_rates=self.used_rates,
            mu=mu,
            sigma=sigma,
        )

    def squared_error(self) -> Floats:
        """Return `(n_times, n_rates)` squares of fitted minus measured D (Fig. 3.12, third row).

        NaN where there is no fit.
        """
        errors = np.full(self.distances.shape, np.nan)
        for row, (mu, sigma) in enumerate(zip(self.mu, self.sigma, strict=True)):
            if np.isfinite(mu):
                model = LogNormal(float(mu), float(sigma))
                errors[row] = (model.distance(self.rates) - self.distances[row]) ** 2
        return errors

    def to_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON; NaN is None."""
        return {
            "steps": self.steps.tolist(),
            "rates": self.rates.tolist(),
            "sites": list(self.sites),
            "distances": self.distances.tolist(),
            "site_distances": self.site_distances.tolist(),
            "used_rates": _without_nan(self.used_rates),
            "mu": _without_nan(self.mu),
            "sigma": _without_nan(self.sigma),
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the diagram to a `.npz` file.

        Args:
            path: of the file; its folder exists.

        Returns:
            The path.

        Raises:
            OutputError: another suffix, or the file cannot be written.
        """
        target = Path(path)
        if target.suffix != ".npz":
            raise OutputError(f"path is {str(target)!r}; give a name that ends in .npz.")
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        try:
            np.savez_compressed(
                target, format_version=FORMAT_VERSION, sites=np.array(self.sites), **arrays
            )
        except OSError as error:
            raise OutputError(
                f"cannot write {str(target)!r}: {error.strerror}; choose another place."
            ) from error
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PhaseDiagram:
        """Read a diagram that `save` wrote.

        Args:
            path: of the `.npz` file.

        Returns:
            The diagram.

        Raises:
            OutputError: the file is missing or is not a phase diagram of this version.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                if int(file["format_version"]) != FORMAT_VERSION:
                    raise KeyError("format_version")
                arrays = {name: file[name] for name in _ARRAYS}
                return cls(sites=tuple(map(str, file["sites"])), **arrays)
        except FileNotFoundError:
            raise OutputError(f"{str(path)!r} does not exist; give a saved diagram.") from None
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise OutputError(
                f"{str(path)!r} is no phase diagram of version {FORMAT_VERSION}; "
                "give a file that PhaseDiagram.save wrote."
            ) from error


_ARRAYS = ("steps", "rates", "site_distances", "used_rates", "mu", "sigma")


def _fit_rows(rates: Floats, rows: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Return mu and sigma of the log-normal fit to each row; NaN where it has none."""
    found = np.full((2, len(rows)), np.nan)
    for index, row in enumerate(rows):
        try:
            model = fit_transition(rates, row, space="distance").model
        except DataError:
            continue
        found[:, index] = model.mu, model.sigma
    return found[0], found[1]


def _without_nan(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
