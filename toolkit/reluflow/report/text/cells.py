"""The cells of a plane, as a table in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.cells import CellsReport, CellsSeries
from reluflow.report.tables.format import count, plain, plural
from reluflow.report.text.sentences import say


def print_cells(report: CellsReport, console: Console) -> None:
    """Print how many cells a window has, of each site and of all together.

    Args:
        report: of `reluflow.find_cells`.
        console: where to print.

    Example:
        >>> import io
        >>> from reluflow.cells import exact_cells, random_plane, sum_up_exact
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> found = sum_up_exact(exact_cells(load("models/fashion_resnet8.onnx"), plane))
        >>> text = io.StringIO()
        >>> print_cells(found, Console(file=text, width=80))
        >>> "no sign depends on the tolerance" in " ".join(text.getvalue().split())
        True
    """
    table = Table(title=Text(plain(_title(report))), title_justify="left")
    for at, heading in enumerate(("site", "patterns", "connected pieces")):
        table.add_column(Text(heading), justify="right" if at else "left", overflow="fold")
    for site in report.sites:
        table.add_row(Text(plain(site.name)), count(site.patterns), count(site.pieces))
    table.add_row("all together", count(report.patterns), count(report.cells), style="bold")
    console.print(table)
    say((*_facts(report), *report.notes), console)


def print_cells_series(series: CellsSeries, console: Console) -> None:
    """Print how many cells a window has at each checkpoint.

    Args:
        series: of `reluflow.animate_cells`.
        console: where to print.

    Example:
        >>> import io
        >>> from reluflow.cells import CellsSeries, exact_cells, random_plane, sum_up_exact
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> found = sum_up_exact(exact_cells(load("models/fashion_resnet8.onnx"), plane))
        >>> text = io.StringIO()
        >>> print_cells_series(CellsSeries((found, found)), Console(file=text, width=80))
        >>> "affine regions" in text.getvalue()
        True
    """
    titles, rows, sentences = series._printed()
    table = Table(title=Text(plain(series._heading())), title_justify="left")
    for at, heading in enumerate(titles):
        table.add_column(Text(heading), justify="right" if at else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(each)) for each in row))
    console.print(table)
    say(sentences, console)


def _title(report: CellsReport) -> str:
    u0, u1, v0, v1 = report.window
    return f"{report.model}: {report.plane}, u {u0:g} to {u1:g}, v {v0:g} to {v1:g}"


def _facts(report: CellsReport) -> list[str]:
    """Return what else was counted, in sentences."""
    if report.pixels is not None:
        width, height = report.pixels
        found = [
            f"A grid of {width} x {height} pixels: cells smaller than a pixel are missed, narrow "
            "ones fall apart."
        ]
        if report.nonfinite:
            found.append(f"{plural(report.nonfinite, 'value')} not finite; NaN is inactive.")
        return found
    found = [f"Exact: {plural(report.polygons or 0, 'convex polygon')}."]
    if report.affine_regions is not None:
        found.append(f"Adjacent ones of one map joined: {plural(report.affine_regions, 'region')}.")
    if report.near:
        found.append(
            f"{plural(report.near, 'value')} at corners within 1e-12 of their map's size, taken "
            "for 0: repeated units, lines through one point, or lines that nearly meet."
        )
    else:
        found.append("No value was within 1e-12 of 0: no sign depends on the tolerance.")
    if report.unmatched:
        found.append(f"{plural(report.unmatched, 'edge')} too short to find the neighbour of.")
    return found
