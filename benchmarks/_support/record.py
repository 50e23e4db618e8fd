"""The options that every benchmark has, and the record that it keeps."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def arguments(
    description: str,
    rounds: int,
    more: Callable[[argparse.ArgumentParser], None] | None = None,
) -> argparse.Namespace:
    """Parse the options that every benchmark has, and those that `more` adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="timed pairs")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    if more is not None:
        more(parser)
    return parser.parse_args()


def keep(path: Path | None, results: Any) -> None:
    """Write the results where asked for, with the command and the machine they came from."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, {"command": command(), "machine": machine(), "results": results})


def write(path: Path, record: Any) -> None:
    """Write a whole record."""
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def command() -> str:
    """Return the command that runs."""
    script, root = Path(sys.argv[0]).resolve(), Path(__file__).resolve().parents[1]
    inside = script.relative_to(root) if root in script.parents else Path(script.name)
    path = "PYTHONPATH=benchmarks " if len(inside.parts) > 1 else ""
    return f"{path}python benchmarks/{inside} {' '.join(sys.argv[1:])}".strip()


def fill(page: str, parts: Mapping[str, str]) -> str:
    """Return a page with new text between `<!-- name -->` and `<!-- /name -->`."""
    for name, text in parts.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{text}\n{end}{rest.partition(end)[2]}"
    return page


def fill_table(page: str, mark: str, file: Path, table: Callable[[Any], str]) -> str:
    """Return a page with the table of a kept record, and its command behind `mark made`."""
    record = json.loads(file.read_text("utf-8"))
    named = f"\n<!-- record: benchmarks/records/{file.name} -->\n"
    made = f"\n`{record['command']}`, {record['machine']}"
    return fill(page, {mark: named + table(record["results"]), f"{mark} made": made})


def fill_page(page: Path, mark: str, file: Path | None, table: Callable[[Any], str]) -> None:
    """Write the page that `fill_table` returns of it; end the program where there is no record."""
    if file is None:
        sys.exit("--page fills a page from a record; give --json FILE as well.")
    page.write_text(fill_table(page.read_text("utf-8"), mark, file, table), "utf-8")


def machine() -> str:
    """Return processor, cores and the versions that timings depend on, in words."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"model name\s*: (.*)", text)
    name = found[1] if found else platform.machine()
    versions = ", ".join(
        f"{package} {importlib.metadata.version(package)}"
        for package in ("onnxruntime", "numpy", "numba", "torch")
        if package in sys.modules
    )
    return f"{name}, {os.cpu_count()} cores, {versions}"
