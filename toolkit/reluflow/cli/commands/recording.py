"""`reluflow recording`: the page of a recording of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reluflow._api.pages import write_recording_page
from reluflow.cli._wrote import say_written


def recording(
    folder: Annotated[
        Path, typer.Argument(help="Folder that PatternMonitor or PatternRecorder wrote.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Page to write; recording.html in the folder by default."),
    ] = None,
) -> int:
    """Write the page of a recorded training: every measure of every site over the steps."""
    page = write_recording_page(folder, out)
    say_written(page)
    return 0
