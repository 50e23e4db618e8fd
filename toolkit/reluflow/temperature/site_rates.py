"""A rate for the weights of every switch site, from the site's own curve (thesis 5.4)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from reluflow.errors import OptionError
from reluflow.temperature.crossing import CrossingCurves
from reluflow.temperature.crossing.curves import Mean
from reluflow.temperature.schedule import start_for_widths

_GAIN = 0.3
"""Share of a missed factor that one probe makes up for: the layers before a site move it too, and
the curves remember steps with other factors."""


class SiteRates:
    """By what factors the rates of single sites differ from that of the network.

    At the temperature T of the network, a site of width d is to have T in proportion to the start
    that `start_for_widths` gives for d: the same where all are equally wide. The curve of the site
    tells how many times longer or shorter a step would have to be for that. At every probe the
    factor of its weights goes part of this way, since earlier layers move the site as well.

    Args:
        span: a factor stays between 1 / span and span; from 1 on.
        sites: names of the sites whose weights have a rate of their own.

    Attributes:
        span: as given.
        factors: rate of each site over that of the network; their geometric mean is 1 where no
            factor is at its bound.

    Raises:
        OptionError: a span below 1, or not finite.

    Example:
        >>> import numpy as np
        >>> from reluflow.temperature import CrossingCurve
        >>> rates = np.geomspace(1e-2, 1.0, 1001)
        >>> hot, cold = CrossingCurve.of(rates, 64), CrossingCurve.of(4.0 * rates, 64)
        >>> found = SiteRates(4.0, ["first", "last"])
        >>> curves = CrossingCurves({"first": cold, "last": hot})
        >>> {name: round(factor, 2) for name, factor in found.update(curves, 0.1).items()}
        {'first': 1.23, 'last': 0.81}

    Reference: thesis 5.4; docs/temperature.md, "A rate for every site".
    """

    def __init__(self, span: float, sites: Iterable[str]) -> None:
        if not 1.0 <= span < math.inf:
            raise OptionError(
                f"site_span is {span}, but the rate of a site stays between 1 / span and span "
                "times that of the network; give a number from 1 on."
            )
        self.span = span
        self.factors = dict.fromkeys(sites, 1.0)

    def update(
        self, curves: CrossingCurves, rate: float, mean: Mean = "temperature"
    ) -> dict[str, float]:
        """Take in what the network does at its present factors.

        Args:
            curves: of all sites, over the rate of the network.
            rate: of the network.
            mean: what its temperature averages.

        Returns:
            The new factors; those of sites without a curve, or without a rate that changes them,
            move with the mean alone.

        Raises:
            DataError: a rate below 0, or NaN.
            OptionError: an unknown mean.
        """
        bits = float(curves.temperature(rate, mean))
        if not bits > 0.0:
            return self.factors
        shares = _shares(curves)
        logs = {}
        for name, factor in self.factors.items():
            missed = _missed(curves, name, bits * shares.get(name, 1.0), rate)
            logs[name] = math.log(factor) + _GAIN * missed
        middle = math.fsum(logs.values()) / max(1, len(logs))
        limit = math.log(self.span)
        self.factors = {
            name: math.exp(min(max(value - middle, -limit), limit)) for name, value in logs.items()
        }
        return self.factors


def _missed(curves: CrossingCurves, name: str, bits: float, rate: float) -> float:
    """Return the logarithm of the factor by which a step is too short for a site."""
    if name not in curves:
        return 0.0
    resolved = CrossingCurves({name: curves[name]}).resolved()
    wanted = curves[name].rate(min(bits, resolved))
    return math.log(wanted / rate) if 0.0 < wanted < math.inf else 0.0


def _shares(curves: CrossingCurves) -> dict[str, float]:
    """Return the temperature of each site over that of the network; 1 where widths are unknown."""
    starts = {name: start_for_widths([each.units]) for name, each in curves.items() if each.units}
    middle = math.fsum(starts.values()) / max(1, len(starts))
    return {name: start / middle for name, start in starts.items()}
