"""Galleries: figures drawn by functions, and a page with a table of the numbers of each."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from _support.record import fill, keep

Rows = list[dict[str, Any]]
Figures = Mapping[str, Callable[[Path], Rows]]
COLOURS, LIGHT = 160, 200_000
"""Colours of a large picture, and the bytes from which on one is large."""


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
    """Keep fewer colours of a large picture, which takes a third of the place on disk."""
    if picture.stat().st_size < LIGHT:
        return
    with Image.open(picture) as found:
        light = found.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    light.save(picture, optimize=True)


def remake(figures: Figures, description: str, page: Path, images: Path) -> None:
    """Draw the figures named on the command line, keep their numbers, and fill the page.

    Args:
        figures: by name; each draws into a folder files that begin with its name, "3_8" for "3.8".
        description: of the script.
        page: with a place for each table.
        images: folder of the pictures.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("figures", nargs="*", help=f"of {', '.join(figures)}")
    parser.add_argument("--json", type=Path, help="keep the numbers here, beside those of others")
    parser.add_argument("--images", type=Path, default=images, help="folder of the pictures")
    parser.add_argument("--page", action="store_true", help=f"fill the tables of {page.name}")
    given = parser.parse_args()
    strange = sorted({*given.figures} - figures.keys())
    if strange:
        raise SystemExit(f"no figure is {', '.join(strange)}; give some of {', '.join(figures)}.")
    given.images.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {}
    if given.json is not None and given.json.exists():
        kept = json.loads(given.json.read_text("utf-8"))["results"]
    for name in given.figures or figures:
        started = time.process_time()
        kept[name] = figures[name](given.images)
        print(f"{name}: {time.process_time() - started:.0f} s\n{table(kept[name])}", flush=True)
        stem = name.replace(".", "_")
        for picture in {given.images / f"{stem}.png", *given.images.glob(f"{stem}_*.png")}:
            if picture.exists():
                lighten(picture)
        keep(given.json, {each: kept[each] for each in figures if each in kept})
    if given.page and given.json is not None:
        page.write_text(filled(page.read_text("utf-8"), given.json), "utf-8")


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float) and name.startswith(("accuracy", "error")):
        return f"{100 * value:.1f} %"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
