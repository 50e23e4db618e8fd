"""The profile of a converted model as a table for terminals."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.evaluation import NodeProfile, PsbProfile
from reluflow.report.tables.format import decimal, percent, plain, plural, shorten

_SHOWN = 40
_NAME, _OPS, _NUMBER = 22, 12, 6
_BESIDE = _OPS + 4 * _NUMBER + 19
"""Characters of a line that are not the name: the other columns, and what divides them."""
_MS_DIGITS = 3
"""The profiler counts microseconds."""


def print_psb_profile(found: PsbProfile, console: Console) -> None:
    """Print the operators, the slowest first, beside those of the float model.

    Args:
        found: of `profile_psb`.
        console: where to print.

    Example:
        >>> import io, reluflow
        >>> made = reluflow.convert("models/fashion_resnet8.onnx", check=False)
        >>> found = reluflow.profile_psb(
        ...     made.result.model, options=reluflow.ProfileOptions(runs=2, threads=1))
        >>> text = io.StringIO()
        >>> print_psb_profile(found, Console(file=text, width=100))
        >>> "PsbConv" in text.getvalue(), "ratio" in text.getvalue()
        (True, True)
    """
    name = plain(Path(found.path).name) if found.path else "the model"
    draws = f"at {plural(found.samples, 'sample')}" if found.samples else "in nearest mode"
    table = Table(title=Text(f"{name} {draws}: time per operator"), title_justify="left")
    table.add_column(Text("node"), overflow="ellipsis", no_wrap=True)
    table.add_column(Text("operator"), overflow="ellipsis", no_wrap=True)
    for column in ("ms", "share", "float", "ratio"):
        table.add_column(Text(column), justify="right", no_wrap=True, min_width=_NUMBER)
    room = max(_NAME, console.width - _BESIDE)
    for row in found.nodes[:_SHOWN]:
        table.add_row(*_cells(row, room))
    table.add_section()
    whole = (_ms(found.ms), percent(1.0), _ms(found.float_ms), decimal(found.ratio))
    table.add_row(f"all {len(found.nodes)}", "", *whole)
    console.print(table)
    for sentence in _sentences(found):
        console.print(Text.assemble(("- ", "cyan"), sentence), soft_wrap=True)


def _cells(row: NodeProfile, room: int) -> tuple[str, ...]:
    share = percent(row.share) if row.ms is not None else ""
    ratio = "" if row.ratio is None else decimal(row.ratio)
    return (
        shorten(plain(row.name), room),
        shorten(plain(row.op or f"float {row.float_op}"), _OPS),
        _ms(row.ms),
        share,
        _ms(row.float_ms),
        ratio,
    )


def _ms(value: float | None) -> str:
    return "" if value is None else decimal(value, _MS_DIGITS)


def _sentences(found: PsbProfile) -> list[str]:
    shapes = ", ".join(f"{plain(k)} {list(shape)}" for k, shape in found.inputs.items())
    source = {
        "given": "the given float model",
        "rebuilt": "float operators with the stored weights; give the float model to compare "
        "with it",
    }[found.float_source]
    many = len(found.nodes) - _SHOWN
    more = [f"{plural(many, 'faster operator')} not shown; the JSON lists all"] if many > 0 else []
    return [
        *more,
        "ms of this model and of the float model, ratio = float / this",
        f"medians of {plural(found.runs, 'run')} on {plural(found.threads, 'thread')}, {shapes}",
        f"a whole run takes {_ms(found.run_ms)} ms, the float model's {_ms(found.float_run_ms)} "
        f"ms; {percent(found.psb_share)} of the time of operators is in PSB operators",
        f"compared with {source}",
    ]
