"""Everything that the template of a pattern report needs, ready to be rendered."""

from __future__ import annotations

import math
from typing import Any

from reluflow.analysis.results.result import PatternReport, PatternSummary, SiteReport
from reluflow.graph import SwitchSite
from reluflow.report.pictures.charts import (
    Panel,
    activity_column,
    heat_row,
    packed_bits,
    packed_shares,
    panel,
    text_of,
    value_text,
)
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.tables.facts import data_facts, file_name, hash_facts, model_facts
from reluflow.report.tables.findings import findings
from reluflow.report.tables.format import (
    MISSING,
    about,
    count,
    decimal,
    layer_name,
    percent,
    plain,
    plural,
    ranges,
    shorten,
    site_name,
    size,
)
from reluflow.report.tables.graded import (
    EFFECTIVE,
    OVERLAP,
    PAIR_DISTANCE,
    REDUNDANCY,
    SEPARATION,
    UNIT_ENTROPY,
    graded_facts,
    has_classes,
    has_graded,
    is_saturated,
    shown_measures,
)
from reluflow.report.tables.layered import Cell, Column, layered_table
from reluflow.report.tables.measures import (
    SITE_MEASURES,
    Measure,
    activity,
    always_on_indices,
    dead_indices,
    is_estimated,
    share,
)
from reluflow.report.text.terminal import shape_text

MAX_DRAWN_UNITS = 4096
_MAX_RANGES = 400
_MAX_TOP = 5
_MAX_NAME = 200
_IMAGE_AXES = 4
"""Batch, channels, rows and columns."""
_ENTROPY, _DISTINCT, _TOP, _ACTIVE, _DEAD, _ON = SITE_MEASURES


def pattern_context(report: PatternReport) -> dict[str, Any]:
    """Return the variables of `patterns.html.j2`.

    Args:
        report: what `analyze` returned.

    Returns:
        Texts, numbers and records; the template escapes them.
    """
    return {
        "kicker": "Activation patterns",
        "title": file_name(report.model),
        "lede": f"{plural(report.n_inputs, 'input')} from {plain(report.data.source)}",
        "tiles": _tiles(report),
        "findings": findings(report),
        "panel_groups": _panel_groups(report),
        "heat": [(m.title, heat_row(report.sites, m)) for m in shown_measures(report)],
        "columns": [activity_column(site) for site in report.sites],
        "cards": [_card(site, report.n_inputs) for site in report.sites],
        "skipped": [_skipped(site) for site in report.skipped],
        **layered_table(
            _COLUMNS,
            report.sites,
            [site.site for site in report.sites],
        ),
        "fact_groups": [
            ("Model", model_facts(report.model)),
            ("Data", data_facts(report.data, report.n_inputs) + hash_facts(report.hash)),
        ],
        "payload": {
            "ramp": CIVIDIS,
            "labels": [m.title for m in SITE_MEASURES],
            "sites": [_payload(site) for site in report.sites],
        },
    }


def _tiles(report: PatternReport) -> list[tuple[str, str, str]]:
    """Return label, number and remark of the big numbers."""
    sites, whole = report.sites, report.global_pattern
    units, dead = sum(s.units for s in sites), sum(s.dead_units for s in sites)
    on = sum(s.always_on_units for s in sites)
    samples, patterns = sum(s.samples for s in sites), sum(s.patterns for s in sites)
    doubt = any(map(is_estimated, sites))
    together = count(whole.patterns) if whole.available else "none"
    skipped = f"{len(report.skipped)} not tapped" if report.skipped else "all tapped"
    distinct = f"of {count(whole.samples)} inputs" if whole.available else plain(whole.reason)
    return [
        ("Switch sites", count(len(sites)), skipped),
        ("Units", count(units), f"at {plural(len(sites), 'site')}"),
        ("Distinct patterns", about(_short(patterns), doubt), f"of {_short(samples)} samples"),
        ("Global patterns", about(together, whole.estimated), distinct),
        ("Dead units", count(dead), f"{percent(share(dead, units))} of all"),
        ("Always-on units", count(on), f"{percent(share(on, units))} of all"),
    ]


def _short(number: int) -> str:
    """Return a number in at most four digits, with k, M or G."""
    for factor, letter in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if number >= factor:
            return f"{number / (1000 if letter == 'k' else factor):.3g} {letter}"
    return count(number)


def _panel_groups(report: PatternReport) -> list[tuple[str, list[Panel]]]:
    """Return heading and charts; the graded ones first where the others are saturated."""
    groups = [("Whole patterns", _panels(report.sites))]
    if has_graded(report):
        groups.append(("Units, groups and distances", _graded_panels(report)))
    return groups[::-1] if is_saturated(report) else groups


