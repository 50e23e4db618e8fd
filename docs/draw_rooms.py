"""Draws docs/images/rooms.svg: the rooms, their floors, and who may call whom.

    python docs/draw_rooms.py

`tests/docs/test_architecture_page.py` holds the lists to those that the imports are tested with.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

ROOMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "errors": ("sentences that say what to do", ()),
    "files": ("written whole or not at all", ()),
    "progress": ("how long-running work reports progress", ()),
    "native": ("finds the native library", ()),
    "frames": ("results as tables and frames", ()),
    "data": ("inputs, batch by batch", ("sources", "formats", "sets")),
    "psb": ("shift-adds in numpy, the oracle", ("fixed",)),
    "graph": (
        "the only room that knows ONNX",
        (
            *("proto", "view", "sites/forms", "sites", "rewrite", "rewrite/opset"),
            *(
                "rewrite/windows",
                "slim",
                "spatial",
                "taps",
                "psb/forms",
                "psb",
                "psb/chain",
                "psb/chain/wide",
            ),
            *("psb/variants", "psb/standard", "tuning"),
        ),
    ),
    "patterns": ("hash, count, measure", ("kernels", "tables")),
    "sessions": ("the only room that knows ONNX Runtime", ()),
    "installation": ("what is here, and what is missing", ()),
    "temperature": ("distance, controller of the rate", ("crossing", "steps")),
    "monitoring": ("what is recorded of a training run", ()),
    "analysis": ("batches in, results out", ("run", "results")),
    "evaluation": (
        "accuracy against precision",
        ("answers", "proof", "formats", "widths", "budget", "timing", "tuning"),
    ),
    "attention": (
        "fine only where unsure",
        ("maps", "regional", "tiles", "video", "attend", "table"),
    ),
    "cells": ("where a pattern stays the same", ("kernels", "lowering")),
    "folding": ("activations back in the space of inputs", ()),
    "slimming": ("units that data do not need", ()),
    "drift": ("patterns that known data do not show", ()),
    "edge": ("C for microcontrollers", ("lowering", "emit")),
    "scale": ("one analysis by many workers", ()),
    "report": ("what people see", ("files", "tables", "text", "pictures", "pages")),
    "_api": ("the Python functions", ("slimming",)),
    "cli": ("the command line", ("commands",)),
}
BRIDGES = (
    ("reluflow_jax", ("sites", "training")),
    ("reluflow_keras", ()),
    ("reluflow_sklearn", ()),
    (
        "reluflow_torch",
        (
            "sites/device",
            "sites",
            "sites/hooked",
            "training/state",
            "training",
            "monitoring",
            "models",
            "networks",
            "psb",
            "zoo",
            "layers",
        ),
    ),
)
NATIVE = (
    "runtime/src",
    (
        *("base", "counts", "host", "spec", "kernels", "hash", "weights", "grid", "bytes"),
        *("fixed", "fixed16", "inputs", "sums", "ops"),
    ),
)

WIDTH, ROW, GAP, LEFT = 1160, 34, 8, 24
LINE = ROW - 6
"""From one line of floors to the next."""
FLOORS_AT = 398
HEAD = 44
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1b2430}.soft{fill:#566273;font-size:12.5px}"
    ".room{fill:#eef3f8;stroke:#9eb3c8}.other{fill:#f8f1e6;stroke:#d3b98d}"
    ".floor{fill:#fff;stroke:#b9c6d3}.name{font-weight:600}"
)


def lines(floors: tuple[str, ...]) -> list[list[tuple[str, float, float]]]:
    """Return the floors that stand in each line, with where they begin and their widths."""
    found: list[list[tuple[str, float, float]]] = [[]]
    x: float = FLOORS_AT
    for floor in floors:
        width = 20 + 7.6 * len(floor)
        if x + width > WIDTH - LEFT - GAP:
            found.append([])
            x = FLOORS_AT
        found[-1].append((floor, x, width))
        x += width + GAP
    return found


def row(
    top: int, name: str, what: str, floors: tuple[str, ...], kind: str
) -> tuple[int, list[str]]:
    """Return the height and one room as a bar with its floors in it, the lowest first."""
    placed = lines(floors)
    height = ROW + LINE * (len(placed) - 1)
    parts = [
        f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{WIDTH - 2 * LEFT}" height="{height}" '
        'rx="5"/>',
        f'<text class="name" x="{LEFT + 12}" y="{top + 22}">{escape(name)}</text>',
        f'<text class="soft" x="{LEFT + 152}" y="{top + 22}">{escape(what)}</text>',
    ]
    for number, line in enumerate(placed):
        y = top + LINE * number
        for floor, x, width in line:
            parts.append(
                f'<rect class="floor" x="{x:.0f}" y="{y + 5}" width="{width:.0f}" '
                f'height="{ROW - 10}" rx="4"/>'
                f'<text class="soft" x="{x + 10:.0f}" y="{y + 21}">{escape(floor)}</text>'
            )
    return height, parts


def draw() -> str:
    """Return the picture as SVG."""
    top = HEAD
    parts = [
        f'<text class="soft" x="{LEFT}" y="26">A room imports rooms above it; in a room, a folder '
        "imports those before it; files beside the folders come last.</text>"
    ]
    for name, (what, floors) in ROOMS.items():
        height, drawn = row(top, name, what, floors, "room")
        parts += drawn
        top += height + GAP
    top += GAP
    for (name, floors), what in (
        *((bridge, "imports the toolkit") for bridge in BRIDGES),
        (NATIVE, "C++, needs no Python"),
    ):
        height, drawn = row(top, name, what, floors, "other")
        parts += drawn
        top += height + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 8}" role="img">'
        f"<title>The rooms of reluflow and their floors</title><style>{STYLE}</style>"
        f'<rect width="{WIDTH}" height="{top + 8}" fill="#fff"/>'
        + "\n".join(["", *parts])
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    Path(__file__).with_name("images").joinpath("rooms.svg").write_text(draw(), encoding="utf-8")
