"""What slimming found and saved, as tables in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.report.tables.format import count, plain, shorten
from reluflow.report.text.sentences import say
from reluflow.slimming import SlimReport

_NAME = 24
_BESIDE = 58
"""Characters of a line that are not the name of the site."""


def print_slim(report: SlimReport, model: str, console: Console) -> None:
    """Print the units of each site, what is saved, and how far both models differ.

    Args:
        report: of `reluflow.slim`.
        model: name of the given model.
        console: where to print.

    Example:
        >>> import io, onnx.parser, reluflow
        >>> import numpy as np
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1] x) => (float[N,1] y)
        ...     <float[1,2] w = {1, -1}, float[2,1] v = {1, 1}>
        ...     { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }''')
        >>> text = io.StringIO()
        >>> report = reluflow.slim(proto, np.array([[1], [2]], np.float32))
        >>> print_slim(report, "m.onnx", Console(file=text, width=100))
        >>> "parameters" in text.getvalue()
        True
    """
    table = Table(title=Text(f"{plain(model)}: units"), title_justify="left")
    table.add_column(Text("site"), no_wrap=True)
    for heading in ("units", "off", "on", "merged", "left"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    table.add_column(Text("Relu"), no_wrap=True)
    room = max(_NAME, console.width - _BESIDE)
    for site in report.sites:
        switch = "fused" if site.fused else "gone" if site.linear else "kept"
        numbers = (site.units, len(site.off), len(site.on), len(site.merged), site.left)
        name = shorten(plain(site.site), room)
        table.add_row(name, *(f"{number:,}" for number in numbers), switch)
    console.print(table)
    saved = Table()
    for heading in ("", "before", "after", "saved"):
        saved.add_column(Text(heading), justify="right" if heading else "left", no_wrap=True)
    for each in report.savings:
        known = each.before is not None and each.after is not None and each.before > 0
        share = f"{1 - (each.after or 0) / (each.before or 1):.1%}" if known else "unknown"
        saved.add_row(each.what, count(each.before), count(each.after), share)
    console.print(saved)
    refused = [f"{each.node}: {each.reason}." for each in report.refused]
    say((*report.sentences(), *refused, *report.notes), console)
