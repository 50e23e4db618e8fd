"""The pictures of an evaluation: metric and SQNR against the number of samples."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from reluflow.evaluation import Evaluation
from reluflow.report.tables.format import plain, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WHITE = {"page": "#ffffff", "ink": "#1b2430", "soft": "#566273", "line": "#dde2e9"}
_BLACK = {"page": "#181f28", "ink": "#e4e9ef", "soft": "#9eabba", "line": "#2b3541"}
_COLORS = {
    False: ("#0072b2", "#d98f00", "#009e73", "#d55e00"),
    True: ("#3f9bd8", "#e6a52c", "#2bb58d", "#e8793a"),
}
_OUTPUTS = 4


def draw_metric(result: Evaluation, *, dark: bool) -> bytes:
    """Return a PNG of the metric against the number of samples, error bars over seeds."""
    figure, axes = _axes(result, dark)
    blue, _, green, red = _COLORS[dark]
    factor = 100 if result.share else 1
    n = [point.samples for point in result.points]
    means = [factor * point.mean for point in result.points]
    spread = [factor * point.std for point in result.points]
    axes.errorbar(n, means, yerr=spread, color=blue, marker="o", capsize=3, label="PSB")
    for value, label, color, style in (
        (result.float_value, "float32", (_BLACK if dark else _WHITE)["ink"], "--"),
        (result.int8_value, "int8", red, ":"),
        (result.nearest, "nearest", green, "-."),
    ):
        if value is not None and math.isfinite(value):
            axes.axhline(factor * value, color=color, linestyle=style, label=label)
    axes.set_ylabel(f"{result.metric} in %" if result.share else result.metric)
    return _png(figure, axes, dark)


def draw_noise(result: Evaluation, *, dark: bool) -> bytes:
    """Return a PNG of each output's SQNR, dashed of its worst channel."""
    figure, axes = _axes(result, dark)
    n = [point.samples for point in result.points]
    shown = [o.name for o in result.points[0].outputs if o.sqnr_db is not None][:_OUTPUTS]
    for name, color in zip(shown, _COLORS[dark], strict=False):
        rows = [next(o for o in p.outputs if o.name == name) for p in result.points]
        label = shorten(plain(name), 24)
        axes.plot(n, [_finite(o.sqnr_db) for o in rows], color=color, marker="o", label=label)
        if rows[0].worst_db is not None:
            worst = [_finite(o.worst_db) for o in rows]
            axes.plot(n, worst, color=color, linestyle="--", label=f"{label}, worst channel")
    axes.set_ylabel("SQNR in dB")
    return _png(figure, axes, dark)


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.nan


def _axes(result: Evaluation, dark: bool) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    colors = _BLACK if dark else _WHITE
    figure = Figure(figsize=(4.8, 3.4), dpi=160, layout="constrained", facecolor=colors["page"])
    axes: Axes = figure.subplots()
    axes.set_facecolor(colors["page"])
    n = [point.samples for point in result.points]
    axes.set_xscale("log", base=2)
    axes.set_xticks(n, [str(number) for number in n])
    axes.set_xlabel("samples a weight")
    return figure, axes


def _png(figure: Figure, axes: Axes, dark: bool) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    colors = _BLACK if dark else _WHITE
    axes.grid(color=colors["line"])
    axes.tick_params(colors=colors["soft"], which="both")
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(colors["soft"])
    for name, spine in axes.spines.items():
        spine.set_color(colors["line"])
        spine.set_visible(name in ("left", "bottom"))
    axes.legend(frameon=False, labelcolor=colors["ink"], fontsize=8.5)
    canvas: Any = FigureCanvasAgg(figure)
    stream = io.BytesIO()
    canvas.print_png(stream, metadata={"Software": "reluflow"})
    return stream.getvalue()
