"""Temperature schedules: from the progress of a training to the wanted temperature in bits.

Thesis 3.3.2, eq. 3.45 and A.4; docs/spec.md, section 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from reluflow.errors import OptionError
from reluflow.temperature.crossing.curves import Mean

Schedule = Callable[[float], float]
"""Takes the progress in [0, 1], gives the temperature in bits, from 0 on."""

DEFAULT_START_BITS = 6.0
DEFAULT_GAMMA = 1.0
DEFAULT_PEAK = 0.99
WIDE_SITE = 512
WIDTH_EXPONENT = 2 / 3
CROSSING_GAMMA = 2.0
"""Of the default schedule by crossing rates: chosen on validation data, docs/temperature.md."""
SHORT_STEPS = 500
"""A training of fewer steps starts hotter."""
HOTTEST_START = 2.0
"""At most by this factor: at 2.5 times a CNN with SGD died."""


@dataclass(frozen=True, slots=True)
class PowerSchedule:
    """T(p) = start (1 - p^gamma); a gamma above 1 stays hot for longer (docs/spec.md, section 6).

    With `printed`, T(p) = start (1 - p)^gamma as eq. 3.45 prints it: it cools faster with gamma.

    Attributes:
        start: temperature at the start, bits.
        gamma: how the curve bends, above 0; 1 is a straight line.
        printed: use the form of eq. 3.45.

    Example:
        >>> PowerSchedule(start=4.0, gamma=2.0)(0.5), PowerSchedule(4.0, 2.0, printed=True)(0.5)
        (3.0, 1.0)
    """

    start: float = DEFAULT_START_BITS
    gamma: float = DEFAULT_GAMMA
    printed: bool = False

    name: ClassVar[str] = "power"

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            OptionError: with the option, its value and what is accepted.
        """
        _check_positive("start", self.start, "bits")
        _check_positive("gamma", self.gamma)

    def __call__(self, progress: float) -> float:
        """Return the temperature in bits at `progress`, a fraction in [0, 1]."""
        if self.printed:
            return float(self.start * (1.0 - progress) ** self.gamma)
        return float(self.start * (1.0 - progress**self.gamma))

    def to_dict(self) -> dict[str, Any]:
        """Return name and settings, ready for JSON."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True, slots=True)
class ProbabilitySchedule:
    """D falls linearly: D(p) = peak (1 - p), T = -log2(1 - D) (A.4, step 5).

    Attributes:
        peak: D at the start, a fraction in (0, 1).

    Example:
        >>> ProbabilitySchedule(peak=0.75)(0.0)
        2.0
    """

    peak: float = DEFAULT_PEAK

    name: ClassVar[str] = "probability"

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            OptionError: peak outside (0, 1).
        """
        if not 0.0 < self.peak < 1.0:
            raise OptionError(f"peak is {self.peak}; give a fraction above 0 and below 1.")

    def __call__(self, progress: float) -> float:
        """Return the temperature in bits at `progress`, a fraction in [0, 1]."""
        return -math.log1p(-self.peak * (1.0 - progress)) / math.log(2.0) + 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return name and settings, ready for JSON."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True, slots=True)
