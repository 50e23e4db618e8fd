"""What one step changed, site by site: frozen results of the step meter."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from reluflow.temperature import Temperature, temperature


@dataclass(frozen=True, slots=True)
class SiteDistance:
    """How far the patterns of one switch site moved.

    Attributes:
        name: of the site.
        units: number of units d.
        samples: n, the inputs times the pixels or tokens of one.
        changed: samples whose pattern differs.
        nonfinite: NaN and infinite pre-activations, before and after together; NaN counts
            as inactive.
    """

    name: str
    units: int
    samples: int
    changed: int
    nonfinite: int

    @property
    def distance(self) -> float:
        """D, a fraction in [0, 1] (eq. 3.15)."""
        return self.changed / self.samples

    @property
    def temperature(self) -> Temperature:
        """APT in bits (Definition 6); where D = 1 the bound log2(n), flagged."""
        return temperature(self.distance, self.samples)

    def to_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON."""
        apt = self.temperature
        return {
            **asdict(self),
            "distance": self.distance,
            "temperature_bits": apt.bits,
            "saturated": apt.saturated,
        }


@dataclass(frozen=True, slots=True)
class StepDistance:
    """How far the patterns of a network moved.

    Attributes:
        sites: in graph order.
    """

    sites: tuple[SiteDistance, ...]

    @property
    def mean_distance(self) -> float:
        """Mean D over the sites, the controller's input; a fraction in [0, 1]."""
        return math.fsum(site.distance for site in self.sites) / len(self.sites)

    @property
    def samples(self) -> int:
        """Samples of all sites together."""
        return sum(site.samples for site in self.sites)

    @property
    def temperature(self) -> Temperature:
        """APT of the mean D, in bits."""
        return temperature(self.mean_distance, self.samples)

    def to_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON."""
        apt = self.temperature
        return {
            "mean_distance": self.mean_distance,
            "temperature_bits": apt.bits,
            "saturated": apt.saturated,
            "samples": self.samples,
            "sites": [site.to_dict() for site in self.sites],
        }
