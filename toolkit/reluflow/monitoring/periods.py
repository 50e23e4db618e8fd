"""After how many steps of a training run each measurement is made."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields

from reluflow.errors import OptionError

Due = int | Collection[int]
"""When a measurement is made: every so many steps, 0 for never, or at the steps of a collection."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Steps between measurements, 0 for never, or the very steps of them.

    Attributes:
        every: between measurements of the distance D of the step taken.
        measures_every: between measures of all patterns.
        sweep_every: between sweeps of the learning rate.
        keep_every: between measures of all patterns whose tables are kept.
        flips_every: between steps whose flips are found for each sample of the data.

    Raises:
        OptionError: one is below 0, or all are 0; a collection is empty or has a step below 0.

    Example:
        >>> periods = Periods(every=10, sweep_every=15)
        >>> [step for step in range(31) if periods.wants_anything(step)]
        [0, 10, 15, 20, 30]
        >>> periods.wants_distance(20), periods.wants_measures(20), periods.wants_sweep(20)
        (True, False, False)
        >>> more = Periods(keep_every=100, flips_every=5)
        >>> more.wants_tables(100), more.wants_measures(100), more.wants_flips(102)
        (True, True, False)
        >>> early = Periods(measures_every=log_steps(100))
        >>> [step for step in range(101) if early.wants_measures(step)]
        [0, 1, 2, 3, 4, 6, 10, 16, 25, 40, 63, 100]

    Reference: docs/monitoring.md.
    """

    every: Due = 0
    measures_every: Due = 0
    sweep_every: Due = 0
    keep_every: Due = 0
    flips_every: Due = 0

    def __post_init__(self) -> None:
        """Refuse periods that make no sense.

        Raises:
            OptionError: one is below 0, or all are 0; a collection is empty or has a step below 0.
        """
        for field in fields(self):
            named: Due = getattr(self, field.name)
            if isinstance(named, int):
                continue
            if not named or min(named) < 0:
                raise OptionError(
                    f"{field.name} has the steps {sorted(named)}; give at least one step of the "
                    "training, from 0 on, or a period."
                )
            object.__setattr__(self, field.name, frozenset(named))
        if min(self._numbers, default=1) < 0 or not any(self._all):
            more = {"keep_every": self.keep_every, "flips_every": self.flips_every}
            shown = {name: period for name, period in more.items() if period}
            names = ", ".join([*shown, "every, measures_every and sweep_every"])
            values = *shown.values(), self.every, self.measures_every, self.sweep_every
            raise OptionError(
                f"{names} are {', '.join(map(str, values))}; give numbers of steps, at least one "
                "of them above 0."
            )

    @property
    def _all(self) -> tuple[Due, ...]:
        first = self.every, self.measures_every, self.sweep_every
        return *first, self.keep_every, self.flips_every

    @property
    def _numbers(self) -> list[int]:
        return [each for each in self._all if isinstance(each, int)]

    def wants_distance(self, step: int) -> bool:
        """Tell whether D is to be measured.

        Args:
            step: of the training, from 0.
        """
        return _is_due(self.every, step)

    def wants_measures(self, step: int) -> bool:
        """Tell whether all patterns are to be measured.

        Args:
            step: of the training, from 0.
        """
        return _is_due(self.measures_every, step) or self.wants_tables(step)

    def wants_tables(self, step: int) -> bool:
        """Tell whether the tables of all patterns are to be kept.

        Args:
            step: of the training, from 0.
        """
        return _is_due(self.keep_every, step)

    def wants_flips(self, step: int) -> bool:
        """Tell whether the flips of each sample are to be found.

        Args:
            step: of the training, from 0.
        """
        return _is_due(self.flips_every, step)

    def wants_sweep(self, step: int) -> bool:
        """Tell whether the learning rate is to be swept.

        Args:
            step: of the training, from 0.
        """
        return _is_due(self.sweep_every, step)

    def wants_anything(self, step: int) -> bool:
        """Tell whether anything is to be done.

        Args:
            step: of the training, from 0.
        """
        return any(_is_due(period, step) for period in self._all)


def log_steps(last: int, per_decade: int = 5) -> list[int]:
    """Return steps that lie closest at the start: 0, 1 and on to the last, evenly in the logarithm.

    Args:
        last: step, at least 1.
        per_decade: how many between 1 and 10, between 10 and 100 and so on; at the start fewer,
            since steps are whole.

    Raises:
        OptionError: there is no step between, or not one per decade.

    Example:
        >>> log_steps(40, per_decade=3)
        [0, 1, 2, 5, 10, 22, 40]

    Reference: docs/monitoring.md.
    """
    if last < 1 or per_decade < 1:
        raise OptionError(
            f"last is {last} and per_decade {per_decade}; give at least 1 for each of them."
        )
    count = math.floor(math.log10(last) * per_decade) + 1
    return sorted({0, last, *(round(10 ** (each / per_decade)) for each in range(count))})


def _is_due(due: Due, step: int) -> bool:
    if isinstance(due, int):
        return due > 0 and step % due == 0
    return step in due
