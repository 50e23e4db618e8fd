"""Early warning: the width sigma of the transition rises before the loss diverges.

Thesis 3.2.4 and 5.4.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reluflow.errors import DataError, OptionError
from reluflow.temperature.sensitivity import Sensitivity

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """Settings of a `SigmaWatch`.

    The defaults leave a margin: in 24 healthy training runs of plain, batch-normalised,
    convolutional and residual networks with SGD, momentum and AdamW and batches of 64, the ratio
    that `rise` limits was at most 1.5 and the ratio that `leap` limits at most 1.6.

    Attributes:
        window: number of latest widths whose median is compared; one odd value changes nothing.
        reference: number of latest widths whose median may become the lowest so far.
        warm_up: number of widths before the lowest is determined for the first time.
        rise: a median over the window above this multiple of the lowest warns.
        leap: a single width above this multiple of the lowest warns.
    """

    window: int = 3
    reference: int = 5
    warm_up: int = 3
    rise: float = 1.6
    leap: float = 2.0

    def __post_init__(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            OptionError: with the setting, its value and what is accepted.
        """
        for name in ("window", "reference", "warm_up"):
            value = getattr(self, name)
            if value < 1:
                raise OptionError(f"{name} is {value}; give a number of widths from 1 on.")
        for name in ("rise", "leap"):
            value = getattr(self, name)
            if not value > 1:
                raise OptionError(f"{name} is {value}; give a factor above 1, such as 1.6.")


@dataclass(frozen=True, slots=True)
class DivergenceAlarm:
    """The width of the transition rises: the training is about to diverge.

    `SigmaWatch` returns it.

    Attributes:
        step: training step at which it was seen.
        sigma: the width that was seen; infinite where nearly any rate changes most patterns.
        lowest: the lowest width so far, a median.
        kind: "rise" for one that lasts over the window, or "leap" for a single width far above.
    """

    step: int
    sigma: float
    lowest: float
    kind: Literal["rise", "leap"]

    @property
    def ratio(self) -> float:
        """The width divided by the lowest one."""
        return self.sigma / self.lowest

    def __str__(self) -> str:
        return (
            f"sigma of the activation pattern transition is {self.sigma:.3g} at step {self.step}, "
            f"{self.ratio:.2g} times its lowest value ({self.lowest:.3g}): the training may be "
            "about to diverge; lower the learning rate or go back to an earlier checkpoint."
        )


@dataclass(slots=True)
class SigmaWatch:
    """Watch sigma during a training run and warn when it rises persistently.

    In a training run that converges the width of the transition stays or falls. With s the widths
    in order, m_k(t) the median of the latest k and lowest(t) the least m_reference before t,
    it warns where m_window(t) > rise * lowest(t) or s(t) > leap * lowest(t). It warns once, and
    again only after the widths have fallen below both limits.

    Attributes:
        options: the settings.
        lowest: the lowest median so far; infinite before `warm_up` widths.

    Example:
        >>> watch = SigmaWatch()
        >>> widths = [1.3, 1.2, 1.2, 1.3, 1.9, 2.1, 2.2]
        >>> alarms = [watch.observe(step, sigma) for step, sigma in enumerate(widths)]
        >>> [(alarm.step, alarm.kind) for alarm in alarms if alarm]
        [(6, 'rise')]
        >>> again = SigmaWatch.from_dict(watch.to_dict())  # it goes on as the other would
        >>> from reluflow.temperature import LogNormal, sweep
        >>> narrow = sweep(lambda rate: float(LogNormal(-2.0, 1.0).distance(rate)))
        >>> again.observe_sweep(7, narrow) is None
        True

    Reference: thesis 3.2.4 (early divergence detection, Fig. 3.19 and 3.21) and 5.4.
    """

    options: WatchOptions = field(default_factory=WatchOptions)
    lowest: float = math.inf
    _recent: list[float] = field(default_factory=list)
    _warned: bool = False

    def observe(self, step: int, sigma: float) -> DivergenceAlarm | None:
        """Take in one width.

        Args:
            step: training step at which it was measured.
            sigma: width of the log-normal transition, above 0; infinite where the transition
                lies below all rates that were tried; NaN (no fit) is ignored.

        Returns:
            The alarm where one begins, else None.

        Raises:
            DataError: sigma is not above 0.
        """
        if math.isnan(sigma):
            return None
        if not sigma > 0:
            raise DataError(f"sigma is {sigma} at step {step}; give a width above 0, or NaN.")
        options = self.options
        keep = max(options.window, options.reference)
        self._recent = [*self._recent, float(sigma)][-keep:]
        kind = self._kind(sigma)
        alarm = None
        if kind is not None and not self._warned:
            alarm = DivergenceAlarm(step, float(sigma), self.lowest, kind)
        self._warned = kind is not None
        if len(self._recent) >= min(options.warm_up, keep):
            self.lowest = min(self.lowest, self._median(options.reference))
        return alarm

    def observe_sweep(self, step: int, sweep: Sensitivity) -> DivergenceAlarm | None:
        """Take in the width that a sensitivity sweep found (see `transition_width`).

        Args:
            step: training step at which it was made.
            sweep: D over rates.

        Returns:
            The alarm where one begins, else None.
        """
        return self.observe(step, transition_width(sweep))

    def _kind(self, sigma: float) -> Literal["rise", "leap"] | None:
        if not math.isfinite(self.lowest):
            return None
        if self._median(self.options.window) > self.options.rise * self.lowest:
            return "rise"
        return "leap" if sigma > self.options.leap * self.lowest else None

    def _median(self, count: int) -> float:
        return statistics.median(self._recent[-count:])

    def to_dict(self) -> dict[str, Any]:
        """Return settings and state, ready for JSON; an infinite width is None."""
        return {
            "options": asdict(self.options),
            "lowest": _or_none(self.lowest),
            "recent": [_or_none(sigma) for sigma in self._recent],
            "warned": self._warned,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SigmaWatch:
        """Return the watch that `to_dict` described; it goes on as that one would.

        Args:
            values: what `to_dict` returned, also after JSON.

        Raises:
            DataError: a field is missing.
        """
        missing = sorted({"options", "lowest", "recent", "warned"} - values.keys())
        if missing:
            raise DataError(
                f"the description of a SigmaWatch lacks {', '.join(missing)}; give a whole "
                "to_dict()."
            )
        return cls(
            options=WatchOptions(**values["options"]),
            lowest=_or_infinite(values["lowest"]),
            _recent=[_or_infinite(sigma) for sigma in values["recent"]],
            _warned=bool(values["warned"]),
        )


def transition_width(sweep: Sensitivity) -> float:
    """Return sigma of the log-normal transition of the mean D, as a watch expects it.

    Args:
        sweep: D over rates at one state.

    Returns:
        The fitted width; infinite where D is at least 1/2 at every rate, since the transition lies
        below them; NaN where D stays below 1/2 (a cold network, not a faulty one) or where there is
        no fit.

    Example:
        >>> from reluflow.temperature import LogNormal, sweep
        >>> model = LogNormal(-2.0, 1.25)
        >>> round(transition_width(sweep(lambda rate: float(model.distance(rate)))), 6)
        1.25
        >>> transition_width(sweep(lambda rate: 1.0))
        inf
    """
    if sweep.mean.min() >= _HALF:
        return math.inf
    if sweep.mean.max() < _HALF:
        return math.nan
    try:
        return sweep.fit("log-normal").model.sigma
    except DataError:
        return math.nan


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else float(value)
