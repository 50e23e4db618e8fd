"""What the page's templates draw: bars, heatmap rows and columns of unit activity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from reluflow.analysis.results.result import SiteReport
from reluflow.report.pictures.palette import cividis, ink
from reluflow.report.tables.format import about, decimal, percent
from reluflow.report.tables.measures import Measure, activity

T = TypeVar("T")
_STOPS = 16
_LEAST = 0.8
_NOTHING = 0.01
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
_LEVELS = len(_ALPHABET) ** 2 - 1
_DIGIT_BITS = 4
_SLACK = 1.000001
"""Lets a value that is a round number but for its rounding end the axis itself."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar in a plot that is 1 wide per site and 100 high; `y` counts from the top.

    `bound` is True where the value is only a lower bound.
    """

    index: int
    y: float
    height: float
    series: int
    bound: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One bar chart: a bar per site, several series on top of each other.

    Attributes:
        title: heading.
        hint: one line that says what it shows.
        series: title and colour name of each series.
        bars: all bars.
        top: label of the upper end of the axis.
        bottom: label of the lower end.
        zero: height of the zero line above the bottom, in [0, 100].
        spread: "lowest to highest value" in words.
    """

    title: str
    hint: str
    series: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]
    top: str
    bottom: str
    zero: float
    spread: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a heatmap: background, text colour and text."""

    color: str
    ink: str
    text: str


def text_of(value: float, unit: str) -> str:
    """Return a value in readable form, by the unit of its measure."""
    if unit == "share":
        return percent(value)
    if unit == "signed":
        return f"{value * 100:+.1f} %" if math.isfinite(value) else percent(value)
    return decimal(value)


def value_text(measure: Measure[T], site: T) -> str:
    """Return a measure at a site in readable form, marked where it is an estimate."""
    return about(text_of(measure.value(site), measure.unit), measure.is_estimated(site))


def panel(
    sites: Sequence[T],
    hint: str,
    *measures: Measure[T],
    title: str = "",
    spread: str = "",
) -> Panel:
    """Return the bar chart of one measure, or of several stacked ones.

    Args:
        sites: the sites in graph order, at least one.
        hint: what it shows, one line.
        *measures: stacked outwards from zero, negative values downwards.
        title: heading; the measure's own when empty.
        spread: the values in words; lowest to highest when empty.

    Returns:
        Bars scaled to a round upper end.
    """
    rows = [[_finite(m.value(site)) for m in measures] for site in sites]
    unit = measures[0].unit
    top, bottom = _ends(
        max(sum(v for v in row if v > 0) for row in rows),
        min(sum(v for v in row if v < 0) for row in rows),
        unit,
    )
    low, high = _extremes(sites, measures)
    return Panel(
        title=title or measures[0].title,
        hint=hint,
        series=tuple((m.title, m.color_name) for m in measures),
        bars=tuple(
            bar
            for index, row in enumerate(rows)
            for bar in _stack(index, row, top, bottom, measures[0].is_bound(sites[index]))
        ),
        top=_end_label(top, unit),
        bottom=_end_label(bottom, unit),
        zero=round(-bottom * 100 / (top - bottom), 2),
        spread=spread or (low if low == high else f"{low} to {high}"),
    )


def _extremes(sites: Sequence[T], measures: Sequence[Measure[T]]) -> tuple[str, str]:
    """Return the lowest and the highest sum of the measures over the sites where all are known."""
    sums = [
        (sum(m.value(site) for m in measures), any(m.is_estimated(site) for m in measures))
        for site in sites
    ]
    known = [each for each in sums if math.isfinite(each[0])] or [(math.nan, False)]
    low, high = (
        about(text_of(value, measures[0].unit), doubt) for value, doubt in (min(known), max(known))
    )
    return low, high


def _stack(index: int, row: list[float], top: float, bottom: float, bound: bool) -> list[Bar]:
    """Return the bars of one site, positive values upwards from zero, negative ones downwards."""
    scale = 100 / (top - bottom)
    above = below = 0.0
    bars = []
    for series, value in enumerate(row):
        start = above if value > 0 else below + value
        height = max(abs(value) * scale, _LEAST)
        y = min(100 - height, 100 - (start + abs(value) - bottom) * scale)
        if value:
            bars.append(Bar(index, round(y, 2), round(height, 2), series, bound))
        above, below = above + max(value, 0.0), below + min(value, 0.0)
    return bars


def heat_row(sites: Sequence[T], measure: Measure[T]) -> list[Cell]:
    """Return one row of the heatmap: the measure at every site, coloured from 0 to 1."""
    cells = []
    for site in sites:
        value = measure.value(site)
        cells.append(Cell(cividis(value), ink(value), value_text(measure, site)))
    return cells


def activity_column(site: SiteReport) -> str:
    """Return the CSS gradient of the site's sorted unit activities, the least active below."""
    shares = sorted(activity(site)) or [0.0]
    picks = [shares[(len(shares) - 1) * i // (_STOPS - 1)] for i in range(_STOPS)]
    return f"linear-gradient(0deg,{','.join(cividis(p) for p in picks)})"


def packed_shares(shares: Sequence[float]) -> str:
    """Return shares as two characters each: 0 and 4095 for exactly 0 and 1 only.

    Example:
        >>> packed_shares([0.0, 1e-9, 1.0])
        '0001__'
    """
    codes = []
    for value in shares:
        level = 0 if value <= 0 else _LEVELS if value >= 1 else round(value * _LEVELS)
        if 0 < value < 1:
            level = min(_LEVELS - 1, max(1, level))
        codes.append("".join(_ALPHABET[digit] for digit in divmod(level, len(_ALPHABET))))
    return "".join(codes)


def packed_bits(bits: str) -> str:
    """Return a string of "0" and "1" as hexadecimal digits, four bits each.

    Example:
        >>> packed_bits("10000001" + "1")
        '818'
    """
    padded = bits + "0" * (-len(bits) % _DIGIT_BITS)
    starts = range(0, len(padded), _DIGIT_BITS)
    return "".join(f"{int(padded[i : i + _DIGIT_BITS], 2):x}" for i in starts)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _ends(highest: float, lowest: float, unit: str) -> tuple[float, float]:
    """Return round upper and lower ends of the axis; a share that fits ends at 1."""
    top, bottom = _round_up(highest), 0.0 - _round_up(-lowest)
    if unit == "share" and highest <= 1:
        top = min(top, 1.0)
    return (top if top > bottom else _NOTHING), bottom


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if value <= step * power * _SLACK
    )


def _end_label(value: float, unit: str) -> str:
    return f"{value * 100:.4g} %" if unit in ("share", "signed") else f"{value:.4g}"
