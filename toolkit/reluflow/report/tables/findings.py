"""Headline sentences: what a reader should see first, by fixed rules from the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reluflow.analysis.results.result import (
    ComparisonReport,
    PatternReport,
    SiteComparison,
    SiteReport,
)
from reluflow.report.tables.format import about, count, decimal, percent, plain, plural, shorten
from reluflow.report.tables.graded import (
    FLIPS,
    PAIR_DISTANCE,
    SEPARATION,
    UNIT_ENTROPY,
    is_saturated,
    relative_flips,
)
from reluflow.report.tables.measures import share

_NAMED = 2  # of many sites: a headline is read at a glance, and the table has all
_NAME_WIDTH = 60
_SATURATED = 0.99  # of the entropy possible: nearly every sample has a pattern of its own
_DOMINANT = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence.

    Attributes:
        level: "good", "info", "warn" or "bad".
        text: the sentence.
    """

    level: str
    text: str


def findings(report: PatternReport) -> tuple[Finding, ...]:
    """Return the headlines of an analysis, the most serious first.

    Args:
        report: what `analyze` returned.

    Returns:
        At least one sentence.
    """
    sites = report.sites
    if not sites:
        return (Finding("warn", "No switch site of this model could be tapped."), *_skipped(report))
    found = [
        *_nonfinite(sites),
        *_dependent(sites),
        *_dead(sites),
        *_always_on(sites),
        *_dominant(sites),
        *_skipped(report),
        *_global(report),
        *_entropy(sites),
        *_graded(report),
        *_classes(sites),
    ]
    # The sort is stable: within a level the order above stays, faults before curiosities.
    order = {"bad": 0, "warn": 1, "info": 2, "good": 3}
    return tuple(sorted(found, key=lambda finding: order[finding.level]))


def comparison_findings(report: ComparisonReport) -> tuple[Finding, ...]:
    """Return the headlines of a comparison.

    Args:
        report: what `compare` returned.

    Returns:
        At least one sentence.
    """
    sites = report.sites
    if not sites:
        return (Finding("warn", "The two models share no switch site that could be compared."),)
    dependent = _dependent(sites)
    if all(s.distance == 0 for s in sites):
        same = "Every sample shows the same pattern in both models, at every site."
        return (*dependent, Finding("good", same))
    found = [*dependent, _mean_distance(report), _extremes(sites), *_flips(sites)]
    saturated = [s for s in sites if s.saturated]
    if saturated:
        found.append(
            Finding(
                "warn",
                f"At {plural(len(saturated), 'site')} every sample changed its pattern: "
                f"the temperature there is only a lower bound ({_names(saturated)}).",
            )
        )
    before, after = (sum(s.patterns[i] for s in sites) for i in (0, 1))
    found.append(
        Finding(
            "info",
            f"Distinct patterns over all sites went from {count(before)} to {count(after)} "
            f"({share(after - before, before) * 100:+.1f} %).",
        )
    )
    return tuple(found)


def _names(sites: Sequence[SiteReport | SiteComparison]) -> str:
    """Return the first names and the number of others."""
    names = [_name(s) for s in sites]
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _name(site: SiteReport | SiteComparison) -> str:
    """Return a site's name, short enough for a sentence."""
    name = site.site.name if isinstance(site, SiteReport) else site.name
    return shorten(plain(name), _NAME_WIDTH) or "(a site without a name)"


def _nonfinite(sites: tuple[SiteReport, ...]) -> list[Finding]:
    hit = [s for s in sites if s.nonfinite]
    if not hit:
        return []
    total = sum(s.nonfinite for s in hit)
    return [
        Finding(
            "bad",
            f"{plural(total, 'pre-activation')} {'was' if total == 1 else 'were'} NaN or infinite, "
            f"at {plural(len(hit), 'site')}: {_names(hit)}.",
        )
    ]


def _dependent(
    sites: tuple[SiteReport, ...] | tuple[SiteComparison, ...],
) -> list[Finding]:
    """Tell at which sites an input does not determine its patterns."""
    texts = {
        "chance": "chance: the same batch showed other patterns when it ran again",
        "batch": "the batch: an input alone shows other patterns than among others",
    }
    found = []
    for kind, text in texts.items():
        hit = [s for s in sites if s.depends_on == kind]
        if hit:
            text = f"At {plural(len(hit), 'site')} the patterns depend on {text} ({_names(hit)})."
            found.append(Finding("bad", text))
    return found


def _dead(sites: tuple[SiteReport, ...]) -> list[Finding]:
    hit = sorted((s for s in sites if s.dead_units), key=lambda s: -share(s.dead_units, s.units))
    if not hit:
        return [Finding("good", f"Every one of the {_units(sites)} fires at least once.")]
    worst = hit[0]
    text = f"{count(worst.dead_units)} of {plural(worst.units, 'unit')} of {_name(worst)} "
    text += f"never {'fires' if worst.dead_units == 1 else 'fire'}"
    if len(hit) > 1:
        total, units = sum(s.dead_units for s in sites), sum(s.units for s in sites)
        text += (
            f"; over the whole model {count(total)} of {count(units)} units are dead "
            f"({percent(share(total, units))}, at {plural(len(hit), 'site')})"
        )
    return [Finding("warn", text + ".")]


def _always_on(sites: tuple[SiteReport, ...]) -> list[Finding]:
    hit = [s for s in sites if s.always_on_units]
    if not hit:
        return []
    total = sum(s.always_on_units for s in hit)
    linear = "its switch never switches" if total == 1 else "their switches never switch"
    return [
        Finding(
            "warn",
            f"{plural(total, 'unit')} {'is' if total == 1 else 'are'} always on at "
            f"{plural(len(hit), 'site')} ({_names(hit)}): {linear}.",
        )
    ]


