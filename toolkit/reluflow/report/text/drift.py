"""A reference for drift, and a check against it, as tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.drift import DriftReference, DriftReport
from reluflow.report.tables.format import plain, shorten
from reluflow.report.text.sentences import say

_NAME = 24
_BESIDE = 62
"""Characters of a line that are not the name of the site."""


def print_drift_reference(reference: DriftReference, console: Console) -> None:
    """Print what a reference keeps of each site.

    Args:
        reference: of `reluflow.fit_drift`.
        console: where to print.

    Example:
        >>> import io, reluflow
        >>> images = "models/fashion_mnist_test_2000.npz"
        >>> reference = reluflow.fit_drift("models/fashion_micro.onnx", images, limit=50)
        >>> text = io.StringIO()
        >>> print_drift_reference(reference, Console(file=text, width=100))
        >>> "held-out" in text.getvalue()
        True
    """
    room = max(_NAME, console.width - _BESIDE)
    rows = [
        (
            shorten(plain(site.site), room),
            f"{site.patterns:,}",
            f"{site.kept:,}",
            f"{site.held_out:.2%}",
            "chosen" if site.chosen else "",
        )
        for site in reference.sites
    ]
    headings = ("site", "patterns", "kept", "new in held-out inputs", "")
    _print(f"{plain(reference.model)}: reference", headings, rows, console)
    say((*reference.sentences(), *reference.notes), console)


def print_drift(report: DriftReport, console: Console) -> None:
    """Print the shares of all sites and the verdict.

    Args:
        report: of `reluflow.check_drift`.
        console: where to print.

    Example:
        >>> import io, reluflow
        >>> images = "models/fashion_mnist_test_2000.npz"
        >>> model = "models/fashion_micro.onnx"
        >>> reference = reluflow.fit_drift(model, images, limit=500)
        >>> text = io.StringIO()
        >>> report = reluflow.check_drift(model, reference, images, limit=50)
        >>> print_drift(report, Console(file=text, width=100))
        >>> "Groups of 32" in text.getvalue()
        True
    """
    room = max(_NAME, console.width - _BESIDE)
    rows = [
        (
            shorten(plain(site.site), room),
            f"{site.held_out:.2%}",
            f"{site.share:.2%}",
            f"{site.low:.2%} to {site.high:.2%}",
            "score" if site.chosen else "",
        )
        for site in report.sites
    ]
    title = f"{plain(report.model)}: patterns that are not in the reference"
    headings = ("site", "held out", "here", "95 % confidence", "")
    _print(title, headings, rows, console)
    say((*report.sentences(), *report.notes), console)


def _print(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console
) -> None:
    table = Table(title=Text(title), title_justify="left")
    table.add_column(Text(headings[0]), no_wrap=True)
    for heading in headings[1:]:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
