from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reluflow.analysis.results.result import PatternReport
from reluflow.errors import OutputError
from reluflow.report import check_report_directory, read_json, write_report

FILES = [
    "heatmap.png",
    "measures.png",
    "patterns.parquet",
    "report.html",
    "report.json",
    "unit_activity.png",
]


def content(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in directory.iterdir()}


def test_everything_is_written(small_report: PatternReport, chunked: Any, tmp_path: Path) -> None:
    where = write_report(small_report, tmp_path / "out", chunked(2))
    assert where == tmp_path / "out"
    assert sorted(content(where)) == FILES
    assert read_json(where / "report.json") == small_report
    assert os.listdir(tmp_path) == ["out"]


def test_a_comparison_and_a_report_without_tables(build: dict, tmp_path: Path) -> None:  # type: ignore[type-arg]
    write_report(build["comparison"](), tmp_path / "c")
    assert sorted(content(tmp_path / "c")) == ["compare.png", "report.html", "report.json"]
    write_report(build["empty"](), tmp_path / "e")
    assert sorted(content(tmp_path / "e")) == ["report.html", "report.json"]


def test_a_former_report_is_replaced_whole(
    small_report: PatternReport,
    build: dict[str, Any],
    chunked: Any,
    tmp_path: Path,
) -> None:
    write_report(small_report, tmp_path / "out", chunked(1))
    write_report(build["comparison"](), tmp_path / "out")
    assert sorted(content(tmp_path / "out")) == ["compare.png", "report.html", "report.json"]
    assert os.listdir(tmp_path) == ["out"]


def test_an_empty_directory_is_filled(small_report: PatternReport, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_report(small_report, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_in_the_middle_leaves_the_old_report(
    error: type[BaseException], small_report: PatternReport, chunked: Any, tmp_path: Path
) -> None:
    write_report(small_report, tmp_path / "out")
    before = content(tmp_path / "out")

    def failing() -> Iterator[Any]:
        yield from chunked(2)[0][1]
        raise error("stop")

    with pytest.raises(error):
        write_report(replace(small_report, n_inputs=7), tmp_path / "out", [("a", failing())])
    assert content(tmp_path / "out") == before
    assert os.listdir(tmp_path) == ["out"]
    with pytest.raises(error):
        write_report(small_report, tmp_path / "new", [("a", failing())])
    assert os.listdir(tmp_path) == ["out"]


def test_a_failing_last_rename_puts_the_old_report_back(
    small_report: PatternReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(small_report, tmp_path / "out")
    before = content(tmp_path / "out")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    monkeypatch.setattr("reluflow.files._exchange", lambda *paths: False)
    with pytest.raises(OutputError, match=r"cannot be written .No space left on device"):
        write_report(replace(small_report, n_inputs=7), tmp_path / "out")
    assert content(tmp_path / "out") == before
    assert os.listdir(tmp_path) == ["out"]


def test_where_folders_are_exchanged_the_new_report_stands_whatever_comes_then(
    small_report: PatternReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(small_report, tmp_path / "out")
    before = content(tmp_path / "out")

    def failing(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", failing)
    write_report(replace(small_report, n_inputs=7), tmp_path / "out")
    assert content(tmp_path / "out") != before
    assert os.listdir(tmp_path) == ["out"]


def test_other_peoples_files_are_not_touched(small_report: PatternReport, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("dear")
    with pytest.raises(OutputError, match="exists and is not a reluflow report"):
        write_report(small_report, home)
    (home / "report.json").write_text('{"format": "someone else"}')
    with pytest.raises(OutputError, match="exists and is not a reluflow report"):
        write_report(small_report, home)
    assert content(home)["thesis.tex"] == b"dear"


def test_a_report_with_a_foreign_file_is_not_replaced(
    small_report: PatternReport, tmp_path: Path
) -> None:
    write_report(small_report, tmp_path / "out")
    (tmp_path / "out" / "my_notes.txt").write_text("x")
    with pytest.raises(OutputError, match=r"holds 'my_notes.txt', which is not part"):
        write_report(small_report, tmp_path / "out")


def test_a_file_in_the_way_a_missing_parent_and_no_name(
    small_report: PatternReport, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        check_report_directory(tmp_path / "file")
    with pytest.raises(OutputError, match="has no parent folder"):
        write_report(small_report, tmp_path / "a" / "b")
    with pytest.raises(OutputError, match="directory is empty"):
        check_report_directory("")
    with pytest.raises(OutputError, match="is not a usable path"):
        check_report_directory("a\0b")


def test_an_unwritable_parent_is_an_output_error(
    small_report: PatternReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if Path("/proc/1").is_dir():
        with pytest.raises(OutputError, match=r"cannot be (written|created)"):
            write_report(small_report, "/proc/reluflow_report")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="is not writable; choose another place"):
        check_report_directory(tmp_path / "out")


def test_extra_files_come_with_the_report(small_report: PatternReport, tmp_path: Path) -> None:
    extras = {"model_with_metrics.onnx": lambda path: path.write_bytes(b"onnx")}
    for _ in range(2):
        write_report(small_report, tmp_path / "out", extras=extras)
        assert (tmp_path / "out" / "model_with_metrics.onnx").read_bytes() == b"onnx"
    with pytest.raises(OutputError, match=r"extras names 'evil.sh', which is no file of a report"):
        write_report(small_report, tmp_path / "out", extras={"evil.sh": lambda path: None})


def test_a_link_to_a_report_keeps_being_a_link(small_report: PatternReport, tmp_path: Path) -> None:
    write_report(small_report, tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_report(replace(small_report, n_inputs=7), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read_json(tmp_path / "real" / "report.json").n_inputs == 7
