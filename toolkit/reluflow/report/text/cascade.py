"""A measured cascade as a table for terminals."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.attention import CascadePoint, CascadeReport
from reluflow.report.tables.format import MISSING, count, decimal, percent, plural
from reluflow.report.text.sentences import say

_COLUMNS = ("goes on", "threshold", "shift-adds", "ms", "speed")
_UNSURE = {
    "entropy": "entropy in bits",
    "margin": "distance of the two largest probabilities, taken from 1,",
    "ratio": "ratio of the two largest probabilities",
    "disagreement": "disagreement of two draws",
}


def print_cascade(result: CascadeReport, console: Console) -> None:
    """Print both passes alone and the cascade at each coverage.

    Args:
        result: of `measure_cascade`.
        console: where to print.

    Example:
        >>> import io
        >>> from reluflow.attention import CascadeOptions, measure_cascade
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> images = open_data("models/fashion_mnist_test_2000.npz", psb.inputs[:1], limit=20)
        >>> options = CascadeOptions((1, 16), coverages=(0.1,))
        >>> text = io.StringIO()
        >>> print_cascade(measure_cascade(psb, psb, images, options=options), Console(file=text))
        >>> "agreement with pass 2" in text.getvalue(), "10.0 %" in text.getvalue()
        (True, True)
    """
    title = f"{result.metric} of a cascade on {plural(result.n_inputs, 'input')}"
    table = Table(title=Text(title), title_justify="left")
    for column in ("pass", result.metric.partition(" ")[0], *_COLUMNS):
        table.add_column(Text(column), justify="right", no_wrap=True)
    for number, each in enumerate((result.coarse, result.fine), 1):
        table.add_row(
            f"{number}: {each.name}",
            percent(each.value, 2),
            "",
            "",
            _ratio(each.shift_adds, result.fine.shift_adds),
            decimal(each.ms, 3),
            decimal(result.fine.ms / each.ms),
        )
    for point in result.points:
        table.add_row(*_cells(result, point))
    console.print(table)
    say(_sentences(result), console)


def _cells(result: CascadeReport, point: CascadePoint) -> tuple[str, ...]:
    return (
        "cascade",
        percent(point.value, 2),
        percent(point.coverage),
        decimal(point.threshold, 3) if math.isfinite(point.threshold) else MISSING,
        _ratio(point.shift_adds, result.fine.shift_adds),
        decimal(point.ms, 3),
        decimal(result.speed(point)),
    )


def _ratio(some: float | None, all_: int | None) -> str:
    return MISSING if some is None or not all_ else decimal(some / all_)


def _sentences(result: CascadeReport) -> list[str]:
    what = "probabilities" if result.probabilities else "the softmax of its scores"
    adds = result.fine.shift_adds
    found = [
        f"an input goes on where the {_UNSURE[result.measure]} of pass 1, by {what} "
        f"{result.output!r}, is above the threshold",
        "shift-adds are counted, as a share of pass 2's"
        + (f" {count(adds)}" if adds else "")
        + "; ms for one input are measured, and speed is that over pass 2's: one does not tell the "
        "other",
    ]
    if result.float_value is not None:
        found.append(f"float32: {percent(result.float_value, 2)}")
    if result.chosen is not None:
        found.append(result.chosen.sentence())
    return [*found, *result.notes]