def _graded_panels(report: PatternReport) -> list[Panel]:
    sites = report.sites
    panels = [
        panel(sites, "Bits that one unit carries, of 1; mean over the units", UNIT_ENTROPY),
        panel(sites, "Share of the units that differ, mean over all pairs", PAIR_DISTANCE),
        panel(sites, "Share of a unit's bits that its 7 neighbours tell", REDUNDANCY),
        panel(sites, "In bits; pale where the samples bound it from below only", EFFECTIVE),
    ]
    if has_classes(report):
        where = shorten(plain(report.labels), 48)
        panels += [
            panel(sites, f"1 - within / between; classes: {where}", SEPARATION),
            panel(sites, "Weighted Jaccard of two classes, groups of 4 units", OVERLAP),
        ]
    return panels


def _panels(sites: tuple[SiteReport, ...]) -> list[Panel]:
    if not sites:
        return []
    return [
        panel(sites, "How evenly the patterns are used, of the most that is possible", _ENTROPY),
        panel(sites, "100 % means that no two samples are alike", _DISTINCT),
        panel(sites, "Share of the samples that show the commonest pattern", _TOP),
        panel(sites, "Share of the units that never switch", _DEAD, _ON, title="Stuck units"),
    ]


def _card(site: SiteReport, n_inputs: int) -> dict[str, Any]:
    """Return what the graph section says about a site."""
    where = site.site
    dead, on = dead_indices(site), always_on_indices(site)
    badges = [
        where.scope and f"in {plain(where.scope)}",
        where.smooth and "smooth",
        site.depends_on and f"depends on {site.depends_on}",
    ]
    return {
        "name": site_name(where.name),
        "layer": layer_name(where.name, where.layer),
        "op": plain(where.op),
        "badges": [badge for badge in badges if badge],
        "units": plural(site.units, "unit"),
        "entropy": round(100 * site.relative_entropy, 1) if site.relative_entropy > 0 else 0,
        "entropy_text": percent(site.relative_entropy),
        "patterns": about(plural(site.patterns, "pattern"), site.estimated),
        "dead": len(dead),
        "always_on": len(on),
        "nonfinite": site.nonfinite,
        "facts": _site_facts(site, n_inputs),
        "drawn": site.units <= MAX_DRAWN_UNITS and bool(site.unit_active_counts),
        "active_text": percent(site.mean_active_fraction),
        "stuck": [
            (f"{plural(len(units), 'unit')} {word}", _listing(units), color)
            for units, word, color in ((dead, "never on", "red"), (on, "always on", "pink"))
            if units
        ],
        "top": [_pattern(site, summary) for summary in site.top[:_MAX_TOP]],
    }


def _site_facts(site: SiteReport, n_inputs: int) -> list[tuple[str, str]]:
    where = site.site
    each = "varying" if site.positions is None else plural(site.positions, "position")
    facts = [
        ("Samples", f"{count(site.samples)} ({plural(n_inputs, 'input')}, {each} each)"),
        ("Distinct patterns", f"{_patterns(site)}, {value_text(_DISTINCT, site)}"),
        *_errors(site),
        ("Entropy", _missing(decimal(site.entropy_bits), " bits")),
        *graded_facts(site),
        ("Pre-activation", shorten(plain(where.tensor), _MAX_NAME)),
        ("Shape", f"{plain(shape_text(where))}, units on axis {where.unit_axis}"),
        ("Threshold", f"{where.threshold:g}"),
    ]
    if not site.estimated:
        facts.append(("Table load", percent(site.table_load)))
    if site.spilled_bytes:
        facts.append(("Counts on disk", size(site.spilled_bytes)))
    if site.nonfinite:
        facts.append(("NaN or infinite", plural(site.nonfinite, "value")))
    return facts


def _patterns(site: SiteReport) -> str:
    return about(count(site.patterns), site.estimated)


def _missing(text: str, unit: str) -> str:
    """Return a number with its unit, or that it is missing."""
    return "not known from estimates" if text == MISSING else text + unit


def _errors(site: SiteReport) -> list[tuple[str, str]]:
    """Return how far estimates may be off."""
    found = site.estimated
    if found is None:
        return []
    ends = f"{count(found.patterns_low)} to {count(found.patterns_high)}"
    error = f"too high by {plural(found.count_error, 'sample')} at most"
    return [
        ("Its interval", f"{ends}, at {percent(found.patterns_confidence)} confidence"),
        ("Counts of patterns", f"{error}, at {percent(found.count_confidence)} confidence"),
        ("Frequent patterns", f"all above {percent(found.least_share, 2)} of the samples"),
    ]


