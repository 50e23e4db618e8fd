"""Where to measure D so that mu and sigma can be fitted (thesis A.4, steps 3 and 4).

All rates here are natural logarithms. Every search moves on a fixed lattice of powers of
`remeasure_jump`, so that its result depends on the network and not on where it started.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

from reluflow.errors import DataError
from reluflow.temperature.fit import EXTREME, fit_transition
from reluflow.temperature.options import MAX_RATE, ActCoolOptions

Points = dict[float, float]
_MIDDLE = 0.5
_WANTED_POINTS = 3  # one more than mu and sigma are, so that a fit shows how far off it is
_MAX_HALVINGS = 12  # a guard: rates 4096 times closer than the lattice differ by rounding alone
# Sites that never change hold D at a value short of 0 or 1. Four steps of the lattice, a factor of
# 16 in the rate, without a change of a thousandth is more than the flat ends of a transition show
# between the bounds. The numbers are choices, not measured.
_PLATEAU = 1e-3
_PLATEAU_STEPS = 4
_LEAST_SPREAD = 0.3  # of z: closer together, noise in D would decide sigma
_LEAST_COUNT = 3.0  # changed, or unchanged, samples behind a D that is used in a fit


class Prober:
    """Measures D at log rates, each once, and keeps what it measured.

    Attributes:
        points: D by natural logarithm of the rate.
        count: number of measurements made.
    """

    def __init__(self, measure: Callable[[float], float], options: ActCoolOptions) -> None:
        self.points: Points = {}
        self.count = 0
        self._measure = measure
        self._low = math.log(options.min_rate)
        self._high = math.log(MAX_RATE)

    def at(self, log_rate: float) -> float:
        """Return D at `log_rate`, clamped to the range of rates."""
        place = min(max(log_rate, self._low), self._high)
        if place not in self.points:
            self.points[place] = check_distance(
                self._measure(math.exp(place)), f"measure({math.exp(place):.6g})"
            )
            self.count += 1
        return self.points[place]

    def is_inside(self, log_rate: float) -> bool:
        """Tell whether `log_rate` lies within the range of rates."""
        return self._low <= log_rate <= self._high

    def bracket(self) -> tuple[float, float] | None:
        """Return neighbouring log rates with D on either side of 1/2, or None."""
        below = [place for place, value in self.points.items() if value < _MIDDLE]
        above = [place for place, value in self.points.items() if value >= _MIDDLE]
        if not below or not above:
            return None
        low = max(below)
        above = [place for place in above if place > low]
        return (low, min(above)) if above else None


def check_distance(value: float, source: str) -> float:
    """Return `value` as a float; refuse it where it is not a fraction in [0, 1]."""
    number = float(value)
    if not 0.0 <= number <= 1.0:
        raise DataError(
            f"{source} is {number}; a distance is a fraction in [0, 1]: see that the "
            "patterns of at least one sample are compared."
        )
    return number


def locate(prober: Prober, start: float, options: ActCoolOptions) -> float | None:
    """Return the log rate in the middle of the lattice cell where D passes 1/2, or None.

    From the lattice point nearest to `start` the jumps double until D = 1/2 is crossed;
    then the interval in between is halved down to one cell.
    """
    jump = math.log(options.remeasure_jump)
    first = round(start / jump)
    # Where the start lies outside the range of rates: on towards 0, which is inside.
    while not prober.is_inside(first * jump):
        first -= int(math.copysign(1, first))
    is_low = prober.at(first * jump) < _MIDDLE
    direction = 1 if is_low else -1
    near, far, stride = first, first, 1
    for _ in range(options.max_iterations):
        near, far = far, far + direction * stride
        while not prober.is_inside(far * jump):
            far -= direction
        if far == near:
            return None
        if (prober.at(far * jump) < _MIDDLE) != is_low:
            break
        stride *= 2  # the first guess may be decades away
    else:
        return None
    low, high = sorted((near, far))
    while high - low > 1:
        middle = (low + high) // 2
        if prober.at(middle * jump) < _MIDDLE:
            low = middle
        else:
            high = middle
    cell = (low * jump, high * jump)
    # What lies further out was only passed on the way. Dropped, it cannot make the fit depend on
    # where the search began.
    prober.points = {place: prober.points[place] for place in cell}
    return (cell[0] + cell[1]) / 2


def remeasure(prober: Prober, mu: float, sigma: float, options: ActCoolOptions) -> None:
    """Measure where the model expects the remeasure probabilities (A.4, step 4 i)."""
    for probability in options.remeasure_probabilities:
        prober.at(mu + sigma * float(special.ndtri(probability)))


def measure_grid(prober: Prober, options: ActCoolOptions) -> None:
    """Measure at the initial rates, as a last resort (A.4, step 4 ii)."""
    prober.points = {}
    for rate in options.initial_rates:
        prober.at(math.log(rate))


def reach_bounds(prober: Prober, options: ActCoolOptions) -> None:
    """Search until measured values of D lie on both sides of the bounds (A.4, step 4 iii)."""
    jump = math.log(options.remeasure_jump)
    low, high = min(options.remeasure_probabilities), max(options.remeasure_probabilities)
    _search(prober, lambda value: value >= high, jump, options.max_iterations)
    _search(prober, lambda value: value <= low, -jump, options.max_iterations)


def _search(
    prober: Prober, is_crossed: Callable[[float], bool], jump: float, max_iterations: int
) -> None:
    """Jump outwards from the outermost point until the bound is crossed or D stays the same."""
    if any(is_crossed(value) for value in prober.points.values()):
        return
    place = max(prober.points) if jump > 0 else min(prober.points)
    value = prober.points[place]
    flat: list[float] = []
    for _ in range(max_iterations):
        place += jump
        if not prober.is_inside(place):
            break
        last, value = value, prober.at(place)
        if is_crossed(value):
            return
        flat = [*flat, place] if abs(value - last) < _PLATEAU else []
        if len(flat) >= _PLATEAU_STEPS:
            break
    # On a plateau some sites never change: it is not part of the transition.
    for idle in flat:
        del prober.points[idle]


def halve(prober: Prober, resolution: float) -> None:
    """Measure between the rates next to D = 1/2 until there are three usable points."""
    for _ in range(_MAX_HALVINGS):
        bracket = prober.bracket()
        if bracket is None or len(usable(prober.points, resolution)) >= _WANTED_POINTS:
            return
        prober.at(sum(bracket) / 2)


def usable(points: Points, resolution: float) -> Points:
    """Return the points whose D is further than `resolution` from 0 and 1."""
    least = max(resolution, EXTREME)
    return {place: value for place, value in points.items() if least < value < 1 - least}


def solve(points: Points, middle: float | None, sigma: float) -> tuple[float, float] | None:
    """Return `(mu, sigma)` that fit the usable `points` best, or None.

    Where there are too few points, or they are too close, to determine sigma, only mu is fitted;
    without any point mu is the `middle` of the rates where D passes 1/2.
    """
    if not points:
        return None if middle is None else (middle, sigma)
    places = sorted(points)
    z = [float(special.ndtri(points[place])) for place in places]
    # Two D that are nearly equal say where the transition is, but nothing about its width.
    if max(z) - min(z) >= _LEAST_SPREAD:
        try:
            fit = fit_transition(
                [math.exp(place) for place in places], [points[place] for place in places]
            )
        except DataError:
            pass
        else:
            return fit.model.mu, fit.model.sigma
    centred = [place - sigma * score for place, score in zip(places, z, strict=True)]
    return sum(centred) / len(centred), sigma


def fit(
    prober: Prober,
    options: ActCoolOptions,
    mu: float,
    sigma: float,
    *,
    is_first: bool,
    samples: int | None,
) -> tuple[float, float] | None:
    """Make a full fit: measure, reach the bounds, fill up, solve (A.4, step 4).

    Args:
        prober: measures and keeps the points.
        options: of the controller.
        mu: present guess; where the search begins if `is_first`.
        sigma: present guess.
        is_first: there is no model yet.
        samples: samples behind one D, where known.

    Returns:
        `(mu, sigma)`, or None where no rate changes some patterns and not all.
    """
    # Cheapest first: where the old model still holds, three measurements do. The search costs about
    # ten, the grid all of its 25.
    resolution = 0.0 if samples is None else _LEAST_COUNT / samples
    middle: float | None = None
    if not is_first:
        remeasure(prober, mu, sigma, options)
    if is_first or not usable(prober.points, resolution):
        middle = locate(prober, mu, options)
        if middle is not None:
            remeasure(prober, middle, sigma, options)
        else:
            measure_grid(prober, options)
    if prober.points:
        reach_bounds(prober, options)
        halve(prober, resolution)
    bracket = prober.bracket()
    if bracket is not None:
        middle = sum(bracket) / 2
    return solve(usable(prober.points, resolution), middle, sigma)