def _dominant(sites: tuple[SiteReport, ...]) -> list[Finding]:
    known = [s for s in sites if math.isfinite(s.most_frequent_fraction)]
    if not known:
        return []
    worst = max(known, key=lambda s: s.most_frequent_fraction)
    if worst.samples < 2 or not worst.most_frequent_fraction >= _DOMINANT:
        return []
    return [
        Finding(
            "warn",
            "One single pattern covers "
            f"{about(percent(worst.most_frequent_fraction), worst.estimated)} of the samples "
            f"at {_name(worst)}.",
        )
    ]


def _skipped(report: PatternReport) -> list[Finding]:
    if not report.skipped:
        return []
    n = len(report.skipped)
    verb = "is" if n == 1 else "are"
    return [
        Finding(
            "warn",
            f"{plural(n, 'site')} {verb} not in these numbers because the pre-activation "
            "could not be tapped; the reasons stand below the graph.",
        )
    ]


def _global(report: PatternReport) -> list[Finding]:
    whole = report.global_pattern
    if not whole.available or whole.samples < 2:
        return []
    if whole.estimated:
        low, high = whole.estimated.patterns_low, whole.estimated.patterns_high
        text = (
            f"{count(whole.samples)} inputs share {about(count(whole.patterns), True)} global "
            f"patterns, estimated: {count(low)} to {count(high)}."
        )
    elif whole.patterns == whole.samples:
        text = f"Each of the {count(whole.samples)} inputs has a global pattern of its own."
    else:
        text = (
            f"{count(whole.samples)} inputs share {plural(whole.patterns, 'global pattern')}; "
            f"the commonest covers {percent(whole.most_frequent_fraction)} of them."
        )
    return [Finding("info", text)]


def _entropy(sites: tuple[SiteReport, ...]) -> list[Finding]:
    full = [s for s in sites if s.relative_entropy >= _SATURATED]
    known = [s for s in sites if math.isfinite(s.entropy_bits + s.relative_entropy)]
    found = []
    if len(known) > 1:
        low = min(known, key=lambda s: s.relative_entropy)
        found.append(
            Finding(
                "info",
                f"{_name(low)} is the least diverse site: its patterns carry "
                f"{decimal(low.entropy_bits)} bits, {percent(low.relative_entropy)} of the most "
                "that is possible.",
            )
        )
    if full:
        found.append(
            Finding(
                "info",
                f"At {plural(len(full), 'site')} the patterns are as diverse as the number of "
                "samples or units lets them be: more data may tell them further apart.",
            )
        )
    return found


def _graded(report: PatternReport) -> list[Finding]:
    """Say what still differs where the number of patterns does not."""
    known = [s for s in report.sites if s.graded is not None]
    if len(known) < 2 or not is_saturated(report):
        return []
    low, high = (f(known, key=UNIT_ENTROPY.value) for f in (min, max))
    near, far = (f(known, key=PAIR_DISTANCE.value) for f in (min, max))
    return [
        Finding(
            "info",
            "Nearly every sample has a pattern of its own at most sites; what still tells them "
            f"apart: a unit carries {decimal(UNIT_ENTROPY.value(low))} bits at {_name(low)} and "
            f"{decimal(UNIT_ENTROPY.value(high))} at {_name(high)}; two samples differ at "
            f"{percent(PAIR_DISTANCE.value(near))} of the units of {_name(near)} and at "
            f"{percent(PAIR_DISTANCE.value(far))} of those of {_name(far)}.",
        )
    ]


def _classes(sites: tuple[SiteReport, ...]) -> list[Finding]:
    known = [s for s in sites if math.isfinite(SEPARATION.value(s))]
    if not known:
        return []
    best = max(known, key=SEPARATION.value)
    classes = best.graded and best.graded.classes
    assert classes
    return [
        Finding(
            "info",
            f"Classes are furthest apart at {_name(best)}: two inputs of one class differ at "
            f"{percent(classes.within_distance)} of the units, of two classes at "
            f"{percent(classes.between_distance)}.",
        )
    ]


def _flips(sites: tuple[SiteComparison, ...]) -> list[Finding]:
    known = [s for s in sites if s.flip_fraction is not None]
    if not known:
        return []
    most, least = (f(known, key=FLIPS.value) for f in (max, min))
    relative = relative_flips(most)
    against = (
        f", {percent(relative)} of what tells two samples apart" if math.isfinite(relative) else ""
    )
    return [
        Finding(
            "info",
            f"A sample flips {percent(FLIPS.value(most))} of the units of {_name(most)}{against}, "
            f"and {percent(FLIPS.value(least))} of those of {_name(least)}.",
        )
    ]


def _units(sites: tuple[SiteReport, ...]) -> str:
    return f"{plural(sum(s.units for s in sites), 'unit')} at {plural(len(sites), 'site')}"


def _mean_distance(report: ComparisonReport) -> Finding:
    return Finding(
        "info",
        f"On average over {plural(len(report.sites), 'site')}, {percent(report.mean_distance)} "
        "of the samples show another pattern in the second model.",
    )


def _extremes(sites: tuple[SiteComparison, ...]) -> Finding:
    hot, cold = max(sites, key=lambda s: s.distance), min(sites, key=lambda s: s.distance)
    return Finding(
        "info",
        f"{_name(hot)} changed most (D = {percent(hot.distance)}), "
        f"{_name(cold)} least (D = {percent(cold.distance)}).",
    )
