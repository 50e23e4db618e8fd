"""Two passes over a picture, as tables in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.attention import Attended
from reluflow.report.tables import attend_rows as rows
from reluflow.report.tables.format import percent
from reluflow.report.text.sentences import say


def print_attended(found: Attended, console: Console) -> None:
    """Print what two passes answer and cost, and what pass 2 computed of each node.

    Args:
        found: of `attend_picture`.
        console: where to print.

    Example:
        >>> import io
        >>> from reluflow.attention import attend_picture
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> image = {"image": np.load("models/fashion_mnist_test_2000.npz")["image"][:1]}
        >>> text = io.StringIO()
        >>> print_attended(attend_picture(psb, image), Console(file=text, width=120))
        >>> "theoretical shift-adds" in text.getvalue(), "measured ms" in text.getvalue()
        (True, True)
    """
    first, second = found.samples
    title = f"Answers at {first}/{second} samples"
    console.print(_table(title, *rows.answer_table(found)))
    console.print(_table("Costs", rows.COST_HEADINGS, rows.cost_rows(found)))
    console.print(_table("Computed by pass 2", *rows.node_table(found, brief=True)))
    if found.layers:
        title = f"Mean errors against {found.reference}"
        console.print(_table(title, rows.ERROR_HEADINGS, rows.error_rows(found)))
    say(
        (
            found.source,
            f"Region: {percent(found.coverage)} of its pixels, {rows.chosen(found)}.",
            *found.notes,
        ),
        console,
    )


def _table(title: str, headings: tuple[str, ...], cells: rows.Rows) -> Table:
    table = Table(title=Text(title), title_justify="left")
    for at, heading in enumerate(headings):
        table.add_column(Text(heading), justify="left" if at == 0 else "right", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    return table
