"""What may be chosen for ActCool: Table A.1 of the thesis and what a finite batch adds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from reluflow.errors import OptionError

MAX_RATE = 1e10
"""A rate above this, or NaN, means that the training diverges (A.4, step 5)."""

_INITIAL_RATES = tuple(10.0 ** (quarter / 4.0) for quarter in range(-16, 9))
"""Four a decade from 1e-4 to 100 (Table A.1)."""


def check_initial_rate(rate: float | None, least: float) -> None:
    """Refuse a rate at which no search may begin.

    Args:
        rate: given by the user; None where it was not.
        least: the smallest learning rate that is returned.

    Raises:
        OptionError: it lies outside the range of rates.
    """
    if rate is not None and not least <= rate <= MAX_RATE:
        raise OptionError(f"initial_rate is {rate}; give a rate from {least:g} to {MAX_RATE:g}.")


@dataclass(frozen=True, slots=True)
class ActCoolOptions:
    """Settings of the controller; the defaults are those of Table A.1.

    Attributes:
        min_rate: the smallest learning rate that is returned (eta_min).
        remeasure_probabilities: D values at whose predicted rates a fit measures
            (remeasure_init); the least and the greatest are the bounds of the search.
        initial_rates: rates to measure where no two rates enclose D = 1/2 (initlrs).
        error_count: this many large errors in a row force a new fit (error_num).
        error_threshold: a change of mu in one probe above this is a large error
            (error_muthresh); natural logarithm of a rate.
        remeasure_jump: factor between two rates of the search (remeasure_jump).
        max_iterations: the most measurements of one search (max_while_loop).
        probing_interval: D is wanted every this many steps (probing_step_size), and also at the
            1st, 2nd, 4th, ... step before the first of these.
        samples: samples behind one D, all sites together, where known. It bounds the target
            temperature at log2(samples / 3), and separates noise from real changes where D is close
            to 0 or 1.
        refit_share: a forced refit waits until the measurements of all refits are at most
            this share of the steps, plus `refit_burst`.
        refit_burst: measurements that refits may take at once.
        history_size: number of latest probes kept in `history`; 0 keeps none.

    Example:
        >>> options = ActCoolOptions(probing_interval=16, samples=128 * 7)
        >>> options.remeasure_probabilities, len(options.initial_rates)
        ((0.25, 0.5, 0.75), 25)
    """

    min_rate: float = 1e-10
    remeasure_probabilities: tuple[float, ...] = (0.25, 0.5, 0.75)
    initial_rates: tuple[float, ...] = _INITIAL_RATES
    error_count: int = 5
    error_threshold: float = 2.5
    remeasure_jump: float = 2.0
    max_iterations: int = 100
    probing_interval: int = 8
    samples: int | None = None
    refit_share: float = 0.01
    refit_burst: int = 16
    history_size: int = 0

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            OptionError: with the option, its value and what is accepted.
        """
        object.__setattr__(self, "remeasure_probabilities", tuple(self.remeasure_probabilities))
        object.__setattr__(self, "initial_rates", tuple(self.initial_rates))
        self._check_lists()
        if not 0 < self.min_rate < 1:
            raise OptionError(f"min_rate is {self.min_rate}; give a rate above 0 and below 1.")
        for name in ("error_count", "max_iterations", "probing_interval"):
            if getattr(self, name) < 1:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; give a whole number from 1 on."
                )
        if self.samples is not None and self.samples < 1:
            raise OptionError(f"samples is {self.samples}; give a whole number from 1 on, or None.")
        if not self.error_threshold > 0:
            raise OptionError(f"error_threshold is {self.error_threshold}; give a number above 0.")
        if not 1 < self.remeasure_jump < math.inf:
            raise OptionError(f"remeasure_jump is {self.remeasure_jump}; give a factor above 1.")
        for name in ("refit_share", "refit_burst", "history_size"):
            if not 0 <= getattr(self, name) < math.inf:
                raise OptionError(f"{name} is {getattr(self, name)}; give a number from 0 on.")

    def _check_lists(self) -> None:
        wanted = self.remeasure_probabilities
        if not wanted or not all(0 < value < 1 for value in wanted):
            raise OptionError(
                f"remeasure_probabilities is {wanted}; give at least one fraction above 0 and "
                "below 1."
            )
        rates = self.initial_rates
        if len(rates) < 2 or not all(0 < rate <= MAX_RATE for rate in rates):
            raise OptionError(
                f"initial_rates is {rates}; give at least two rates above 0, 1e10 at most."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings ready for JSON."""
        values = asdict(self)
        for name in ("remeasure_probabilities", "initial_rates"):
            values[name] = list(values[name])
        return values
