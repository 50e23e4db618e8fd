"""What is recorded of a step and of a sweep: site -> measure -> value."""

from __future__ import annotations

from reluflow.errors import DataError
from reluflow.temperature import Sensitivity, SiteDistance, StepDistance

Measures = dict[str, dict[str, float | int]]
"""Measures by site, each by its key in `reluflow.patterns.QUANTITIES`."""

MEAN = "mean"
"""Name of the row for values of the whole model."""


def step_measures(step: StepDistance) -> tuple[dict[str, float | int], Measures]:
    """Return D and temperature of a step: of the whole model, and by site.

    Args:
        step: what the step changed.

    Returns:
        The row of the whole model and those of the sites: `distance`, `temperature_bits`,
        `saturated` (0 or 1) and `nans`.

    Example:
        >>> step = StepDistance((SiteDistance("a", 3, 4), SiteDistance("b", 1, 4)))
        >>> whole, rows = step_measures(step)
        >>> whole["temperature_bits"], rows["a"]
        (1.0, {'distance': 0.75, 'temperature_bits': 2.0, 'saturated': 0, 'nans': 0})

    Reference: docs/spec.md, section 5.
    """
    rows = {site.name: _row(site, site.distance) for site in step.sites}
    return _row(step, step.mean_distance), rows


def sweep_measures(found: Sensitivity) -> dict[str, float | int]:
    """Return what is recorded of a sweep: that it was made, and the transition where it fits.

    Args:
        found: the sweep.

    Returns:
        `swept` (1), `mu` and `sigma` of the log-normal model; only `swept` without a fit.

    Example:
        >>> from reluflow.temperature import LogNormal, sweep
        >>> truth = LogNormal(-2.0, 0.7)
        >>> found = sweep(lambda rate: {"relu": float(truth.distance(rate))}, [0.05, 0.1, 0.2, 0.4])
        >>> {name: round(value, 3) for name, value in sweep_measures(found).items()}
        {'swept': 1, 'mu': -2.0, 'sigma': 0.7}

    Reference: docs/spec.md, section 5.
    """
    try:
        model = found.fit("log-normal").model
    except DataError:
        return {"swept": 1}
    return {"swept": 1, "mu": model.mu, "sigma": model.sigma}


def _row(measured: SiteDistance | StepDistance, distance: float) -> dict[str, float | int]:
    heat = measured.temperature
    return {
        "distance": distance,
        "temperature_bits": heat.bits,
        "saturated": int(heat.saturated),
        "nans": measured.nans,
    }
