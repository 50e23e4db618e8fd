"""The measures that tables, bars and heatmaps show: one list for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from reluflow.analysis.results.result import SiteComparison, SiteReport

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measure(Generic[T]):
    """One column.

    Attributes:
        key: short identifier.
        title: heading.
        value: from a site to its value; a fraction where `unit` is "share".
        unit: "share", "bits", "count" or "signed" (a share that may be negative).
        color: of its bars, `#rrggbb` of the Okabe-Ito palette.
        bound: tells at which sites the value is only a lower bound; None: nowhere.
    """

    key: str
    title: str
    value: Callable[[T], float]
    unit: str
    color: str
    bound: Callable[[T], bool] | None = None

    def is_bound(self, site: T) -> bool:
        """Tell whether the value at a site is only a lower bound."""
        return self.bound is not None and self.bound(site)

    @property
    def color_name(self) -> str:
        """The colour as the page's style sheet calls it."""
        return _COLOR_NAMES[self.color]


BLUE, ORANGE, RED, GREEN, PINK = "#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7"
_COLOR_NAMES = {BLUE: "blue", ORANGE: "orange", RED: "red", GREEN: "green", PINK: "pink"}

SITE_MEASURES: tuple[Measure[SiteReport], ...] = (
    Measure("relative_entropy", "Relative entropy", lambda s: s.relative_entropy, "share", BLUE),
    Measure(
        "distinct", "Patterns per sample", lambda s: share(s.patterns, s.samples), "share", GREEN
    ),
    Measure("top", "Most frequent pattern", lambda s: s.most_frequent_fraction, "share", ORANGE),
    Measure("active", "Mean active share", lambda s: s.mean_active_fraction, "share", BLUE),
    Measure("dead", "Dead units", lambda s: share(s.dead_units, s.units), "share", RED),
    Measure(
        "always_on", "Always-on units", lambda s: share(s.always_on_units, s.units), "share", PINK
    ),
)

COMPARISON_MEASURES: tuple[Measure[SiteComparison], ...] = (
    Measure("distance", "Distance D", lambda s: s.distance, "share", RED),
    Measure(
        "temperature",
        "Temperature (APT)",
        lambda s: s.temperature,
        "bits",
        ORANGE,
        lambda s: s.saturated,
    ),
    Measure("jaccard", "Weighted Jaccard", lambda s: s.jaccard, "share", BLUE),
    Measure("born", "Born", lambda s: s.born, "share", GREEN),
    Measure("died", "Died", lambda s: s.died, "share", PINK),
    Measure("net_change", "Net change", lambda s: s.net_change, "signed", BLUE),
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
