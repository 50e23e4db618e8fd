"""Everything that the template of a comparison needs, ready to be rendered."""

from __future__ import annotations

from typing import Any

from reluflow.analysis.results.result import ComparisonReport, SiteComparison
from reluflow.report.pictures.charts import Panel, heat_row, panel, text_of
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.tables.facts import data_facts, file_name, hash_facts, model_facts
from reluflow.report.tables.findings import comparison_findings
from reluflow.report.tables.format import (
    count,
    decimal,
    layer_name,
    percent,
    plain,
    plural,
    site_name,
)
from reluflow.report.tables.graded import COMPARISON_GRADED, FLIPS, is_saturated
from reluflow.report.tables.layered import Column, layered_table
from reluflow.report.tables.measures import COMPARISON_MEASURES, GREEN, PINK, Measure, measure

_DISTANCE, _TEMPERATURE, _JACCARD, _BORN, _DIED, _NET = COMPARISON_MEASURES
_NEW: Measure[SiteComparison] = measure("born", lambda s: s.born, GREEN, unit="signed")
_LOST: Measure[SiteComparison] = measure("died", lambda s: -s.died, PINK, unit="signed")


def comparison_context(report: ComparisonReport) -> dict[str, Any]:
    """Return the variables of `comparison.html.j2`.

    Args:
        report: what `compare` returned.

    Returns:
        Texts, numbers and records; the template escapes them.
    """
    heat = [_DISTANCE, _JACCARD, _DIED]
    if _has_flips(report):
        heat = [*COMPARISON_GRADED, *heat] if is_saturated(report) else [*heat, *COMPARISON_GRADED]
    return {
        "kicker": "Comparison of activation patterns",
        "title": f"{file_name(report.first)} → {file_name(report.second)}",
        "lede": f"{plural(report.n_inputs, 'input')} from {plain(report.data.source)}",
        "tiles": _tiles(report),
        "findings": comparison_findings(report),
        "panel_groups": _panel_groups(report),
        "heat": [(m.title, heat_row(report.sites, m)) for m in heat],
        "columns": [],
        "cards": [_card(site) for site in report.sites],
        **layered_table(
            _COLUMNS,
            report.sites,
            report.sites,
        ),
        "fact_groups": [
            ("First model", model_facts(report.first)),
            ("Second model", model_facts(report.second)),
            ("Data", data_facts(report.data, report.n_inputs) + hash_facts(report.hash)),
        ],
        "payload": {
            "ramp": CIVIDIS,
            "labels": [m.title for m in COMPARISON_MEASURES],
            "sites": [_payload(site) for site in report.sites],
        },
    }


def apt_text(site: SiteComparison) -> str:
    """Return the temperature, marked where it is only a lower bound."""
    return ("≥ " if site.saturated else "") + decimal(site.temperature)


def _tiles(report: ComparisonReport) -> list[tuple[str, str, str]]:
    sites = report.sites
    before, after = (sum(s.patterns[i] for s in sites) for i in (0, 1))
    jaccard = sum(s.jaccard for s in sites) / len(sites) if sites else 0.0
    saturated = sum(s.saturated for s in sites)
    return [
        ("Sites compared", count(len(sites)), plural(report.n_inputs, "input")),
        ("Mean distance D", percent(report.mean_distance), "share of samples changed"),
        ("Mean Jaccard", decimal(jaccard, 3), "1 means the same counts"),
        *_flip_tile(report),
        ("Patterns", count(after), f"{count(before)} before, summed over sites"),
        ("Saturated sites", count(saturated), "every sample changed"),
    ]


def _flip_tile(report: ComparisonReport) -> list[tuple[str, str, str]]:
    known = [s.flip_fraction for s in report.sites if s.flip_fraction is not None]
    if not known:
        return []
    return [("Mean flips", percent(sum(known) / len(known)), "share of the units of a sample")]


def _has_flips(report: ComparisonReport) -> bool:
    return any(site.flip_fraction is not None for site in report.sites)


