"""A network for the controller that knows its own transition."""

import math
from collections.abc import Callable

import numpy as np

from reluflow.temperature import ActCool, LogNormal

Place = Callable[[float], LogNormal]


class SimulatedNetwork:
    """D(eta) of a log-normal transition that moves, measured on `samples` samples."""

    def __init__(self, place: Place, samples: int | None, seed: int) -> None:
        self.place = place
        self.samples = samples
        self.random = np.random.default_rng(seed)
        self.progress = 0.0
        self.measurements = 0

    def truth(self, rate: float) -> float:
        return float(self.place(self.progress).temperature(rate))

    def measure(self, rate: float) -> float:
        self.measurements += 1
        share = float(self.place(self.progress).distance(rate))
        if self.samples is None:
            return share
        return self.random.binomial(self.samples, share) / self.samples

    def train(
        self, controller: ActCool, steps: range, total: int
    ) -> tuple[list[float], list[float]]:
        """Return the rates and the errors in bits of each step."""
        rates, errors = [], []
        for step in steps:
            self.progress = step / total
            rate = controller.next_rate(self.progress, self.measure)
            rates.append(rate)
            errors.append(self.truth(rate) - controller.wanted_temperature(self.progress))
            if controller.wants_distance:
                controller.observe(self.measure(rate))
        return rates, errors


def drifting(mu: float, swing: float, sigma: float, fall: float) -> Place:
    return lambda p: LogNormal(mu + swing * math.sin(6 * p), sigma * (1 - fall * p))
