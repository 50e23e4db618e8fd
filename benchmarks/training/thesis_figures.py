"""Figures 3.8 to 3.22 and Table 3.1 of the thesis on FashionMNIST, with small networks.

Example: `thesis_figures.py 3.16 3.18 --json benchmarks/records/thesis_figures.json --page`; without
a name all are made. Trainings that several figures show are made once and kept in build/thesis.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch  # a benchmark of the torch bridge
from _support import keep
from _support.record import fill
from PIL import Image
from training.thesis.figures import FIGURES, Rows

ROOT = Path(__file__).parents[2]
PAGE, IMAGES = ROOT / "docs" / "temperature-figures.md", ROOT / "docs" / "images" / "thesis"
COLOURS = 160


def table(rows: Rows) -> str:
    """Return a table with one line per row; floats have three digits."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]
    lines += ["| " + " | ".join(_cell(name, row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def filled(page: str, file: Path) -> str:
    """Return the page with the tables of a kept record, and the machine that made it."""
    record = json.loads(file.read_text("utf-8"))
    named = f"\n<!-- record: benchmarks/records/{file.name} -->\n"
    parts = {name: named + table(rows) for name, rows in record["results"].items()}
    return fill(page, parts | {"machine": f" {record['machine']}"})


def lighten(picture: Path) -> None:
    """Keep the colours that a picture needs, which takes a third of the place on disk."""
    with Image.open(picture) as found:
        light = found.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    light.save(picture, optimize=True)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float) and name.startswith(("accuracy", "error")):
        return f"{100 * value:.1f} %"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("figures", nargs="*", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--json", type=Path, help="keep the numbers here, beside those of others")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of the pictures")
    parser.add_argument("--page", action="store_true", help=f"fill the tables of {PAGE.name}")
    given = parser.parse_args()
    strange = sorted({*given.figures} - FIGURES.keys())
    if strange:
        raise SystemExit(f"no figure is {', '.join(strange)}; give some of {', '.join(FIGURES)}.")
    torch.set_num_threads(1)
    given.images.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {}
    if given.json is not None and given.json.exists():
        kept = json.loads(given.json.read_text("utf-8"))["results"]
    for name in given.figures or FIGURES:
        started = time.process_time()
        kept[name] = FIGURES[name](given.images)
        print(f"{name}: {time.process_time() - started:.0f} s\n{table(kept[name])}", flush=True)
        for picture in given.images.glob(f"{name.replace('.', '_')}*.png"):
            lighten(picture)
        keep(given.json, {each: kept[each] for each in FIGURES if each in kept})
    if given.page and given.json is not None:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), given.json), "utf-8")


if __name__ == "__main__":
    main()