def _listing(units: list[int]) -> str:
    """Return unit indices as runs; the rest is in report.json."""
    runs = ranges(units)
    more = len(runs) - _MAX_RANGES
    return ", ".join(runs[:_MAX_RANGES]) + (
        f" and {more:,} more in report.json" if more > 0 else ""
    )


def _pattern(site: SiteReport, summary: PatternSummary) -> dict[str, Any]:
    """Return one of the most frequent patterns."""
    on = summary.bits.count("1")
    return {
        "count": about(plural(summary.count, "sample"), site.estimated),
        "share": about(percent(summary.fraction), site.estimated),
        "width": round(100 * share(summary.fraction, site.top[0].fraction), 2),
        "seen": "Seen" if site.estimated else "First seen",
        "first": f"input {count(summary.first_sample)}{_position(site, summary.first_position)}",
        "fingerprint": plain(summary.fingerprint),
        "drawn": bool(summary.bits) and site.units <= MAX_DRAWN_UNITS,
        "label": f"{count(on)} of {plural(site.units, 'unit')} active" if summary.bits else "",
    }


def _position(site: SiteReport, position: int | None) -> str:
    """Return where in the input: row and column where the shape tells the width."""
    if position is None or site.positions == 1:
        return ""
    shape = site.site.shape
    if shape and len(shape) == _IMAGE_AXES and site.site.unit_axis % _IMAGE_AXES == 1:
        width = shape[-1]
        if isinstance(width, int) and width > 0:
            return f", row {position // width}, column {position % width}"
    return f", position {count(position)}"


def _skipped(site: SwitchSite) -> dict[str, str]:
    return {
        "name": site_name(site.name),
        "op": plain(site.op),
        "scope": plain(site.scope) or "main graph",
        "reason": plain(site.untappable) or "no reason given",
    }


def _key(value: float) -> float:
    """Return what a column is sorted by: missing values come last."""
    return value if math.isfinite(value) else -1.0


def _graded(heading: str, shown: Measure[SiteReport]) -> Column[SiteReport]:
    def cell(site: SiteReport) -> Cell:
        return text_of(shown.value(site), shown.unit), _key(shown.value(site))

    return Column(shown.key, heading, cell)


_COLUMNS: tuple[Column[SiteReport], ...] = (
    Column("", "Site", lambda s: (site_name(s.site.name), "")),
    Column("", "Op", lambda s: (plain(s.site.op), "")),
    Column("units", "Units", lambda s: (count(s.units), s.units)),
    Column("samples", "Samples", lambda s: (count(s.samples), s.samples)),
    Column("patterns", "Patterns", lambda s: (_patterns(s), s.patterns)),
    Column(
        "entropy_bits",
        "Entropy (bits)",
        lambda s: (decimal(s.entropy_bits), _key(s.entropy_bits)),
    ),
    Column(
        "relative_entropy",
        "Relative entropy",
        lambda s: (percent(s.relative_entropy), _key(s.relative_entropy)),
    ),
    _graded("Effective (bits)", EFFECTIVE),
    _graded("Entropy of a unit", UNIT_ENTROPY),
    _graded("Two differ at", PAIR_DISTANCE),
    Column(
        "most_frequent_fraction",
        "Most frequent",
        lambda s: (value_text(_TOP, s), _key(s.most_frequent_fraction)),
    ),
    Column(
        "mean_active_fraction",
        "Mean active",
        lambda s: (percent(s.mean_active_fraction), s.mean_active_fraction),
    ),
    Column("dead_units", "Dead", lambda s: (count(s.dead_units), s.dead_units)),
    Column("always_on_units", "Always on", lambda s: (count(s.always_on_units), s.always_on_units)),
    Column("nonfinite", "Non-finite", lambda s: (count(s.nonfinite), s.nonfinite)),
)
"""The columns of the table of all sites."""


def _payload(site: SiteReport) -> dict[str, Any]:
    """Return what the page's script needs for a site: hover texts, unit shares, patterns."""
    drawn = site.units <= MAX_DRAWN_UNITS
    layer = layer_name(site.site.name, site.site.layer)
    return {
        "name": site_name(site.site.name),
        "sub": ", ".join(filter(None, (plain(site.site.op), plural(site.units, "unit"), layer))),
        "tip": [value_text(m, site) for m in SITE_MEASURES],
        "units": site.units if drawn else 0,
        "shares": packed_shares(activity(site)) if drawn else "",
        "bits": [packed_bits(p.bits) if drawn else "" for p in site.top[:_MAX_TOP]],
    }
