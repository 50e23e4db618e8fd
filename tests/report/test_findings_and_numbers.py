from __future__ import annotations

import doctest
import importlib
import math
from dataclasses import replace

import pytest

from reluflow.analysis.results.result import PatternReport
from reluflow.report.pictures.charts import packed_bits, packed_shares, panel
from reluflow.report.pictures.palette import cividis, ink
from reluflow.report.tables.facts import stages, when
from reluflow.report.tables.findings import comparison_findings, findings
from reluflow.report.tables.format import decimal, percent, ranges
from reluflow.report.tables.measures import Measure


@pytest.mark.parametrize(
    "room", ["tables.format", "tables.measures", "pictures.palette", "pictures.charts"]
)
def test_the_examples_in_the_docstrings_hold(room: str) -> None:
    result = doctest.testmod(importlib.import_module(f"reluflow.report.{room}"))
    assert result.attempted > 0
    assert result.failed == 0


def texts(report: PatternReport) -> str:
    return "\n".join(finding.text for finding in findings(report))


def test_dead_units_are_named_with_their_site(small_report: PatternReport) -> None:
    assert "12 of 64 units of /stage1/relu1/Relu never fire" in texts(small_report)
    assert "20 of 672 units are dead (3.0 %, at 4 sites)" in texts(small_report)


def test_a_healthy_model_is_called_healthy(small_report: PatternReport) -> None:
    report = replace(small_report, sites=small_report.sites[:2])
    assert "Every one of the 64 units at 2 sites fires at least once." in texts(report)


def test_the_gravest_finding_comes_first(build: dict) -> None:  # type: ignore[type-arg]
    found = findings(build["hostile"]())
    assert found[0].level == "bad"
    order = ["bad", "warn", "info", "good"]
    assert [f.level for f in found] == sorted((f.level for f in found), key=order.index)


def test_a_dominant_pattern_is_reported(small_report: PatternReport) -> None:
    site = replace(small_report.sites[0], most_frequent_fraction=0.83)
    assert "One single pattern covers 83.0 % of the samples" in texts(
        replace(small_report, sites=(site,))
    )


def test_no_site_at_all_is_said(build: dict) -> None:  # type: ignore[type-arg]
    assert "No switch site of this model could be tapped." in texts(build["empty"]())
    comparison = replace(build["comparison"](), sites=())
    assert "share no switch site" in comparison_findings(comparison)[0].text


def test_percentages_round_to_0_and_100_only_when_exact() -> None:
    assert percent(0.0004) == "<0.1 %"
    assert percent(0.9996) == ">99.9 %"
    assert percent(1.384) == "138.4 %"
    assert percent(math.nan) == decimal(math.inf) == "\N{EN DASH}"
    assert decimal(-0.0) == "0.00"


def test_runs_of_indices_are_joined() -> None:
    assert ranges([0, 1, 2, 7, 9, 10]) == ["0\N{EN DASH}2", "7", "9\N{EN DASH}10"]
    assert ranges([]) == []


def test_packed_units_keep_zero_and_one_apart() -> None:
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
    shares = [0.0, 1e-12, 0.25, 0.5, 1 - 1e-12, 1.0]
    text = packed_shares(shares)
    codes = [
        alphabet.index(a) * 64 + alphabet.index(b)
        for a, b in zip(text[::2], text[1::2], strict=True)
    ]
    assert codes[0] == 0
    assert codes[1] == 1
    assert codes[-2:] == [4094, 4095]
    assert all(
        abs(code / 4095 - share) < 1 / 4000 for code, share in zip(codes, shares, strict=True)
    )


def test_packed_bits_unpack_to_the_same_bits() -> None:
    bits = "1011000111010"
    digits = packed_bits(bits)
    back = "".join(str((int(digits[i >> 2], 16) >> (3 - (i & 3))) & 1) for i in range(len(bits)))
    assert back == bits


def test_bars_stay_in_their_plot_and_stack_outwards() -> None:
    up: Measure[tuple[float, float]] = Measure("u", "Up", lambda s: s[0], "signed", "#0072b2")
    down: Measure[tuple[float, float]] = Measure("d", "Down", lambda s: -s[1], "signed", "#d55e00")
    drawn = panel([(0.5, 0.25), (math.nan, 1.5), (1e-9, 0.0)], "", up, down)
    assert all(0 <= bar.y and bar.y + bar.height <= 100.01 for bar in drawn.bars)
    first = [bar for bar in drawn.bars if bar.index == 0]
    assert first[0].y + first[0].height == pytest.approx(100 - drawn.zero, abs=0.02)
    assert first[1].y == pytest.approx(100 - drawn.zero, abs=0.02)
    assert first[0].height == pytest.approx(2 * first[1].height, abs=0.05)


def test_a_chart_of_nothing_but_zeros_is_empty() -> None:
    zero: Measure[float] = Measure("z", "Zero", lambda s: s, "share", "#0072b2")
    drawn = panel([0.0, 0.0], "", zero)
    assert drawn.bars == ()
    assert drawn.spread == "0 %"


def test_the_stages_fill_the_whole_bar(small_report: PatternReport) -> None:
    parts = stages(small_report.run)
    assert [p.name for p in parts] == ["load", "inference", "hashing", "counting", "other"]
    assert sum(p.percent for p in parts) == pytest.approx(100, abs=0.01)
    overlapping = replace(small_report.run, seconds={"a": 3.0, "b": 3.0, "total": 4.0})
    assert [p.percent for p in stages(overlapping)] == [50, 50]
    assert stages(replace(small_report.run, seconds={})) == []


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_numbers_on_the_heatmap_have_enough_contrast() -> None:
    for value in [i / 1000 for i in range(1001)] + [math.nan]:
        bright, dark = sorted([luminance(cividis(value)), luminance(ink(value))], reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, value


def test_the_colours_are_those_of_matplotlib() -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    for i in range(101):
        expected = colormaps["cividis"](i / 100)[:3]
        assert to_rgb(cividis(i / 100)) == pytest.approx(expected, abs=0.045)


def test_a_date_is_written_out_and_anything_else_left_alone() -> None:
    assert when("2026-01-02T03:04:05") == "2 January 2026, 03:04"
    assert when("yesterday\n") == "yesterday\\n"
