"""What slimming takes out of the shipped networks, and how far their outputs differ afterwards.

Each network is slimmed on the first 1,500 shipped images and checked on the other 500; the keyword
network on its calibration data, checked on its test data.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _support import fill_table, keep

import reluflow
from reluflow.analysis import AnalysisOptions

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
NAMES = (
    "fashion_convnet8",
    "fashion_resnet8",
    "fashion_resnet8_bn_after_add",
    "fashion_dsconv",
    "fashion_micro",
    "keywords_dscnn",
)
FIRST = 1500


def data_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what a network is slimmed on, and what it is checked on."""
    if name.startswith("keywords"):
        one, other = (np.load(MODELS / f"keywords_{part}.npz") for part in ("calibration", "test"))
        key = next(key for key in other.files if other[key].ndim > 1)
        return one[next(k for k in one.files if one[k].ndim > 1)], other[key]
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"]
    return images[:FIRST], images[FIRST:]


def measure(name: str) -> dict[str, Any]:
    """Slim one network and return what was found."""
    data, check = data_of(name)
    report = reluflow.slim(
        MODELS / f"{name}.onnx", data, check=check, options=AnalysisOptions(threads=1)
    )
    assert report.on_check is not None
    return {
        "name": name,
        "inputs": [len(data), len(check)],
        "units": sum(site.units for site in report.sites),
        "off": sum(len(site.off) for site in report.sites),
        "on": sum(len(site.on) for site in report.sites),
        "taken_out": sum(site.units - site.left for site in report.sites),
        "saved": {s.what: 1 - s.after / s.before for s in report.savings if s.before and s.after},
        "largest_difference": report.on_data.largest_difference,
        "difference_on_other_data": report.on_check.largest_difference,
        "largest_output": report.on_data.largest_output,
        "other_answers": [report.on_data.other_answers, report.on_check.other_answers],
    }


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| network | units | off | on | taken out | parameters saved | multiply-adds saved | "
        "largest difference on the data | on other data | other answers there |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found:
        shares = [f"{100 * row['saved'][what]:.1f} %" for what in ("parameters", "multiply-adds")]
        lines.append(
            f"| `{row['name']}` | {row['units']} | {row['off']} | {row['on']} | {row['taken_out']} "
            f"| {' | '.join(shares)} | {row['largest_difference']:.2g} "
            f"| {row['difference_on_other_data']:.2g} | {row['other_answers'][1]} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", type=Path, help="page whose table is replaced")
    options = parser.parse_args()
    found = [measure(name) for name in NAMES]
    print(table(found))
    keep(options.json, found)
    if options.page is not None:
        page = options.page.read_text(encoding="utf-8")
        text = fill_table(page, "savings", options.json, lambda _: table(found))
        options.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
