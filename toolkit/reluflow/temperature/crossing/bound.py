"""The rate is bound where a fixed temperature would end the training (docs/spec.md, section 6)."""

from __future__ import annotations

import math
from typing import Any

from reluflow.temperature.crossing.options import CrossingOptions

_GRADIENT_GAIN = 0.3
_LEFT = 0.5
"""Part of the length of the gradients from which on the rate is bound."""
_SPEED_GAIN = 0.3
_LEAST_GROWTH = 0.1
"""Of the square of the weights' norm, as a logarithm, from one probe to the next: less is no
running away. Weights that begin to learn grow up to 8 times faster, by less than this."""
_COLDEST = 0.25
"""Of the hottest temperature, down to which weights are taken to grow with its square."""
_CUT, _MOST_CUT = 2.0, 8.0
"""By how much the rate falls where weights run away, at least and at most."""
_NAMES = (
    *("hottest", "lowest", "least", "ceiling", "gradient", "full_gradient"),
    *("is_bound", "speed", "run_speed", "seen_at", "n_runaways"),
)


class RateBound:
    """Bounds the rate of a training that a fixed temperature would end.

    As a network memorises its data the gradient vanishes, and the rate of a fixed temperature
    grows without bound, until an ordinary batch ends the training. So the rate is bound for good

    - from where half of the gradient is gone, or the weights have grown beyond a multiple of
      their first norm: by a multiple of the least rate that the hottest temperature needs from
      there on, which falls as the weights grow on;
    - from where the weights run away, their square growing several times faster than before: the
      rate falls at once by 2 to 8 times, to the least that the hottest temperature has needed, and
      by half whenever they run still faster.

    Args:
        options: `growth`, `weight_growth` and `runaway`.

    Attributes:
        options: the same.
        is_bound: whether rates are bound.
        hottest: highest temperature that a rate was given for, in bits.
        n_runaways: probes by which the weights ran away.

    Example:
        >>> bound = RateBound(CrossingOptions(growth=2.0))
        >>> bound.see_rate(3.0, 0.1)
        >>> for step, weights in enumerate((10.0, 10.1, 10.2, 13.0), start=20):
        ...     ran_away = bound.see(step, 3.0, 0.1, needed=0.1, weights=weights)
        >>> ran_away, round(bound.limit(3.0), 3), round(bound.limit(1.5), 3)  # and half as hot
        (True, 0.05, 0.025)

    Reference: docs/spec.md, section 6.
    """

    def __init__(self, options: CrossingOptions) -> None:
        self.options = options
        self.is_bound = False
        self.hottest = 0.0
        self.n_runaways = 0
        self._lowest = self._least = self._ceiling = 0.0
        self._gradient = self._full_gradient = 0.0
        self._norms = (0.0, 0.0)
        self._speed = self._run_speed = 0.0
        self._seen_at = 0

    def see_rate(self, bits: float, rate: float) -> None:
        """Take in the rate that a temperature needs, before a step.

        Args:
            bits: the temperature.
            rate: that it needs by the curves.
        """
        if bits > self.hottest:
            self.hottest, self._lowest = bits, rate

    def see(
        self,
        step: int,
        bits: float,
        rate: float,
        *,
        needed: float,
        weights: float | None = None,
        gradient: float | None = None,
        is_settled: bool = True,
        is_warm: bool = True,
    ) -> bool:
        """Take in what a probe showed.

        Args:
            step: number of the step.
            bits: its temperature by the schedule.
            rate: its rate.
            needed: rate that the hottest temperature needs by now.
            weights: Euclidean norm of the trained weights before the step, where it is known.
            gradient: that of the gradient; where it is not known a warm training is bound.
            is_settled: whether the first steps are over, in which momentum grows.
            is_warm: whether the gradient may bind the rate.

        Returns:
            Whether the weights have run away since the probe before.
        """
        has_run = weights is not None and self._see_weights(step, bits, weights, is_settled)
        self.is_bound = self.is_bound or has_run or self._have_weights_grown()
        if is_warm and not self.is_bound:
            self._see_gradient(gradient)
        self._lowest = min(self._lowest or needed, needed) if self.is_bound else needed
        if is_settled:
            self._least = min(self._least or needed, needed)
        if has_run:
            self._cut(rate * self.hottest / bits)
        return has_run

    def limit(self, bits: float) -> float:
        """Return the highest rate that is allowed at a temperature, in bits; infinite: any."""
        if not self.is_bound or self.hottest == 0:
            return math.inf
        limit = self.options.growth * self._lowest
        if self._have_weights_grown():
            first, last = self._norms
            limit *= (self.options.weight_growth * first / last) ** 2
        return min(limit, self._ceiling or math.inf) * bits / self.hottest

    def _cut(self, now: float) -> None:
        """Lower the highest rate of the hottest temperature, which is `now` at present."""
        cut = min(max(self._least, now / _MOST_CUT), now / _CUT)
        self._ceiling = min(cut, self._ceiling / _CUT or cut)
        self.n_runaways += 1

    def _see_weights(self, step: int, bits: float, weights: float, is_settled: bool) -> bool:
        """Tell whether the weights run away.

        The squares of weights that walk at random, or that a normalisation frees of their scale,
        grow with the square of the temperature.
        """
        (first, last), steps = self._norms, step - self._seen_at
        self._norms, self._seen_at = (first or weights, weights), step
        if not (is_settled and last > 0 < weights and steps > 0 < bits):
            return False
        growth = 2.0 * math.log(weights / last)
        speed = growth / steps / max(bits / self.hottest, _COLDEST) ** 2
        before, self._run_speed = self._run_speed, 0.0
        if growth > _LEAST_GROWTH and speed > self.options.runaway * self._speed > 0:
            self._run_speed = speed
            return speed > before  # else it only runs out, as with momentum
        self._speed += (_SPEED_GAIN if self._speed else 1.0) * (abs(speed) - self._speed)
        return False

    def _see_gradient(self, gradient: float | None) -> None:
        """Bind the rate from where half of the gradient is gone.

        For good: where the rate has carried the weights away gradients are large again.
        """
        if gradient is None:
            self.is_bound = True
            return
        self._gradient += (_GRADIENT_GAIN if self._gradient else 1.0) * (gradient - self._gradient)
        self._full_gradient = max(self._full_gradient, self._gradient)
        self.is_bound = self._gradient < _LEFT * self._full_gradient

    def _have_weights_grown(self) -> bool:
        return self._norms[1] > self.options.weight_growth * self._norms[0] > 0

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later bounds depend on, ready for JSON."""
        state = {name: getattr(self, _attribute(name)) for name in _NAMES}
        return {**state, "norms": list(self._norms)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state.

        Args:
            state: what `state_dict` returned; a field it lacks keeps its value.
        """
        for name in _NAMES:
            setattr(self, _attribute(name), state.get(name, getattr(self, _attribute(name))))
        first, last = state["norms"]
        self._norms = (first, last)


def _attribute(name: str) -> str:
    return name if name in ("is_bound", "hottest", "n_runaways") else f"_{name}"
