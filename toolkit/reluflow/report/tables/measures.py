"""The measures that tables, bars and heatmaps show, and their colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from reluflow.analysis.results.result import SiteComparison, SiteReport
from reluflow.patterns import QUANTITIES

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measure(Generic[T]):
    """One column.

    Attributes:
        key: of `reluflow.patterns.QUANTITIES`.
        title: heading.
        value: returns the value of a site; a fraction where `unit` is "share".
        unit: "share", "bits", "count" or "signed" (a share that may be negative).
        color: of its bars, `#rrggbb` of the Okabe-Ito palette.
        bound: tells at which sites the value is only a lower bound; None: at none.
        estimated: tells at which sites it is an estimate; None: at none.
    """

    key: str
    title: str
    value: Callable[[T], float]
    unit: str
    color: str
    bound: Callable[[T], bool] | None = None
    estimated: Callable[[T], bool] | None = None

    def is_estimated(self, site: T) -> bool:
        """Tell whether the value at a site is an estimate."""
        return self.estimated is not None and self.estimated(site)

    def is_bound(self, site: T) -> bool:
        """Tell whether the value at a site is only a lower bound."""
        return self.bound is not None and self.bound(site)

    @property
    def color_name(self) -> str:
        """The colour as the page's style sheet calls it."""
        return _COLOR_NAMES[self.color]


BLUE, ORANGE, RED, GREEN, PINK = "#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7"
_COLOR_NAMES = {BLUE: "blue", ORANGE: "orange", RED: "red", GREEN: "green", PINK: "pink"}


def measure(
    key: str,
    value: Callable[[T], float],
    color: str,
    *,
    unit: str = "",
    bound: Callable[[T], bool] | None = None,
    estimated: Callable[[T], bool] | None = None,
) -> Measure[T]:
    """Return the column of a measure of `reluflow.patterns.QUANTITIES`, by its key.

    Args:
        key: of the table.
        value: from a site to its value.
        color: of its bars.
        unit: to show it in, where that is not the table's.
        bound: as of `Measure`.
        estimated: as of `Measure`.
    """
    known = QUANTITIES[key]
    shown = unit or {"ratio": "share"}.get(known.unit, known.unit)
    return Measure(key, known.heading, value, shown, color, bound, estimated)


def is_estimated(site: SiteReport) -> bool:
    """Tell whether the patterns of a site were estimated."""
    return site.estimated is not None


SITE_MEASURES: tuple[Measure[SiteReport], ...] = (
    measure("relative_entropy", lambda s: s.relative_entropy, BLUE),
    measure(
        "patterns_per_sample",
        lambda s: share(s.patterns, s.samples),
        GREEN,
        estimated=is_estimated,
    ),
    measure(
        "most_frequent_fraction",
        lambda s: s.most_frequent_fraction,
        ORANGE,
        estimated=is_estimated,
    ),
    measure("mean_active_fraction", lambda s: s.mean_active_fraction, BLUE),
    measure("dead_fraction", lambda s: share(s.dead_units, s.units), RED),
    measure("always_on_fraction", lambda s: share(s.always_on_units, s.units), PINK),
)

COMPARISON_MEASURES: tuple[Measure[SiteComparison], ...] = (
    measure("distance", lambda s: s.distance, RED),
    measure("temperature_bits", lambda s: s.temperature, ORANGE, bound=lambda s: s.saturated),
    measure("jaccard", lambda s: s.jaccard, BLUE),
    measure("born", lambda s: s.born, GREEN),
    measure("died", lambda s: s.died, PINK),
    measure("net_change", lambda s: s.net_change, BLUE),
)


def share(part: float, whole: float) -> float:
    """Return `part / whole`, 0 where the whole is 0.

    Example:
        >>> share(1, 4), share(0, 0)
        (0.25, 0.0)
    """
    return part / whole if whole else 0.0


def activity(site: SiteReport) -> list[float]:
    """Return the share of samples in which each unit was active, in unit order."""
    return [share(count, site.samples) for count in site.unit_active_counts]


def dead_indices(site: SiteReport) -> list[int]:
    """Return the units that were never active."""
    return [i for i, count in enumerate(site.unit_active_counts) if count == 0]


def always_on_indices(site: SiteReport) -> list[int]:
    """Return the units that were active in every sample."""
    return [i for i, count in enumerate(site.unit_active_counts) if count == site.samples > 0]
