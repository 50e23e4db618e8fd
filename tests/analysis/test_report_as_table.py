"""A report in Python: printed, indexed, as Arrow and pandas."""

import importlib.util

import numpy as np
import pytest
import small_models

import reluflow
from reluflow.errors import OptionError


@pytest.fixture(scope="module")
def report() -> reluflow.PatternReport:
    return reluflow.analyze(small_models.dense(), small_models.integers((50, 4)))


@pytest.fixture(scope="module")
def comparison() -> reluflow.ComparisonReport:
    x = small_models.integers((50, 4))
    return reluflow.compare(small_models.dense(), small_models.dense(shift=1), x)


def test_a_report_prints_as_a_table(report: reluflow.PatternReport) -> None:
    heading, titles, rule, *rows = str(report).splitlines()
    assert heading == "<memory> on 50 inputs, 2 sites"
    assert titles.split()[:3] == ["site", "op", "units"] and set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == ["relu0", "relu1"]
    assert f"{report.sites[0].entropy_bits:.2f}" in rows[0].split()
    assert repr(report) == "<PatternReport: <memory> on 50 inputs, 2 sites>"
    assert len(repr(report.sites[0])) < 100 and "relu0" in repr(report.sites[0])


def test_a_comparison_prints_as_a_table(comparison: reluflow.ComparisonReport) -> None:
    rows = str(comparison).splitlines()[3:]
    assert [row.split()[0] for row in rows] == ["relu0", "relu1"]
    assert f"{comparison['relu1'].distance:.1%}" in rows[1].split()
    assert "mean D" in repr(comparison)


def test_a_notebook_shows_names_as_text() -> None:
    proto = small_models.dense()
    for node in proto.graph.node:
        node.name = node.name.replace("relu0", "<script>alert(1)</script>")
    shown = reluflow.analyze(proto, small_models.integers((9, 4)))._repr_html_()
    assert shown.count("<tr>") == 3 and shown.endswith("</div>")
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    proto = small_models.dense()
    for node in proto.graph.node:
        node.name = node.name.replace("relu0", "relu\x1b[2J\n")
    assert "\x1b" not in str(reluflow.analyze(proto, small_models.integers((9, 4))))


def test_sites_are_found_by_name_and_number(report: reluflow.PatternReport) -> None:
    assert report["relu1"] is report.sites[1] is report[-1]
    assert "relu0" in report and report.sites[0] in report and "relu9" not in report
    assert list(report) == list(report.sites)
    with pytest.raises(OptionError, match="site is 'relu9'; accepted are relu0, relu1"):
        report["relu9"]
    with pytest.raises(IndexError):
        report[2]


def test_dead_and_always_on_units_are_named() -> None:
    proto, x = small_models.dense(), np.abs(small_models.integers((50, 4)))
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    bias = np.array([-1e6, 0, 1e6, 0, -1e6, 1e6], np.float32)
    weights["b0"].raw_data = bias.tobytes()
    site = reluflow.analyze(proto, x)["relu0"]
    assert set(site.dead_unit_indices) >= {0, 4}
    assert set(site.always_on_unit_indices) >= {2, 5}
    assert len(site.dead_unit_indices) == site.dead_units
    assert len(site.always_on_unit_indices) == site.always_on_units


def test_arrow_has_a_row_a_site_and_a_column_a_measure(
    report: reluflow.PatternReport, comparison: reluflow.ComparisonReport
) -> None:
    table = report.to_arrow()
    assert table.num_rows == 2
    assert table["site_name"].to_pylist() == ["relu0", "relu1"]
    assert table["patterns"].to_pylist() == [site.patterns for site in report]
    assert table["unit_active_counts"].to_pylist()[1] == list(report[1].unit_active_counts)
    table = comparison.to_arrow()
    assert table["distance"].to_pylist() == [site.distance for site in comparison]


def test_pandas_is_asked_for_only_when_wanted(report: reluflow.PatternReport) -> None:
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(OptionError, match="to_pandas needs pandas, which is not there"):
            report.to_pandas()
        return
    frame = report.to_pandas()
    assert frame["site_name"].tolist() == ["relu0", "relu1"]


def test_compare_writes_its_report(tmp_path: object) -> None:
    x = small_models.integers((50, 4))
    first, second = small_models.dense(), small_models.dense(shift=1)
    reluflow.compare(first, second, x, tmp_path / "r")  # type: ignore[operator]
    names = {path.name for path in (tmp_path / "r").iterdir()}  # type: ignore[operator]
    assert {"report.html", "report.json"} <= names
