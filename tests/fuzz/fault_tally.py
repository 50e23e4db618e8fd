"""Counts the faults that tests have made, and writes their table in docs/fuzzing.md.

    RELUFLOW_LONG_TESTS=1 python -m pytest tests/hostile tests/scale tests/analysis/run \
      --junitxml build/faults.xml -o junit_family=xunit1
    python tests/fuzz/fault_tally.py build/faults.xml benchmarks/records/faults.json

Counted is what the fixture `injected` was told by tests that passed.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import tally

BEGIN, END = "<!-- record: benchmarks/records/faults.json -->", "<!-- end of the faults -->"
COMMAND = (
    "python tests/fuzz/fault_tally.py build/faults.xml FILE, after "
    "RELUFLOW_LONG_TESTS=1 python -m pytest tests/hostile tests/scale tests/analysis/run "
    "--junitxml build/faults.xml -o junit_family=xunit1"
)
_NAME = "fault: "


def count(results: Path) -> dict[str, int]:
    """Return fault -> how often it was made, from the results of pytest as JUnit's XML."""
    times: Counter[str] = Counter()
    for case in ElementTree.parse(results).iter("testcase"):
        if case.find("failure") is None and case.find("error") is None:
            for told in case.iter("property"):
                name = told.get("name", "")
                if name.startswith(_NAME):
                    times[name.removeprefix(_NAME)] += int(told.get("value", 0))
    return dict(sorted(times.items()))


def table(times: dict[str, int]) -> str:
    """Return the counts as a table of Markdown."""
    rows = (f"| {fault} | {number:,} | {_lost(fault)} |" for fault, number in times.items())
    return "\n".join(["| fault | times | lost |", "|---|---:|---|", *rows])


def _lost(fault: str) -> str:
    if "interrupted analysis cut off" in fault:
        return "what it belonged to, a part or the whole, which is named and counted again"
    return "it is made again" if "compiled code" in fault else "nothing"


def main() -> None:
    results, record = map(Path, sys.argv[1:])
    times = count(results)
    kept = {"command": COMMAND, "machine": tally.machine(), "results": times}
    record.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    tally.fill(tally.ROOT / "docs" / "fuzzing.md", BEGIN, END, table(times))


if __name__ == "__main__":
    main()
