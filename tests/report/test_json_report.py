from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reluflow.analysis.results.result import ComparisonReport, PatternReport
from reluflow.errors import OutputError
from reluflow.report import read_json, to_json, write_json

Report = PatternReport | ComparisonReport


def test_what_was_written_is_read_back_equal(any_report: Report, tmp_path: Path) -> None:
    write_json(any_report, tmp_path / "r.json")
    back = read_json(tmp_path / "r.json")
    assert type(back) is type(any_report)
    assert to_json(back) == to_json(any_report)
    if "NaN" not in repr(any_report.to_dict()) and "nan" not in repr(any_report.to_dict()):
        assert back == any_report


def test_the_text_is_strict_json_without_nan(any_report: Report) -> None:
    def refuse(token: str) -> float:
        raise AssertionError(token)

    fields = json.loads(to_json(any_report), parse_constant=refuse)
    assert fields["format"].startswith("reluflow ")
    assert list(fields)[:3] == ["format", "format_version", "notes"]
    assert list(fields)[-1] == "run"


def test_only_the_run_part_differs_between_two_runs(small_report: PatternReport) -> None:
    later = replace(small_report, run=replace(small_report.run, started="2027-01-01", threads=9))
    one, two = to_json(small_report), to_json(later)
    assert one != two
    assert one.split('\n  "run": {')[0] == two.split('\n  "run": {')[0]
    assert to_json(small_report) == one


def test_nan_becomes_null_and_nan_again(small_report: PatternReport, tmp_path: Path) -> None:
    site = replace(small_report.sites[0], entropy_bits=math.nan, table_load=math.inf)
    write_json(replace(small_report, sites=(site,)), tmp_path / "r.json")
    assert '"entropy_bits": null' in (tmp_path / "r.json").read_text()
    back = read_json(tmp_path / "r.json")
    assert isinstance(back, PatternReport)
    assert math.isnan(back.sites[0].entropy_bits)


def test_lines_are_short_and_short_lists_stay_on_one_line(small_report: PatternReport) -> None:
    text = to_json(small_report)
    numbers = [line for line in text.splitlines() if '"' not in line]
    assert max(map(len, numbers)) <= 100
    assert '"mean": [0.286],' in text
    assert '"shape": ["N", 128],' in text


def test_numpy_values_and_lone_surrogates_are_written(
    small_report: PatternReport, tmp_path: Path
) -> None:
    data = replace(
        small_report.data,
        source="bad\udce9name",
        preprocessing={"mean": np.float32(0.5), "size": np.array([2, 3])},
    )
    write_json(replace(small_report, data=data), tmp_path / "r.json")
    back = read_json(tmp_path / "r.json")
    assert back.data.source == "bad\udce9name"
    assert back.data.preprocessing == {"mean": 0.5, "size": [2, 3]}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"format": "other"}', '{"format": ["a"]}', "\x00\x01", "[" * 100_000, "null"],
    ids=["empty", "list", "cut", "other", "odd", "binary", "deep", "null"],
)
def test_a_file_that_is_no_report_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(OutputError, match="is not a report of reluflow"):
        read_json(tmp_path / "r.json")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be read"):
        read_json(tmp_path / "none.json")
    with pytest.raises(OutputError, match="cannot be read"):
        read_json(tmp_path)


def drop_hash(fields: dict) -> None:  # type: ignore[type-arg]
    del fields["hash"]


def add_field(fields: dict) -> None:  # type: ignore[type-arg]
    fields["model"]["colour"] = "red"


def text_for_number(fields: dict) -> None:  # type: ignore[type-arg]
    fields["sites"][2]["patterns"] = "many"


def truth_for_number(fields: dict) -> None:  # type: ignore[type-arg]
    fields["n_inputs"] = True


def number_for_record(fields: dict) -> None:  # type: ignore[type-arg]
    fields["run"] = 3


def dict_for_list(fields: dict) -> None:  # type: ignore[type-arg]
    fields["notes"] = {}


def odd_dimension(fields: dict) -> None:  # type: ignore[type-arg]
    fields["sites"][0]["site"]["shape"] = [1.5]


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (drop_hash, "report lacks 'hash'"),
        (add_field, "report.model has unknown fields"),
        (text_for_number, r"report.sites\[2\].patterns has an unexpected value"),
        (truth_for_number, "report.n_inputs has an unexpected value"),
        (number_for_record, "report.run has an unexpected value"),
        (dict_for_list, "report.notes has an unexpected value"),
        (odd_dimension, r"report.sites\[0\].site.shape has an unexpected value"),
    ],
)
def test_a_damaged_report_is_refused_with_the_place(
    damage: Callable[[dict], None],  # type: ignore[type-arg]
    where: str,
    small_report: PatternReport,
    tmp_path: Path,
) -> None:
    fields = json.loads(to_json(small_report))
    damage(fields)
    (tmp_path / "r.json").write_text(json.dumps(fields))
    with pytest.raises(OutputError, match=where):
        read_json(tmp_path / "r.json")


def test_a_pair_of_wrong_length_is_refused(build: dict, tmp_path: Path) -> None:  # type: ignore[type-arg]
    fields = json.loads(to_json(build["comparison"]()))
    fields["sites"][0]["patterns"] = [1, 2, 3]
    (tmp_path / "r.json").write_text(json.dumps(fields))
    with pytest.raises(OutputError, match="has 3 entries, not 2"):
        read_json(tmp_path / "r.json")


def test_another_format_version_is_refused(small_report: PatternReport, tmp_path: Path) -> None:
    text = to_json(small_report).replace('"format_version": 1', '"format_version": 2')
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(OutputError, match="has format_version 2, this reluflow reads 1"):
        read_json(tmp_path / "r.json")


def test_an_unwritable_place_is_an_output_error(
    small_report: PatternReport, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(small_report, tmp_path / "no" / "r.json")
    assert list(tmp_path.iterdir()) == []
