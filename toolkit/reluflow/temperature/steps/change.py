"""What one step changed, site by site, whether measured by a bridge or through ONNX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

import numpy as np

from reluflow.errors import DataError
from reluflow.temperature.steps.distance import Temperature, temperature


@dataclass(frozen=True, slots=True)
class SiteDistance:
    """How far the patterns of one switch site moved.

    Attributes:
        name: of the site.
        changed: samples whose pattern differs.
        samples: n, the samples compared: inputs times the pixels or tokens of one, or the part of
            them that was kept.
        units: number of units d; None where it was not recorded.
        nans: NaN pre-activations in the second state; NaN is inactive.
        nonfinite: NaN and infinite pre-activations, both states together; None where they are not
            counted: a bridge that measures during training looks only for NaN.
        layer: name of the layer that feeds the site; "" where none does or it is not known.

    Example:
        >>> site = SiteDistance("relu", 3, 4)
        >>> site.distance, site.temperature.bits
        (0.75, 2.0)

    Reference: docs/spec.md, section 5.
    """

    name: str
    changed: int
    samples: int
    _: KW_ONLY
    units: int | None = None
    nans: int = 0
    nonfinite: int | None = None
    layer: str = ""

    @property
    def distance(self) -> float:
        """D, a fraction in [0, 1] (Definition 5, eq. 3.15)."""
        return self.changed / self.samples

    @property
    def standard_error(self) -> float:
        """sqrt(D(1 - D)/n), the standard error of D over n samples taken as independent."""
        return math.sqrt(self.distance * (1.0 - self.distance) / self.samples)

    @property
    def temperature(self) -> Temperature:
        """APT in bits (Definition 6); where D = 1 the bound log2(n), flagged."""
        return temperature(self.distance, self.samples)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that is known, ready for JSON."""
        apt = self.temperature
        known = {key: value for key, value in asdict(self).items() if value not in (None, "")}
        return {
            **known,
            "distance": self.distance,
            "standard_error": self.standard_error,
            "temperature_bits": apt.bits,
            "saturated": apt.saturated,
        }


@dataclass(frozen=True, slots=True)
class StepDistance:
    """How far one change of the weights moved the patterns of a network.

    Attributes:
        sites: one entry per site, in graph order or that of the calls; at least one.

    Example:
        >>> step = StepDistance((SiteDistance("a", 3, 4), SiteDistance("b", 1, 4)))
        >>> step.mean_distance, step.temperature.bits, step.samples
        (0.5, 1.0, 8)

    Reference: docs/spec.md, section 5.
    """

    sites: tuple[SiteDistance, ...]

    @property
    def mean_distance(self) -> float:
        """Mean D over the sites, the controller's input; a fraction in [0, 1]."""
        return math.fsum(site.distance for site in self.sites) / len(self.sites)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean D, from those of the sites."""
        return math.hypot(*(site.standard_error for site in self.sites)) / len(self.sites)

    @property
    def samples(self) -> int:
        """Samples of all sites together."""
        return sum(site.samples for site in self.sites)

    @property
    def nans(self) -> int:
        """NaN pre-activations in the second state, over all sites."""
        return sum(site.nans for site in self.sites)

    @property
    def nonfinite(self) -> int | None:
        """NaN and infinite pre-activations over all sites; None where one did not count them."""
        counts = [site.nonfinite for site in self.sites]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def temperature(self) -> Temperature:
        """APT of the mean D, in bits."""
        return temperature(self.mean_distance, self.samples)

    def to_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON."""
        apt = self.temperature
        return {
            "mean_distance": self.mean_distance,
            "standard_error": self.standard_error,
            "temperature_bits": apt.bits,
            "saturated": apt.saturated,
            "samples": self.samples,
            "sites": [site.to_dict() for site in self.sites],
        }


def distance_of(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> StepDistance:
    """Return D of every site between the pre-activations of two states.

    Args:
        before: by site, `(samples, units)` pre-activations less the threshold in the first state.
        after: those of the same samples in the second.

    Returns:
        D by site.

    Raises:
        DataError: the states differ in their sites or shapes.

    Example:
        >>> step = distance_of({"a": np.array([[1.0], [2.0]])}, {"a": np.array([[1.0], [-2.0]])})
        >>> step.mean_distance, step.sites[0].units
        (0.5, 1)

    Reference: docs/spec.md, section 5.
    """
    shapes = [{name: each.shape for name, each in state.items()} for state in (before, after)]
    if shapes[0] != shapes[1] or not before:
        raise DataError(
            f"the states have pre-activations of the shapes {shapes[0]} and {shapes[1]}; give two "
            "states of one network on the same samples."
        )
    sites = []
    for name, one in before.items():
        other = after[name]
        changed = int(np.count_nonzero(np.any((one > 0) != (other > 0), axis=1)))
        nans = int(np.count_nonzero(np.isnan(other)))
        bad = sum(int(np.count_nonzero(~np.isfinite(values))) for values in (one, other))
        width = one.shape[1]
        sites.append(SiteDistance(name, changed, len(one), units=width, nans=nans, nonfinite=bad))
    return StepDistance(tuple(sites))


def pooled(parts: Sequence[StepDistance]) -> StepDistance:
    """Return D over the samples of several passes of one step, each sample counted once.

    Args:
        parts: distances of the passes, at least one; they may differ in their sites.

    Example:
        >>> one = StepDistance((SiteDistance("relu", 1, 2),))
        >>> pooled([one, StepDistance((SiteDistance("relu", 6, 6),))]).sites[0].distance
        0.875

    Reference: docs/spec.md, section 5.
    """
    if len(parts) == 1:
        return parts[0]
    sites: dict[str, SiteDistance] = {}
    for new in (site for part in parts for site in part.sites):
        sites[new.name] = _sum(sites[new.name], new) if new.name in sites else new
    return StepDistance(tuple(sites.values()))


def _sum(old: SiteDistance, new: SiteDistance) -> SiteDistance:
    looked = old.nonfinite is not None and new.nonfinite is not None
    return SiteDistance(
        new.name,
        old.changed + new.changed,
        old.samples + new.samples,
        units=new.units,
        nans=old.nans + new.nans,
        nonfinite=(old.nonfinite or 0) + (new.nonfinite or 0) if looked else None,
        layer=new.layer,
    )
