"""`reluflow view`: one page of past reports, to sort and to read side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.pages import write_index
from reluflow.cli._wrote import say_written


def view(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders that hold reports.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Page to write; index.html in the first folder by default."
        ),
    ] = None,
) -> int:
    """Write one page of all reports below folders: sortable, with measures side by side."""
    page, unread = write_index(folders, out)
    for sentence in unread:
        Console(stderr=True).print(sentence, highlight=False, soft_wrap=True, markup=False)
    say_written(page)
    return 0
