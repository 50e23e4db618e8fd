"""Adds what a fuzzer has run to a kept record, so that long runs may be many.

    python tests/fuzz/tally.py benchmarks/records/fuzzing.json

writes the table of docs/fuzzing.md anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- record: benchmarks/records/fuzzing.json -->", "<!-- end of the counts -->"


def machine() -> str:
    """Return the processor and the number of cores."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    for line in info.read_text("utf-8").splitlines() if info.is_file() else ():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    return f"{name}, {os.cpu_count()} cores"


def add(record: Path, kind: str, target: str, **more: float) -> dict[str, Any]:
    """Add counts to those of a target; several processes may do so at once.

    Args:
        record: JSON file, made where missing.
        kind: of the fuzzer, with its sanitizers.
        target: what was fuzzed.
        more: name of a count -> what is added to it.

    Returns:
        The counts of the target from now on.
    """
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        kept: dict[str, Any] = json.loads(text) if text else {"results": {}}
        script = Path(sys.argv[0]).resolve()
        script = script.relative_to(ROOT) if ROOT in script.parents else Path(script.name)
        words = (Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])
        kept["command"] = f"python {script} {' '.join(words)}"
        kept["machine"] = machine()
        counts: dict[str, Any] = kept["results"].setdefault(kind, {}).setdefault(target, {})
        for name, count in more.items():
            counts[name] = round(counts.get(name, 0) + count, 1)
        file.truncate(0)
        file.write(json.dumps(kept, indent=1) + "\n")
    return counts


def table(record: Path) -> str:
    """Return the counts as a table of Markdown."""
    lines = ["| fuzzer | target | inputs | seconds | finds |", "|---|---|---:|---:|---:|"]
    for kind, targets in sorted(json.loads(record.read_text("utf-8"))["results"].items()):
        for target, counts in sorted(targets.items()):
            figures = (counts[name] for name in ("inputs", "seconds", "finds"))
            cells = (kind, target, *(f"{figure:,.0f}" for figure in figures))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def fill(page: Path, begin: str, end: str, text: str) -> None:
    """Put a table between two marks of a page."""
    before, _, rest = page.read_text("utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def main() -> None:
    fill(ROOT / "docs" / "fuzzing.md", BEGIN, END, table(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
