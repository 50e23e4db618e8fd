"""What a project of C costs, as tables in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.edge import EdgeProject
from reluflow.edge.cost import GroupCost, StepCost
from reluflow.report.tables.format import plain, plural, shorten, shorten_apart

_NAME, _OP = 12, 15
"""Characters of the shortest column of names, and of the longest of operators."""
_BETWEEN = 16
"""Characters of a line that divide five columns."""
_HEADINGS = ("operator", "output", "bytes alive", "shift-adds")


def print_edge(found: EdgeProject, console: Console) -> None:
    """Print the RAM, the flash and the shift-adds of a project, and those of its layers.

    Args:
        found: of `reluflow.edge_project`.
        console: where to print.

    Example:
        >>> import io, tempfile, reluflow
        >>> text = io.StringIO()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = reluflow.edge_project(
        ...         "models/fashion_convnet8.onnx", f"{folder}/net", limit=8,
        ...         calibration="models/fashion_mnist_test_2000.npz")
        >>> print_edge(made, Console(file=text, width=120))
        >>> "RAM" in text.getvalue(), "shift-adds" in text.getvalue()
        (True, True)
    """
    cost = found.cost
    table = Table(title=Text(f"{found.name}: layers"), title_justify="left")
    table.add_column(Text("layer"), overflow="ellipsis", no_wrap=True)
    table.add_column(Text(_HEADINGS[0]), overflow="ellipsis", no_wrap=True)
    for heading in _HEADINGS[1:]:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    rows = [_row(step) for step in cost.steps]
    beside = sum(max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True))
    room = max(_NAME, console.width - beside - _BETWEEN)
    names = shorten_apart([plain(step.name) for step in cost.steps], room)
    for name, row in zip(names, rows, strict=True):
        table.add_row(*map(Text, (name, *row)))
    console.print(table)
    for sentence in _sentences(found):
        console.print(Text.assemble(("- ", "cyan"), sentence), soft_wrap=True)


def _row(step: StepCost) -> tuple[str, str, str, str]:
    """Return what the table tells of a layer beside its name."""
    shape = "x".join(map(str, step.shape[1:])) or "1"
    adds = f"{step.shift_adds:,}" if step.shift_adds else ""
    return shorten(plain(step.op), _OP), shape, f"{step.alive_bytes:,}", adds


def _sentences(found: EdgeProject) -> list[str]:
    cost = found.cost
    parts = ", ".join(f"{what} {size:,}" for what, size in cost.flash.items())
    draws = plural(cost.samples, "sample") if cost.samples else "nearest weights (64 samples)"
    code = (
        f"code {cost.code_bytes:,}, compiled for {found.target}"
        if cost.code_bytes is not None
        else f"code not measured: no compiler for {found.target}"
    )
    if found.target == "host" and cost.code_bytes is None:
        code = "code not measured: give a target"
    whole = cost.flash_bytes
    total = f"{whole:,}" if whole is not None else f"{cost.constants_bytes:,} and the code"
    products = "shifts and additions alone" if found.strict else "multiplications of integers"
    return [
        "Bytes alive: of all tensors that are in memory while a layer runs.",
        f"RAM: {cost.ram_bytes:,} bytes (tensors {cost.arena_bytes:,}, ends {cost.words_bytes:,}, "
        f"drawn weights {cost.drawn_bytes:,}, copies {cost.copy_bytes:,}, notes on rows "
        f"{cost.held_bytes:,}) and a stack of at most {cost.stack_bytes:,}.",
        *map(_group_sentence, cost.groups),
        f"Flash: {total} bytes ({parts}, {code}).",
        f"Shift-adds per inference: {cost.shift_adds:,} at {draws}; kernels use {products}.",
        *_cascade_sentences(found),
    ]


def _cascade_sentences(found: EdgeProject) -> list[str]:
    cascade = found.cascade
    if cascade is None:
        return []
    first, second = cascade.samples
    whole = found.program.shift_adds(second)
    return [
        f"Cascade {first}/{second}: of {cascade.inputs:,} inputs {cascade.stops:.1%} end after "
        f"{plural(first, 'sample')}, {cascade.differs:.2%} with another class than at {second}; "
        f"{cascade.shift_adds(found.program):,.0f} shift-adds on average, {whole:,} at {second}."
    ]


def _group_sentence(group: GroupCost) -> str:
    kept = f", and {group.kept_bytes:,} bytes of weights stay drawn" if group.kept_bytes else ""
    return (
        f"A few rows at a time: {group.steps} layers from {group.first!r} to {group.last!r}, "
        f"{plural(group.rows, 'row')} of the first in each of {group.rounds} rounds. No shift-add "
        f"is done twice; {group.redrawn:,} weights are drawn again and {group.moved_bytes:,} bytes "
        f"move{kept}."
    )