def _panel_groups(report: ComparisonReport) -> list[tuple[str, list[Panel]]]:
    """Return heading and charts; flips first where nearly every sample changed its pattern."""
    groups = [("Whole patterns", _panels(report.sites))]
    if _has_flips(report):
        hints = (
            "Share of the units that flip, mean over the samples",
            "100 %: as unlike as two samples of one model",
            "Share of the units that flip in one sample at least",
        )
        pairs = zip(COMPARISON_GRADED, hints, strict=True)
        groups.append(("Units", [panel(report.sites, hint, m) for m, hint in pairs]))
    return groups[::-1] if is_saturated(report) else groups


def _panels(sites: tuple[SiteComparison, ...]) -> list[Panel]:
    if not sites:
        return []
    born, died = max(s.born for s in sites), max(s.died for s in sites)
    return [
        panel(sites, "Share of the samples whose pattern differs", _DISTANCE),
        panel(
            sites,
            "-log2(1 - D); pale where it is only a lower bound",
            _TEMPERATURE,
        ),
        panel(sites, "Overlap of the two count tables", _JACCARD),
        panel(
            sites,
            "New patterns above, lost ones below, per pattern before",
            _NEW,
            _LOST,
            title="Born and died",
            spread=f"up to {percent(born)} born, {percent(died)} died",
        ),
    ]


def _card(site: SiteComparison) -> dict[str, Any]:
    """Return what the graph section says about a pair of sites."""
    renamed = site.other_name != site.name
    return {
        "name": site_name(site.name),
        "other": site_name(site.other_name) if renamed else "",
        "layer": layer_name(site.name, site.layer),
        "units": plural(site.units, "unit"),
        "distance": round(100 * site.distance, 1) if site.distance > 0 else 0,
        "distance_text": percent(site.distance),
        "apt": apt_text(site),
        "saturated": site.saturated,
        "depends_on": site.depends_on,
        "patterns": " → ".join(map(count, site.patterns)),
        "net": text_of(site.net_change, "signed"),
    }


_COLUMNS: tuple[Column[SiteComparison], ...] = (
    Column("", "Site", lambda s: (site_name(s.name), "")),
    Column("units", "Units", lambda s: (count(s.units), s.units)),
    Column("samples", "Samples", lambda s: (count(s.samples), s.samples)),
    Column("distance", "D", lambda s: (percent(s.distance), s.distance)),
    Column(
        "flip_fraction",
        "Flips",
        lambda s: (percent(FLIPS.value(s)), -1.0 if s.flip_fraction is None else s.flip_fraction),
    ),
    Column("temperature_bits", "APT", lambda s: (apt_text(s), s.temperature)),
    Column("jaccard", "Jaccard", lambda s: (decimal(s.jaccard, 3), s.jaccard)),
    Column("born", "Born", lambda s: (percent(s.born), s.born)),
    Column("died", "Died", lambda s: (percent(s.died), s.died)),
    Column("net_change", "Net change", lambda s: (text_of(s.net_change, "signed"), s.net_change)),
    Column("patterns", "Patterns before", lambda s: (count(s.patterns[0]), s.patterns[0])),
    Column("patterns", "Patterns after", lambda s: (count(s.patterns[1]), s.patterns[1])),
    Column(
        "entropy_bits", "Entropy before", lambda s: (decimal(s.entropy_bits[0]), s.entropy_bits[0])
    ),
    Column(
        "entropy_bits", "Entropy after", lambda s: (decimal(s.entropy_bits[1]), s.entropy_bits[1])
    ),
)
"""The columns of the table of all sites."""


def _payload(site: SiteComparison) -> dict[str, Any]:
    tip = [text_of(m.value(site), m.unit) for m in COMPARISON_MEASURES]
    tip[1] = apt_text(site)
    return {
        "name": site_name(site.name),
        "sub": ", ".join(
            filter(None, (plural(site.units, "unit"), layer_name(site.name, site.layer)))
        ),
        "tip": tip,
        "units": 0,
        "shares": "",
        "bits": [],
    }
