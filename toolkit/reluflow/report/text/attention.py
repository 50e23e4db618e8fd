"""A measured table of attention for terminals."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.attention import AttentionReport
from reluflow.report.tables.format import MISSING, decimal, percent, plural
from reluflow.report.text.sentences import say

_COLUMNS = ("region", "shift-adds", "ms", "speed")


def print_attention(result: AttentionReport, console: Console) -> None:
    """Print every number of samples on all pixels, and every pair with each way to select.

    Args:
        result: of `measure_attention`.
        console: where to print.

    Example:
        >>> import io
        >>> from reluflow.attention import AttentionOptions, measure_attention
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> images = open_data("models/fashion_mnist_test_2000.npz", psb.inputs[:1], limit=10)
        >>> options = AttentionOptions((1,), (16,), margins=(0,))
        >>> text = io.StringIO()
        >>> print_attention(measure_attention(psb, images, options=options), Console(file=text))
        >>> "psb 1/16" in text.getvalue(), "random" in text.getvalue()
        (True, True)
    """
    title = f"{result.metric} with attention on {plural(result.n_inputs, 'input')}"
    table = Table(title=Text(title), title_justify="left")
    table.add_column(Text("samples"), no_wrap=True)
    table.add_column(Text("pixels of pass 2"))  # it alone gives way in a narrow terminal
    for column in (result.metric.partition(" ")[0], *_COLUMNS):
        table.add_column(Text(column), justify="right", no_wrap=True)
    for n, each in result.passes.items():
        table.add_row(f"psb {n}", "", percent(each.value, 2), "", "", decimal(each.ms, 3), "")
    for point in result.points:
        cost = result.cost(point)
        table.add_row(
            "psb {}/{}".format(*point.samples),
            point.selection,
            percent(point.value, 2),
            percent(point.coverage),
            MISSING if cost is None else decimal(cost),
            decimal(point.ms, 3),
            decimal(result.speed(point)),
        )
    console.print(table)
    say(_sentences(result), console)


def _sentences(result: AttentionReport) -> list[str]:
    found = [
        "psb j/k is j samples everywhere, then k in the region, which is where the uncertainty is "
        "above its mean",
        "shift-adds are those counted for both passes, over those of k samples everywhere; ms for "
        "one input are measured, and speed is that of k samples everywhere over it: one does not "
        "tell the other",
        result.how[0].lower() + result.how[1:].rstrip("."),
    ]
    if result.float_value is not None:
        found.append(f"float32: {percent(result.float_value, 2)}")
    return [*found, *result.notes]
