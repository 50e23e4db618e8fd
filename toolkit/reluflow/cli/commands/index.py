"""`reluflow index`: one page that links the reports of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.lock import locked
from reluflow.cli._wrote import say_written
from reluflow.report import write_index


def index(
    folder: Annotated[Path, typer.Argument(help="Folder that holds reports.")],
) -> int:
    """Write index.html, which links all reports of a folder with their headline numbers."""
    with locked(folder if folder.is_dir() else None):
        page, unread = write_index(folder)
    for sentence in unread:
        Console(stderr=True).print(sentence, highlight=False, soft_wrap=True, markup=False)
    say_written(page)
    return 0
