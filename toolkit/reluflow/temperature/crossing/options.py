"""Settings of the controller that steers by crossing rates (docs/spec.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.errors import OptionError
from reluflow.temperature.crossing.curves import Mean


@dataclass(frozen=True, slots=True)
class CrossingOptions:
    """Settings of `CrossingCool`.

    Attributes:
        min_rate: the smallest learning rate that is returned.
        mean: what the temperature of a network averages over its sites: "temperature" or
            "distance" (docs/spec.md, section 5).
        shortest: steps between two probes at first, and where the curve moves.
        longest: steps between two probes while the curve is calm, at most a twenty-fifth of the
            training.
        memory: weight of the earlier curves' shapes beside a new one, a fraction in [0, 1).
        gain: how far the place of the curves follows a new probe, a fraction in (0, 1].
        short: bits up to which a whole step tells the curve; of a longer one a part is measured.
        growth: once half of the gradient is gone, or the weights have grown, the rate stays below
            this multiple of the least rate that the hottest temperature has needed from there on,
            scaled with the temperature; infinite: no bound.
        weight_growth: the norm of the weights, as a multiple of its first value, from which on they
            have grown; the same bound then falls with its square; infinite: they never have.
        runaway: how many times faster than so far the square of the weights' norm must grow, at a
            temperature, for the rate to be lowered at once; infinite: it never is.
        outlier: how many times longer than usual an update must be, where its length is known, for
            its step to be made no longer than usual; infinite: it never is.
        warm_up: share of the training, and at least `warm_up_steps`, before the gradient may bind
            the rate.
        warm_up_steps: steps over which the temperature rises to that of the schedule; at most a
            twentieth of the training, or 4.
        first_passes: the most hypothetical steps for the first curve.
        history_size: number of latest probes kept in `history`; 0 keeps none.

    Raises:
        OptionError: a setting outside its range.

    Example:
        >>> CrossingOptions(longest=128).shortest
        8
    """

    min_rate: float = 1e-10
    mean: Mean = "temperature"
    shortest: int = 8
    longest: int = 64
    memory: float = 0.9
    gain: float = 0.25
    short: float = 1.0
    growth: float = 4.0
    weight_growth: float = 1.5
    runaway: float = 10.0
    outlier: float = 8.0
    warm_up: float = 0.0
    warm_up_steps: int = 16
    first_passes: int = 4
    history_size: int = 0

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            OptionError: with the option, its value and what is accepted.
        """
        if not 0 < self.min_rate < 1:
            raise OptionError(f"min_rate is {self.min_rate}; give a rate above 0 and below 1.")
        if self.mean not in ("temperature", "distance"):
            raise OptionError(f'mean is {self.mean!r}; give "temperature" or "distance".')
        for name in ("shortest", "first_passes"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; give a number from 1 on.")
        if self.longest < self.shortest:
            raise OptionError(
                f"longest is {self.longest} and shortest {self.shortest}; give a longest interval "
                "that is not below the shortest."
            )
        for name in ("memory", "warm_up"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; give a fraction from 0 on and below 1."
                )
        if not 0 < self.gain <= 1:
            raise OptionError(f"gain is {self.gain}; give a fraction above 0, 1 at most.")
        if not self.outlier > 1:
            raise OptionError(f"outlier is {self.outlier}; give a number above 1.")
        for name in ("short", "growth", "weight_growth", "runaway"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} is {getattr(self, name)}; give a number above 0.")
        for name in ("warm_up_steps", "history_size"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} is {getattr(self, name)}; give a number from 0 on.")
