from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from reluflow.analysis.results.result import ComparisonReport, PatternReport
from reluflow.graph import SwitchSite
from reluflow.report import print_inspection, print_table
from reluflow.report.tables.format import shorten_apart


def printed(report: PatternReport | ComparisonReport, width: int) -> str:
    out = io.StringIO()
    print_table(report, Console(file=out, width=width))
    return out.getvalue()


def inspected(report: PatternReport, width: int) -> str:
    out = io.StringIO()
    sites = [site.site for site in report.sites] + list(report.skipped)
    print_inspection(report.model, sites, Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_no_line_is_wider_than_the_terminal(
    any_report: PatternReport | ComparisonReport, width: int
) -> None:
    from rich.cells import cell_len

    lines = printed(any_report, width).splitlines()
    assert max(cell_len(line) for line in lines) <= width


def test_a_wide_terminal_shows_every_column_and_the_totals(small_report: PatternReport) -> None:
    text = printed(small_report, 200)
    for word in [
        "site",
        "op",
        "units",
        "samples",
        "entropy bits",
        "rel. entropy",
        "top share",
        "always on",
    ]:
        assert word in text
    assert "not shown" not in text
    row = next(line for line in text.splitlines() if "/stage1/relu1/Relu" in line)
    assert ["64", "12", "0"] == [row.split("│")[i].strip() for i in (3, 9, 10)]
    totals = next(line for line in text.splitlines() if "9 sites" in line)
    assert "672" in totals
    assert "20" in totals


def test_a_narrow_terminal_drops_columns_and_says_which(small_report: PatternReport) -> None:
    text = printed(small_report, 60)
    assert "rel. entropy" in text
    assert "not shown in 60 columns: op, units, samples" in text
    assert "/stage1/relu1/Relu" in text


def test_notes_findings_and_untapped_sites_stand_below(build: dict) -> None:  # type: ignore[type-arg]
    text = printed(build["hostile"](), 200)
    assert "note: Counts spilled 12 MiB to disk." in text
    assert "1,234 pre-activations were NaN or infinite" in text
    assert "non-finite" in text
    assert "not tapped: loop_relu (Relu): inside a Loop" in text


def test_names_cannot_send_terminal_codes_or_markup(build: dict) -> None:  # type: ignore[type-arg]
    report = build["hostile"]()
    for text in (printed(report, 200), inspected(report, 200)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\x1b[2J" in text
    tagged = replace(
        report.sites[3], site=replace(report.sites[3].site, name="[bold]x[/bold][link=a]")
    )
    assert "[bold]x[/bold][link=a]" in printed(replace(report, sites=(tagged,)), 200)


def test_an_ascii_terminal_gets_ascii(build: dict) -> None:  # type: ignore[type-arg]
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_table(build["hostile"](), Console(file=out, width=120))
    print_table(build["comparison"](), Console(file=out, width=120))
    out.flush()
    assert b"\\u5c42/" in raw.getvalue()


def test_a_saturated_temperature_is_a_lower_bound(build: dict) -> None:  # type: ignore[type-arg]
    text = printed(build["comparison"](), 200)
    row = next(line for line in text.splitlines() if "│ /stage1/relu1/Relu" in line)
    assert ">= 18.58" in row
    assert text.count(">=") == 1
    assert "only a lower bound" in text
    for word in ["Jaccard", "born", "died", "APT"]:
        assert word in text
    assert "208,781 > 232,196" in row or "208,781 > " in row


@pytest.mark.parametrize("width", [8, 14, 18, 24, 40])
@pytest.mark.parametrize("many", [4, 12])
def test_names_that_differ_anywhere_stay_apart(width: int, many: int) -> None:
    kinds = ("depthwise", "pointwise")
    names = [f"/blocks/blocks.{k}/{kind}/Conv" for k in range(many) for kind in kinds]
    found = shorten_apart(names, width)
    assert len(set(found)) == len(names) and max(map(len, found)) <= width
    assert shorten_apart(["a", "a", "b" * 30], 5) == ["a", "a", "b…bbb"]


def test_two_equal_models_are_called_equal(build: dict) -> None:  # type: ignore[type-arg]
    assert "the same pattern in both models" in printed(build["comparison_still"](), 100)


def test_inspection_tells_site_shape_scope_and_reason(build: dict) -> None:  # type: ignore[type-arg]
    text = inspected(build["hostile"](), 400)
    assert "[N, 16, 7, 7]" in text
    assert "[N, ?, 4]" in text
    assert "unknown rank" in text
    assert "loop/body" in text
    assert "smooth" in text
    assert "loop_relu cannot be tapped: inside a Loop" in text
    assert "opset ai.onnx 20, ai.onnx.ml 4" in text
    assert "input 'input': float32 [N, 1, 28, 28]" in text


def test_inspection_of_a_model_without_switch_says_so(build: dict) -> None:  # type: ignore[type-arg]
    assert "The model has no switch site" in inspected(build["empty"](), 80)


def test_unknown_units_are_a_question_mark(small_report: PatternReport) -> None:
    out = io.StringIO()
    site = SwitchSite("r", "Relu", "t", 0.0, 1, None, None)
    print_inspection(small_report.model, [site], Console(file=out, width=80))
    assert "?" in out.getvalue()
