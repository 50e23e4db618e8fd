"""The measures that do not saturate: columns of tables, bars and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reluflow.analysis.results.result import (
    ComparisonReport,
    GradedMeasures,
    PatternReport,
    SiteComparison,
    SiteReport,
)
from reluflow.report.tables.format import decimal, percent
from reluflow.report.tables.measures import (
    BLUE,
    COMPARISON_MEASURES,
    GREEN,
    ORANGE,
    PINK,
    RED,
    SITE_MEASURES,
    Measure,
    measure,
    share,
)

_SATURATED = 0.95


def _value(site: SiteReport, name: str) -> float:
    """Return a graded measure, NaN where it was not measured."""
    found = None if site.graded is None else getattr(site.graded, name)
    return math.nan if found is None else float(found)


def _class_value(site: SiteReport, name: str) -> float:
    classes = site.graded.classes if site.graded else None
    return math.nan if classes is None else float(getattr(classes, name))


def _separation(site: SiteReport) -> float:
    """Return 1 - within / between: 0 where classes make no difference."""
    within, between = (_class_value(site, f"{k}_distance") for k in ("within", "between"))
    return max(0.0, 1 - within / between) if between > 0 else math.nan


def is_open(site: SiteReport) -> bool:
    """Tell whether the samples bound the effective number of patterns only from below."""
    graded = site.graded
    return graded is not None and graded.effective_high_bits >= site.units > graded.effective_bits


UNIT_ENTROPY: Measure[SiteReport] = measure(
    "unit_entropy_bits", lambda s: _value(s, "unit_entropy_bits"), BLUE, unit="share"
)
GROUP_ENTROPY: Measure[SiteReport] = measure(
    "group_entropy_bits", lambda s: _value(s, "group_entropy_bits"), GREEN, unit="share"
)
REDUNDANCY: Measure[SiteReport] = measure("redundancy", lambda s: _value(s, "redundancy"), PINK)
PAIR_DISTANCE: Measure[SiteReport] = measure(
    "pair_distance", lambda s: _value(s, "pair_distance"), RED
)
EFFECTIVE: Measure[SiteReport] = measure(
    "effective_bits", lambda s: _value(s, "effective_bits"), ORANGE, bound=is_open
)
SEPARATION: Measure[SiteReport] = measure("separation", _separation, ORANGE)
OVERLAP: Measure[SiteReport] = measure("overlap", lambda s: _class_value(s, "overlap"), PINK)
GRADED_SHARES = (UNIT_ENTROPY, GROUP_ENTROPY, REDUNDANCY, PAIR_DISTANCE)
CLASS_SHARES = (SEPARATION, OVERLAP)

FLIPS: Measure[SiteComparison] = measure(
    "flip_fraction", lambda s: math.nan if s.flip_fraction is None else s.flip_fraction, RED
)
RELATIVE_FLIPS: Measure[SiteComparison] = measure(
    "relative_flips", lambda s: relative_flips(s), ORANGE
)
FLIPPED_UNITS: Measure[SiteComparison] = measure(
    "flipped_fraction",
    lambda s: share(s.flipped_units, s.units) if s.unit_flip_counts else math.nan,
    GREEN,
)
COMPARISON_GRADED = (FLIPS, RELATIVE_FLIPS, FLIPPED_UNITS)


def relative_flips(site: SiteComparison) -> float:
    """Return the flips over the mean distance of two samples; NaN where that is 0 or unknown."""
    if site.flip_fraction is None or site.pair_distance is None:
        return math.nan
    mean = sum(site.pair_distance) / 2
    return site.flip_fraction / mean if mean else math.nan


def is_saturated(report: PatternReport | ComparisonReport) -> bool:
    """Tell whether most sites show nearly as many patterns as samples or units allow.

    In a comparison: whether at most sites nearly every sample changed its pattern.
    """
    if isinstance(report, ComparisonReport):
        full = [s.distance > _SATURATED for s in report.sites]
    else:
        full = [s.relative_entropy > _SATURATED for s in report.sites]
    return 2 * sum(full) > len(full)


def has_graded(report: PatternReport) -> bool:
    """Tell whether a report has graded measures: reports of earlier versions do not."""
    return any(site.graded is not None for site in report.sites)


def has_classes(report: PatternReport) -> bool:
    """Tell whether classes were compared."""
    return any(site.graded is not None and site.graded.classes is not None for site in report.sites)


def shown_measures(report: PatternReport) -> list[Measure[SiteReport]]:
    """Return all shares to draw; graded ones first where the others are saturated."""
    graded = [*GRADED_SHARES] if has_graded(report) else []
    graded += CLASS_SHARES if has_classes(report) else ()
    return [*graded, *SITE_MEASURES] if is_saturated(report) else [*SITE_MEASURES, *graded]


def shown_comparisons(report: ComparisonReport) -> list[Measure[SiteComparison]]:
    """Return all measures of a comparison to draw; flips first where D is saturated."""
    flips = [*COMPARISON_GRADED] if any(s.flip_fraction is not None for s in report.sites) else []
    plain = list(COMPARISON_MEASURES)
    return [*flips, *plain] if is_saturated(report) else [*plain, *flips]


def graded_facts(site: SiteReport) -> list[tuple[str, str]]:
    """Return what a site's card says about its graded measures."""
    graded = site.graded
    if graded is None:
        return []
    facts = [
        ("Effective patterns", effective_text(site)),
        ("Entropy of a unit", f"{decimal(graded.unit_entropy_bits, 3)} bits on average"),
        ("Two samples differ at", f"{percent(graded.pair_distance)} of the units"),
    ]
    if graded.group_entropy_bits is not None and graded.redundancy is not None:
        text = f"{decimal(graded.group_entropy_bits, 3)} bits a unit"
        facts.append(("Entropy of 8 units", f"{text}, {percent(graded.redundancy)} redundant"))
    if graded.input_distance is not None:
        text = f"{percent(graded.input_distance)} of the units"
        facts.append(("Two inputs differ at", f"{text}, position by position"))
    return facts + _class_facts(graded)


def effective_text(site: SiteReport) -> str:
    """Return the effective number of patterns and its interval as powers of two."""
    graded = site.graded
    if graded is None:
        return ""
    if math.isnan(graded.effective_bits):
        return "not known from estimates"
    low, high = decimal(graded.effective_low_bits, 1), decimal(graded.effective_high_bits, 1)
    ends = f"2^{low} at least" if is_open(site) else f"2^{low} to 2^{high}"
    return f"2^{decimal(graded.effective_bits, 1)} ({ends})"


def _class_facts(graded: GradedMeasures) -> list[tuple[str, str]]:
    classes = graded.classes
    if classes is None:
        return []
    within, between = percent(classes.within_distance), percent(classes.between_distance)
    halves = decimal(classes.overlap_of_halves)
    i, j = closest_classes(classes.overlaps)
    return [
        ("Inputs of one class", f"differ at {within} of the units; of two classes at {between}"),
        ("Overlap of two classes", f"{decimal(classes.overlap)}; of halves of one class {halves}"),
        (
            "Most alike",
            f"classes {classes.labels[i]} and {classes.labels[j]}, "
            f"overlap {decimal(classes.overlaps[i][j])}",
        ),
    ]


def closest_classes(overlaps: Sequence[Sequence[float]]) -> tuple[int, int]:
    """Return the two classes whose patterns overlap most, as indices."""
    pairs = [(i, j) for j in range(len(overlaps)) for i in range(j)]
    return max(pairs, key=lambda pair: overlaps[pair[0]][pair[1]])
