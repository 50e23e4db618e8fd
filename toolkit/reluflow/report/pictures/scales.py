"""Axes of rates and of training time: edges of cells, ticks and their labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluflow.report.pictures.canvas import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_PLAIN = range(-3, 4)
_TICKS = 6
_LONG = 10_000
"""Steps from which on "12k" is shorter than the number."""
_ROUNDING = 1e-9
"""A tick at the very end of the range belongs to it, however 10.0**k was rounded."""


def edges(centres: ArrayLike) -> NDArray[np.float64]:
    """Return the borders of cells around points: midway between neighbours.

    Args:
        centres: `(n,)` increasing, at least one.

    Returns:
        `(n + 1,)`; the outer cells are as wide as their inner halves suggest.

    Example:
        >>> edges([0.0, 1.0, 3.0]).tolist()
        [-0.5, 0.5, 2.0, 4.0]
    """
    x = np.asarray(centres, np.float64)
    if len(x) == 1:
        return np.array([x[0] - 0.5, x[0] + 0.5])
    middle = (x[1:] + x[:-1]) / 2
    return np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])


def log_edges(steps: ArrayLike) -> NDArray[np.float64]:
    """Return the borders of cells around steps on an axis that is logarithmic from 1 on.

    Args:
        steps: `(n,)` increasing, from 0 on.

    Returns:
        `(n + 1,)` from 0 on.

    Example:
        >>> log_edges([0, 1, 10, 100]).round(2).tolist()
        [0.0, 0.5, 3.16, 31.62, 316.23]
    """
    at = np.asarray(steps, np.float64)
    borders = edges(np.where(at < 1, at, 1 + np.log10(np.maximum(at, 1))))
    return np.where(borders < 1, np.maximum(borders, 0), 10 ** (np.maximum(borders, 1) - 1))


def power(value: float) -> str:
    """Return a power of ten as people write it; nothing for values between two of them.

    Example:
        >>> power(1e-4), power(0.1), power(1.0), power(2.0)
        ('10⁻⁴', '0.1', '1', '')
    """
    if not value > 0:
        return ""
    exponent = round(math.log10(value))
    if not math.isclose(value, 10.0**exponent, rel_tol=1e-6):
        return ""
    if exponent in _PLAIN:
        return f"{10.0**exponent:g}"
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def thousands(value: float, _: int | None = None) -> str:
    """Return a step number in few characters.

    Example:
        >>> thousands(500), thousands(12_000), thousands(0.5)
        ('500', '12k', '0.5')
    """
    if abs(value) >= _LONG and value % 100 == 0:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def rate_axis(axes: Axes, low: float, high: float) -> None:
    """Give `axes` a logarithmic y axis with at most a few powers of ten."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, math.ceil((last - first) / _TICKS))
    ticks = [10.0**k for k in range(first, last + 1) if k % stride == 0]
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    shown = [t for t in ticks if low * (1 - _ROUNDING) <= t <= high * (1 + _ROUNDING)]
    axes.set_yticks(shown, [power(t) for t in shown])
    axes.set_yticks([], minor=True)


def time_axis(axes: Axes, label: str) -> None:
    """Label the x axis with training time."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.set_xlabel(label, fontsize=9, color=INK)


def log_time_axis(axes: Axes, label: str) -> None:
    """Label the x axis with training time, logarithmic from step 1 on."""
    last = axes.get_xlim()[1]
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(0, last)
    ticks = [0, *(10**k for k in range(math.floor(math.log10(max(1.0, last))) + 1))]
    axes.set_xticks(ticks, [thousands(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(label, fontsize=9, color=INK)