class CyclicSchedule:
    """Cools repeatedly: `cycles` power curves, each `decay` times as hot as the previous one.

    T(p) = start decay^c (1 - x^gamma) with c the number of finished cycles and x the progress
    within the current one. Section 3.3.2 names cyclic temperatures as future work.

    Attributes:
        start: temperature at the start of the first cycle, bits.
        gamma: how each curve bends, above 0.
        cycles: number of cycles, from 1 on.
        decay: start temperature of each cycle relative to that of the previous one, in (0, 1].

    Example:
        >>> schedule = CyclicSchedule(start=4.0, gamma=1.0, cycles=2, decay=0.5)
        >>> [schedule(progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
        [4.0, 2.0, 2.0, 1.0, 0.0]
    """

    start: float = DEFAULT_START_BITS
    gamma: float = DEFAULT_GAMMA
    cycles: int = 3
    decay: float = 1.0

    name: ClassVar[str] = "cyclic"

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            OptionError: with the option, its value and what is accepted.
        """
        _check_positive("start", self.start, "bits")
        _check_positive("gamma", self.gamma)
        if self.cycles < 1:
            raise OptionError(f"cycles is {self.cycles}; give a whole number from 1 on.")
        if not 0.0 < self.decay <= 1.0:
            raise OptionError(f"decay is {self.decay}; give a fraction above 0, 1 at most.")

    def __call__(self, progress: float) -> float:
        """Return the temperature in bits at `progress`, a fraction in [0, 1]."""
        finished = min(int(progress * self.cycles), self.cycles - 1)
        within = progress * self.cycles - finished
        return float(self.start * self.decay**finished * (1.0 - within**self.gamma))

    def to_dict(self) -> dict[str, Any]:
        """Return name and settings, ready for JSON."""
        return {"name": self.name, **asdict(self)}


SCHEDULES: dict[str, type[PowerSchedule] | type[ProbabilitySchedule] | type[CyclicSchedule]] = {
    "power": PowerSchedule,
    "probability": ProbabilitySchedule,
    "cyclic": CyclicSchedule,
}


def start_for_widths(widths: Iterable[int], mean: Mean = "distance") -> float:
    """Return a start temperature that suits switch sites of these widths.

    The more units a pattern has, the more patterns one step changes: for independent units
    T = -d log2(1 - q), where q is the share of units that switch. At the same T narrow sites change
    completely while wide ones hardly change. So a site of d units starts at T_d = 6 (d / 512)^(2/3)
    bits, or at 6 bits for 512 units or more, and the network at the mean of T_d, or at the T of the
    mean distance: T = -log2(mean(2^-T_d)). The exponent is empirical: docs/temperature.md.

    Args:
        widths: units of each switch site, each from 1 on; at least one.
        mean: what the temperature of the network averages, "distance" or "temperature"
            (docs/spec.md, section 5).

    Returns:
        Temperature in bits, above 0.

    Raises:
        OptionError: no width, or one below 1.

    Example:
        >>> start_for_widths([512, 512]), round(start_for_widths([16, 16, 16, 32, 32, 64, 64]), 2)
        (6.0, 0.91)

    Reference: thesis eq. 3.18 (Theorem 1) for the role of d.
    """
    units = list(widths)
    if not units or min(units) < 1:
        raise OptionError(f"widths is {units}; give the number of units of at least one site.")
    bits = [DEFAULT_START_BITS * min(1.0, (width / WIDE_SITE) ** WIDTH_EXPONENT) for width in units]
    if mean == "temperature":
        return math.fsum(bits) / len(bits)
    unchanged = sum(2.0**-value for value in bits) / len(bits)
    return -math.log2(unchanged)


def start_for_steps(start: float, steps: float) -> float:
    """Return a start temperature that suits a training of so many steps.

    A short training has to come as far in fewer steps. So below 500 steps the start rises with
    1 / sqrt(steps), to twice its value at 125 steps and below: docs/temperature.md.

    Args:
        start: temperature that suits a long training, bits.
        steps: of the optimiser, in the whole training, above 0.

    Returns:
        Temperature in bits.

    Raises:
        OptionError: start or steps is not above 0.

    Example:
        >>> start_for_steps(3.0, 10_000), start_for_steps(3.0, 125), start_for_steps(3.0, 10)
        (3.0, 6.0, 6.0)
    """
    if not steps > 0:
        raise OptionError(f"steps is {steps}; give a number above 0.")
    _check_positive("start", start, "bits")
    return start * min(max(math.sqrt(SHORT_STEPS / steps), 1.0), HOTTEST_START)


def schedule_for_widths(
    widths: Iterable[int], mean: Mean = "temperature", steps: float = math.inf
) -> PowerSchedule:
    """Return the default schedule of a training that is steered by crossing rates.

    Args:
        widths: units of each switch site, each from 1 on; at least one.
        mean: as for `start_for_widths`.
        steps: of the optimiser, in the whole training, as for `start_for_steps`.

    Raises:
        OptionError: no width, or one below 1; steps is not above 0.

    Example:
        >>> schedule_for_widths([512, 512])
        PowerSchedule(start=6.0, gamma=2.0, printed=False)
    """
    return PowerSchedule(start_for_steps(start_for_widths(widths, mean), steps), CROSSING_GAMMA)


def schedule_from_dict(values: dict[str, Any]) -> Schedule:
    """Return the schedule that `to_dict` described.

    Args:
        values: `name` and the settings.

    Raises:
        OptionError: an unknown name or setting.

    Example:
        >>> schedule_from_dict({"name": "power", "start": 3.0, "gamma": 2.0})
        PowerSchedule(start=3.0, gamma=2.0, printed=False)
    """
    settings = dict(values)
    name = settings.pop("name", None)
    if name not in SCHEDULES:
        raise OptionError(f"schedule is {name!r}; accepted are {', '.join(SCHEDULES)}.")
    try:
        return SCHEDULES[name](**settings)
    except TypeError:
        raise OptionError(
            f"schedule {name!r} has settings {sorted(settings)}; "
            f"accepted are {', '.join(SCHEDULES[name].__dataclass_fields__)}."
        ) from None


def scheduled_bits(schedule: Schedule, progress: float) -> float:
    """Return the temperature of a schedule in bits.

    Args:
        schedule: takes the progress in [0, 1].
        progress: share of the training that is done; values above 1 count as 1.

    Raises:
        OptionError: progress or the schedule's answer is negative or NaN.
    """
    if not progress >= 0:
        raise OptionError(f"progress is {progress}; give a fraction from 0 to 1.")
    bits = float(schedule(min(progress, 1.0)))
    if not bits >= 0:
        raise OptionError(
            f"schedule gives {bits} at progress {progress}; let it return 0 bits or more."
        )
    return bits


def _check_positive(name: str, value: float, unit: str = "") -> None:
    if not (math.isfinite(value) and value > 0):
        kind = f"{unit} above 0" if unit else "a number above 0"
        raise OptionError(f"{name} is {value}; give {kind}.")
