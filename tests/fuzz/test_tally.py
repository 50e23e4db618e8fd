"""Counts of several runs add up in one record."""

from pathlib import Path

import fault_tally
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


def test_only_faults_of_tests_that_passed_count(tmp_path: Path) -> None:
    one = '<properties><property name="fault: kill" value="{}"/></properties>'
    cases = "".join(
        f"<testcase>{failure}{one.format(times)}</testcase>"
        for failure, times in (("", 3), ("", 4), ("<failure/>", 5), ("<error/>", 6))
    )
    (tmp_path / "found.xml").write_text(f"<testsuites>{cases}<testcase/></testsuites>", "utf-8")
    times = fault_tally.count(tmp_path / "found.xml")
    assert times == {"kill": 7}
    page = tmp_path / "page.md"
    page.write_text("before <!--> old <--> after", "utf-8")
    tally.fill(page, "<!-->", "<-->", fault_tally.table(times))
    assert "| kill | 7 | nothing |" in page.read_text("utf-8")
    assert page.read_text("utf-8").startswith("before <!-->\n|") and "old" not in page.read_text()
