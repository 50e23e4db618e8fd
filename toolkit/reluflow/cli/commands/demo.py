"""`reluflow demo`: the main job on the shipped model and images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.demo import demo as run
from reluflow.cli._progress import progress_bar
from reluflow.report import print_table


def demo(
    models: Annotated[
        Path | None,
        typer.Option(
            "--models", help="Folder with the model and the images; the shipped ones by default."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path(
        "demo-report"
    ),
) -> int:
    """Analyse the shipped FashionMNIST network on 2,000 test images."""
    with progress_bar() as progress:
        report = run(out, models=models, progress=progress)
    console = Console()
    print_table(report, console)
    console.print(
        f"Open {(out / 'report.html').resolve().as_uri()}", highlight=False, soft_wrap=True
    )
    return 0
