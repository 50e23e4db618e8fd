"""Counts of several runs add up in one record."""

from pathlib import Path

import pytest
import tally


def test_counts_add_up_and_make_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tests/fuzz/native.py", "--record", "/elsewhere/kept.json"])
    record = tmp_path / "deep" / "kept.json"
    tally.add(record, "native", "hash", inputs=1000, seconds=2.5, finds=0)
    tally.add(record, "models", "command lines", inputs=3, seconds=1, finds=1)
    found = tally.add(record, "native", "hash", inputs=234, seconds=1.5, finds=0)
    assert found == {"inputs": 1234, "seconds": 4.0, "finds": 0}
    assert "elsewhere" not in record.read_text("utf-8")
    assert tally.table(record).splitlines()[2:] == [
        "| models | command lines | 3 | 1 | 1 |",
        "| native | hash | 1,234 | 4 | 0 |",
    ]
