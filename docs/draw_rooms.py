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
    "data": ("inputs, batch by batch", ("sources", "formats")),
    "psb": ("shift-adds in numpy, the oracle", ()),
    "graph": (
        "the only room that knows ONNX",
        (
            *("proto", "view", "sites/forms", "sites", "rewrite", "rewrite/opset", "taps", "psb"),
            "psb/variants",
        ),
    ),
    "patterns": ("hash, count, measure", ("kernels", "tables")),
    "sessions": ("the only room that knows ONNX Runtime", ()),
    "temperature": ("distance, controller of the rate", ("steps",)),
    "monitoring": ("what is recorded of a training run", ()),
    "analysis": ("batches in, results out", ("run", "results")),
    "evaluation": ("accuracy against precision", ("answers", "proof")),
    "report": ("what people see", ("files", "tables", "text", "pictures", "pages")),
    "_api": ("the Python functions", ()),
    "cli": ("the command line", ("commands",)),
}
BRIDGE = ("reluflow_torch", ("sites", "training", "monitoring", "models", "networks"))
NATIVE = (
    "runtime/src",
    ("base", "counts", "host", "spec", "kernels", "hash", "weights", "inputs", "sums", "ops"),
)

WIDTH, ROW, GAP, LEFT = 1160, 34, 8, 24
FLOORS_AT = 386
HEAD = 44
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1b2430}.soft{fill:#566273;font-size:12.5px}"
    ".room{fill:#eef3f8;stroke:#9eb3c8}.other{fill:#f8f1e6;stroke:#d3b98d}"
    ".floor{fill:#fff;stroke:#b9c6d3}.name{font-weight:600}"
)


def row(top: int, name: str, what: str, floors: tuple[str, ...], kind: str) -> list[str]:
    """Return one room as a bar with its floors in it, the lowest on the left."""
    parts = [
        f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{WIDTH - 2 * LEFT}" height="{ROW}" '
        'rx="5"/>',
        f'<text class="name" x="{LEFT + 12}" y="{top + 22}">{escape(name)}</text>',
        f'<text class="soft" x="{LEFT + 140}" y="{top + 22}">{escape(what)}</text>',
    ]
    x: float = FLOORS_AT
    for floor in floors:
        width = 20 + 7.6 * len(floor)
        parts.append(
            f'<rect class="floor" x="{x:.0f}" y="{top + 5}" width="{width:.0f}" '
            f'height="{ROW - 10}" rx="4"/>'
            f'<text class="soft" x="{x + 10:.0f}" y="{top + 21}">{escape(floor)}</text>'
        )
        x += width + 8
    return parts


def draw() -> str:
    """Return the picture as SVG."""
    top = HEAD
    parts = [
        f'<text class="soft" x="{LEFT}" y="26">A room imports rooms above it; in a room, a folder '
        "imports those to its left; files beside the folders come last.</text>"
    ]
    for name, (what, floors) in ROOMS.items():
        parts += row(top, name, what, floors, "room")
        top += ROW + GAP
    top += GAP
    for (name, floors), what in (
        (BRIDGE, "imports the toolkit"),
        (NATIVE, "C++, needs no Python"),
    ):
        parts += row(top, name, what, floors, "other")
        top += ROW + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 8}" role="img">'
        f"<title>The rooms of reluflow and their floors</title><style>{STYLE}</style>"
        f'<rect width="{WIDTH}" height="{top + 8}" fill="#fff"/>'
        + "\n".join(["", *parts])
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    Path(__file__).with_name("images").joinpath("rooms.svg").write_text(draw(), encoding="utf-8")
