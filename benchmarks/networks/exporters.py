"""Fill the table of exporters, operators and opsets in docs/sites.md.

It lists the switch sites of tests/conformance/files, which a test compares with lists made by hand.
Run: PYTHONPATH=benchmarks python -m networks.exporters
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from reluflow.graph import find_sites, load

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "tests" / "conformance" / "files"
PAGE = ROOT / "docs" / "sites.md"
MARK = "<!-- table: tests/conformance/files -->"
EXPORTERS = {
    "torch-dynamo": "torch, dynamo",
    "torch-script": "torch, TorchScript",
    "jax2onnx": "jax2onnx",
    "tf2onnx": "tf2onnx",
    "keras": "Keras",
    "skl2onnx": "skl2onnx",
    "paddle": "paddle2onnx",
    "optimum": "optimum",
    "onnxslim": "onnxslim",
    "onnxsim": "onnxsim",
    "ort": "ONNX Runtime",
    "float16": "float16",
}
"""Start of a file's name -> title of its column."""


def found() -> dict[tuple[bool, str], dict[str, set[int]]]:
    """Return the opsets by operator (smooth or not, name) and exporter."""
    opsets: dict[tuple[bool, str], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted(FILES.glob("*.onnx")):
        exporter = next(name for name in EXPORTERS if path.name.startswith(f"{name}-"))
        model = load(path)
        for site in find_sites(model, smooth=True):
            opsets[site.smooth, site.op][exporter].add(model.opset[""])
    return opsets


def table() -> str:
    """Return the table in Markdown, smooth operators last."""
    rows = found()
    lines = [f"| site | {' | '.join(EXPORTERS.values())} |", "|---" * (len(EXPORTERS) + 1) + "|"]
    for smooth, op in sorted(rows):
        cells = [", ".join(map(str, sorted(rows[smooth, op][name]))) for name in EXPORTERS]
        lines.append(f"| {op}{' (smooth)' * smooth} | {' | '.join(cells)} |")
    return "\n".join(re.sub(r" +\|", " |", line) for line in lines)


def fill(page: str) -> str:
    """Return docs/sites.md with its table rebuilt."""
    before, mark, rest = page.partition(MARK)
    _, end, after = rest.partition("\n\n")
    if not mark or not end:
        raise ValueError(f"{PAGE} lacks {MARK} with a table and an empty line below it.")
    return f"{before}{mark}\n{table()}{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text("utf-8")), "utf-8")
