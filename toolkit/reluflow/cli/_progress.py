"""A progress bar on stderr for everything longer than a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

STAGES = (
    "analysing",
    "cutting the window",
    "running the grid",
    "comparing",
    "reading patterns",
    "measuring",
    "pass 1",
    "pass 2",
    "dense pass 2",
    "float32",
)


@contextmanager
def progress_bar(quiet: bool = False) -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield progress(stage, done, total); any other stage text is printed as a line."""
    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("loading", total=None)

        def update(stage: str, done: int, total: int | None) -> None:
            if stage in STAGES:
                bar.update(task, description=stage, completed=done, total=total)
            else:
                console.print(stage, highlight=False)

        yield update
