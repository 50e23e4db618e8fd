"""After how many steps of a training run each measurement is made."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.errors import OptionError


@dataclass(frozen=True, slots=True)
class Periods:
    """Steps between measurements; 0 means never.

    Attributes:
        every: between measurements of the distance D of the step taken.
        measures_every: between measures of all patterns.
        sweep_every: between sweeps of the learning rate.
        keep_every: between measures of all patterns whose tables are kept.
        flips_every: between steps whose flips are found for each sample of the data.

    Raises:
        OptionError: one is below 0, or all are 0.

    Example:
        >>> periods = Periods(every=10, sweep_every=15)
        >>> [step for step in range(31) if periods.wants_anything(step)]
        [0, 10, 15, 20, 30]
        >>> periods.wants_distance(20), periods.wants_measures(20), periods.wants_sweep(20)
        (True, False, False)
        >>> more = Periods(keep_every=100, flips_every=5)
        >>> more.wants_tables(100), more.wants_measures(100), more.wants_flips(102)
        (True, True, False)

    Reference: docs/monitoring.md.
    """

    every: int = 0
    measures_every: int = 0
    sweep_every: int = 0
    keep_every: int = 0
    flips_every: int = 0

    def __post_init__(self) -> None:
        """Refuse periods that make no sense.

        Raises:
            OptionError: one is below 0, or all are 0.
        """
        if min(self._all) < 0 or not any(self._all):
            more = {"keep_every": self.keep_every, "flips_every": self.flips_every}
            shown = {name: period for name, period in more.items() if period}
            names = ", ".join([*shown, "every, measures_every and sweep_every"])
            values = *shown.values(), self.every, self.measures_every, self.sweep_every
            raise OptionError(
                f"{names} are {', '.join(map(str, values))}; give numbers of steps, at least one "
                "of them above 0."
            )

    @property
    def _all(self) -> tuple[int, ...]:
        first = self.every, self.measures_every, self.sweep_every
        return *first, self.keep_every, self.flips_every

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


def _is_due(period: int, step: int) -> bool:
    return period > 0 and step % period == 0
