"""Draws the record of the real networks: closeness to float against time, one panel per network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from itertools import count
from typing import Any

Row = Mapping[str, Any]

WIDTH, HEIGHT = 292, 236
COLUMNS = 3
LINE = 20
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 46, 36  # of a panel's frame within the panel
TICKS = (0.0, 0.5, 0.9, 0.99, 0.999)
MARKS = 5
MANY_SAMPLES = 16
# Okabe and Ito's colours, told apart with any colour vision.
SHIFTS = ("#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#332288", "#117733")
INTEGERS = "#d55e00"
SHAPES = ("square", "diamond", "triangle")
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b2430}.soft{fill:#566273;font-size:12px}"
    ".name{font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}"
    ".frame{fill:#fbfcfe;stroke:#9eb3c8}.grid{stroke:#dde5ed}.float{stroke:#566273;"
    "stroke-width:1.5;stroke-dasharray:5 4}"
)


def draw(networks: Mapping[str, Row], threads: int = 1) -> str:
    """Return the picture as SVG.

    Args:
        networks: name -> record of `measure_network`.
        threads: whose times are drawn.
    """
    shown = [row for row in networks.values() if str(threads) in row["times"]]
    forms = _forms(shown)
    width = COLUMNS * WIDTH + 8
    legend, head = _legend(forms, width)
    height = head + -(-len(shown) // COLUMNS) * HEIGHT + 8
    title = "Closeness to the float network against time"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{title}</title><style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="6" fill="#fff"/>',
        *legend,
    ]
    for i, row in enumerate(shown):
        left, top = 4 + i % COLUMNS * WIDTH, head + i // COLUMNS * HEIGHT
        parts += [f'<g transform="translate({left},{top})">', *_panel(row, forms, threads), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _forms(rows: list[Row]) -> dict[str, tuple[str, str, str]]:
    """Return title, colour and shape of each form that some network has."""
    found: dict[str, tuple[str, str, str]] = {}
    shifts, integers = count(), count()
    for row in rows:
        for name, form in row["variants"].items():
            if name in found:
                continue
            if form["family"] == "int8":
                shape = SHAPES[next(integers) % len(SHAPES)]
                found[name] = (form["title"], INTEGERS, shape)
            else:
                found[name] = (form["title"], SHIFTS[next(shifts) % len(SHIFTS)], "circle")
    return found


NOTES = (
    "Circles: hollow 4 samples, filled 16. Across: ms for one input, 1 thread; dashed: float.",
    "Up: closer to float, in %, on an axis that widens towards 100.",
)


def _legend(forms: Mapping[str, tuple[str, str, str]], width: int) -> tuple[list[str], int]:
    """Return the lines that say what marks and axes mean, and where they end."""
    parts, at, line = [], 16.0, LINE
    for title, colour, shape in forms.values():
        needed = 32 + 7.8 * len(title)
        if at + needed > width:
            at, line = 16.0, line + LINE
        parts.append(_mark(shape, at, line - 4, colour, filled=True))
        parts.append(f'<text x="{at + 11:.0f}" y="{line}">{escape(title)}</text>')
        at += needed
    for note in NOTES:
        line += LINE
        parts.append(f'<text class="soft" x="11" y="{line}">{escape(note)}</text>')
    return parts, line + LINE // 2


def _panel(row: Row, forms: Mapping[str, tuple[str, str, str]], threads: int) -> Iterator[str]:
    times = row["times"][str(threads)]["forms"]
    first = row["measures"][0]
    longest = 1.12 * max(form["median_ms"] for form in times.values())
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(ms: float) -> float:
        return LEFT + (right - LEFT) * ms / longest

    def up(share: float) -> float:
        return bottom - (bottom - TOP - 6) * height_of(share)

    yield f'<text class="name" x="{LEFT}" y="20">{escape(row["title"])}</text>'
    yield f'<text class="soft" x="{LEFT}" y="37">{escape(row["what"])}</text>'
    yield (
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}"/>'
    )
    for tick in TICKS:
        y = up(tick)
        label = "100" if tick == TICKS[-1] else f"{100 * tick:.0f}"
        yield f'<line class="grid" x1="{LEFT + 1}" x2="{right - 1}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="soft end" x="{LEFT - 6}" y="{y + 4:.1f}">{label}</text>'
    for ms in nice_ticks(longest):
        yield f'<text class="soft mid" x="{across(ms):.1f}" y="{bottom + 17}">{ms:g}</text>'
    x = across(times["float"]["median_ms"])
    yield f'<line class="float" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
    for name, (_, colour, shape) in forms.items():
        places = [
            (across(times[label]["median_ms"]), up(share), samples)
            for label, samples, share in points_of(name, row["variants"].get(name, {}), first)
            if label in times
        ]
        if len(places) > 1:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
            yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        for x, y, samples in places:
            yield _mark(shape, x, y, colour, filled=samples in (0, MANY_SAMPLES))


def points_of(name: str, form: Row, measure: str) -> Iterator[tuple[str, int, float]]:
    """Give label of the time, number of samples and closeness of a form's points."""
    points = form.get("points", ())
    for point in points:
        samples = point["samples"]
        if len(points) > 1 and samples == 0:
            continue  # nearest mode runs as fast as many samples
        label = name if len(points) == 1 else f"{name}, {samples}"
        yield label, samples, point["measures"][measure]["mean"] or 0.0


def height_of(share: float) -> float:
    """Return where a closeness stands, from 0 to 1: the logarithm of what is missing to 100 %."""
    missing = min(1.0, max(1 - TICKS[-1], 1 - share))
    return math.log10(missing) / math.log10(1 - TICKS[-1])


def nice_ticks(longest: float) -> list[float]:
    """Return round numbers from 0 to a value, up to six."""
    step = 10.0 ** math.floor(math.log10(longest / MARKS))
    step *= next(factor for factor in (1, 2, 5, 10) if longest / (step * factor) <= MARKS)
    return [i * step for i in range(int(longest / step) + 1)]


def _mark(shape: str, x: float, y: float, colour: str, *, filled: bool) -> str:
    fill = colour if filled else "#fff"
    ink = f'fill="{fill}" stroke="{colour}" stroke-width="1.5"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" {ink}/>'
    corners = {
        "square": ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        "diamond": ((0, -6), (6, 0), (0, 6), (-6, 0)),
        "triangle": ((0, -6), (5.5, 4), (-5.5, 4)),
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" {ink}/>'
