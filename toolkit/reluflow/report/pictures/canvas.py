"""The basis of every picture: a titled figure without frames, saved completely or not at all."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OutputError
from reluflow.report.files.atomic import replacing
from reluflow.report.tables.format import plain, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
INK, MUTED, GRID, NOTHING = "#1d2733", "#5b6673", "#dfe4ea", "#e9edf1"
_PNG_METADATA = {"Software": "reluflow"}
_SVG_METADATA = {"Creator": "reluflow", "Date": None}


def titled(title: str, width: float, height: float) -> Figure:
    """Return an empty figure with a heading.

    Args:
        title: the heading; nothing is written where it is empty.
        width: in inches.
        height: in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    if title:
        heading = drawable(shorten(plain(title), 90))
        figure.suptitle(heading, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK)
    return figure


def calm(axes: Axes) -> None:
    """Remove the frame and the tick marks."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, colors=INK)
    axes.set_axisbelow(True)


def drawable(text: str) -> str:
    """Replace characters that the shipped font lacks by a box."""
    glyphs = _glyphs()
    return "".join(c if ord(c) in glyphs else "□" for c in text)


@cache
def _glyphs() -> frozenset[int]:
    """Return the code points that DejaVu Sans, matplotlib's own font, can draw."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG or SVG, by the suffix of `path`, completely or not at all.

    The same figure gives the same bytes.

    Args:
        figure: what to write.
        path: ends with .png or .svg, in a folder that exists.

    Returns:
        The path.

    Raises:
        OutputError: another suffix, or the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    target = Path(path)
    kind = target.suffix.lower()
    if kind not in (".png", ".svg"):
        raise OutputError(
            f"path {str(target)!r} ends with {kind or 'no suffix'}, but pictures are written as "
            ".png or .svg; choose one of these."
        )
    _plain_texts(figure)
    with replacing(target) as partial, rc_context({"svg.hashsalt": "reluflow"}):
        canvas: Any
        if kind == ".png":
            canvas = FigureCanvasAgg(figure)
            canvas.print_png(partial, metadata=_PNG_METADATA)
        else:
            canvas = FigureCanvasSVG(figure)
            canvas.print_svg(partial, metadata=_SVG_METADATA)
    return target


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as a picture, `(height, width, 3)` red, green and blue, 0 to 255."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    _plain_texts(figure)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[:, :, :-1]  # without how opaque they are


def _plain_texts(figure: Figure) -> None:
    """Let all texts be as they are, in the font that comes with matplotlib."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_fontfamily("DejaVu Sans")
