"""Recording measures over steps."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from reluflow.errors import OptionError, OutputError
from reluflow.patterns import PatternRecorder, read


def test_sorted_by_step_then_by_first_appearance(tmp_path):
    with PatternRecorder(tmp_path / "run") as recorder:
        for step in (10, 2):
            for site in ("relu_b", "relu_a"):
                recorder.record(step, site, {"patterns": step, "entropy_bits": step / 4})
    table = read(tmp_path / "run")
    assert table["step"].to_pylist() == [2, 2, 10, 10]
    assert table["site"].to_pylist() == ["relu_b", "relu_a", "relu_b", "relu_a"]
    assert table["patterns"].type == pa.int64()
    assert table["entropy_bits"].to_pylist() == [0.5, 0.5, 2.5, 2.5]


def test_reopening_goes_on_and_the_last_row_counts(tmp_path):
    with PatternRecorder(tmp_path) as recorder:
        recorder.record(0, "a", {"x": 1})
        recorder.flush()
        recorder.record(1, "a", {"x": 2})
    with PatternRecorder(str(tmp_path)) as recorder:
        recorder.record(1, "a", {"x": 3})
        recorder.record(2, "a", {"y": 4})
    assert read(tmp_path).to_pylist() == [
        {"step": 0, "site": "a", "x": 1, "y": None},
        {"step": 1, "site": "a", "x": 3, "y": None},
        {"step": 2, "site": "a", "x": None, "y": 4},
    ]
    assert len(list(tmp_path.glob("part-*.parquet"))) == 3


def test_integers_and_floats_of_one_measure_become_floats(tmp_path):
    with PatternRecorder(tmp_path) as recorder:
        recorder.record(0, "a", {"x": 1})
        recorder.flush()
        recorder.record(1, "a", {"x": 0.5})
        recorder.record(2, "a", {"x": math.nan})
        recorder.record(3, "a", {"x": 7})
    values = read(tmp_path)["x"].to_pylist()
    assert values[:2] == [1.0, 0.5] and math.isnan(values[2]) and values[3] == 7.0


def test_an_unfinished_part_is_not_read(tmp_path):
    with PatternRecorder(tmp_path) as recorder:
        recorder.record(0, "a", {"x": 1})
    (tmp_path / ".part-00000001-dead.parquet.tmp").write_bytes(b"half a file")
    assert read(tmp_path).num_rows == 1


def test_a_full_buffer_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("reluflow.patterns.recorder._FLUSH_ROWS", 3)
    recorder = PatternRecorder(tmp_path)
    for step in range(7):
        recorder.record(step, "a", {"x": step})
    assert read(tmp_path).num_rows == 6
    recorder.close()
    assert read(tmp_path).num_rows == 7


def test_flush_of_nothing_writes_nothing(tmp_path):
    PatternRecorder(tmp_path).flush()
    assert list(tmp_path.iterdir()) == []


def test_refused_measures(tmp_path):
    recorder = PatternRecorder(tmp_path)
    with pytest.raises(OptionError, match=r"measures names one 'step', but step and site"):
        recorder.record(0, "a", {"step": 1})
    with pytest.raises(OptionError, match=r"measure 'x' is '1', but numbers are recorded"):
        recorder.record(0, "a", {"x": "1"})  # type: ignore[dict-item]


def test_unwritable_path(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match=r"path .*file cannot be used for a recording"):
        PatternRecorder(blocked)
    recorder = PatternRecorder(tmp_path / "run")
    recorder.record(0, "a", {"x": 1})
    (tmp_path / "run").rmdir()
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match=r"the recording cannot be written to .*run"):
        recorder.flush()
    (tmp_path / "run").unlink()
    recorder.flush()
    assert read(tmp_path / "run").num_rows == 1


def test_nothing_to_read(tmp_path):
    with pytest.raises(OutputError, match=r"holds no recording"):
        read(tmp_path / "nowhere")
    (tmp_path / "part-00000000-x.parquet").write_bytes(b"damaged")
    with pytest.raises(OutputError, match=r"the recording .* cannot be read"):
        read(tmp_path)
