"""`reluflow index`: one page that links the reports of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.pages import write_index
from reluflow.cli._wrote import say_written


def index(
    folder: Annotated[Path, typer.Argument(help="Folder that holds reports.")],
) -> int:
    """Write index.html, which links all reports of a folder with their headline numbers."""
    page, unread = write_index(folder)
    for sentence in unread:
        Console(stderr=True).print(sentence, highlight=False, soft_wrap=True, markup=False)
    say_written(page)
    return 0
