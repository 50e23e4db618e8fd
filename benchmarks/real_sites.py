"""Switch sites of whole networks compared with the candidates of an independent count.

`python benchmarks/real_sites.py --json benchmarks/records/real_sites.json --page` takes the
networks that `python benchmarks/networks/real.py` fetches, the files of tests/conformance, the
shipped models and onnx's light ones. It fails where sites, left out and other folds are not all
candidates. Networks that were not fetched keep their rows of the record.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx
from _support import keep
from networks.real import FOLDER

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "sites.md"
MARK = "<!-- record: benchmarks/records/real_sites.json -->"


def counted(paths: Iterable[Path]) -> dict[str, Any]:
    """Return the counts of some files together."""
    from networks.candidates import account, candidates, nodes

    sums, reasons, wrong = Counter[str](), Counter[str](), []
    for path in paths:
        model = onnx.load(path)
        independent, told = candidates(model), account(path)
        sums.update(
            files=1,
            nodes=sum(1 for _ in nodes(model)),
            candidates=independent.total(),
            found=told.found.total(),
            left_out=told.left_out.total(),
            other_folds=told.folds.total(),
            sites=told.sites,
            smooth_sites=told.smooth,
        )
        reasons.update(told.reasons)
        if told.told != independent:
            wrong.append(f"{path.name}: {dict(told.told)} told, {dict(independent)} counted")
    return {**sums, "reasons": dict(reasons.most_common()), "differences": wrong}


def groups(real: Path) -> dict[str, list[Path]]:
    """Return the files to count, each real network by its own name."""
    from networks import light

    found = {path.stem: [path] for path in sorted(real.glob("*.onnx"))}
    found["tests/conformance"] = sorted((ROOT / "tests/conformance/files").glob("*.onnx"))
    found["shipped models"] = sorted((ROOT / "models").glob("*.onnx"))
    found["light models of onnx"] = sorted(light.paths().values())
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    columns = ("nodes", "candidates", "found", "left_out", "other_folds", "sites")
    lines = [f"| network | {' | '.join(columns).replace('_', ' ')} |", "|---" * 7 + "|"]
    for name, row in rows.items():
        title = name if row["files"] == 1 else f"{name}, {row['files']} files"
        lines.append(f"| {title} | {' | '.join(f'{row[c]:,}' for c in columns)} |")
    return "\n".join(lines)


def fill(page: str, rows: dict[str, dict[str, Any]]) -> str:
    """Return docs/sites.md with its table rebuilt."""
    before, mark, rest = page.partition(MARK)
    _, end, after = rest.partition("\n\n")
    if not mark or not end:
        raise ValueError(f"{PAGE} lacks {MARK} with a table and an empty line below it.")
    return f"{before}{mark}\n{table(rows)}{end}{after}"


def main() -> int:
    """Count all files, print the table; return 1 where a count differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="put the table into docs/sites.md")
    parser.add_argument("--real", type=Path, default=FOLDER, help="folder of the real networks")
    given = parser.parse_args()
    here = {name: counted(paths) for name, paths in groups(given.real).items()}
    kept = json.loads(given.json.read_text("utf-8"))["results"] if _is_file(given.json) else {}
    rows = {**{name: row for name, row in kept.items() if name not in here}, **here}
    keep(given.json, rows)
    print(table(rows))
    if given.page:
        PAGE.write_text(fill(PAGE.read_text("utf-8"), rows), "utf-8")
    wrong = [sentence for row in rows.values() for sentence in row["differences"]]
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return bool(wrong)


def _is_file(path: Path | None) -> bool:
    return path is not None and path.is_file()


if __name__ == "__main__":
    sys.exit(main())
