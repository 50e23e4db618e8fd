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

    Raises:
        OptionError: one is below 0, or all are 0.

    Example:
        >>> periods = Periods(every=10, sweep_every=15)
        >>> [step for step in range(31) if periods.wants_anything(step)]
        [0, 10, 15, 20, 30]
        >>> periods.wants_distance(20), periods.wants_measures(20), periods.wants_sweep(20)
        (True, False, False)

    Reference: docs/monitoring.md.
    """

    every: int = 0
    measures_every: int = 0
    sweep_every: int = 0

    def __post_init__(self) -> None:
        """Refuse periods that make no sense.

        Raises:
            OptionError: one is below 0, or all are 0.
        """
        if min(self._all) < 0 or not any(self._all):
            raise OptionError(
                f"every, measures_every and sweep_every are {', '.join(map(str, self._all))}; "
                "give numbers of steps, at least one of them above 0."
            )

    @property
    def _all(self) -> tuple[int, int, int]:
        return self.every, self.measures_every, self.sweep_every

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
        return _is_due(self.measures_every, step)

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
