"""`reluflow demo`: the main job on the shipped model and images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api import analyze as run
from reluflow.cli._progress import progress_bar
from reluflow.errors import ModelError
from reluflow.report import print_table

MODEL = "fashion_resnet8.onnx"
IMAGES = "fashion_mnist_test_2000.npz"


def demo(
    models: Annotated[
        Path, typer.Option("--models", help="Folder with the shipped model and images.")
    ] = Path("models"),
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory for the report.")] = Path(
        "demo-report"
    ),
) -> int:
    """Analyse the shipped FashionMNIST network on 2,000 test images."""
    missing = [name for name in (MODEL, IMAGES) if not (models / name).is_file()]
    if missing:
        raise ModelError(
            f"--models is {str(models)!r}, which lacks {' and '.join(missing)}; "
            "run the demo in the root of the repository, or name its models folder."
        )
    with progress_bar() as progress:
        interrupted = out.with_name(f"{out.name}.partial").exists()
        report = run(models / MODEL, models / IMAGES, out, resume=interrupted, progress=progress)
    console = Console()
    print_table(report, console)
    console.print(
        f"Open {(out / 'report.html').resolve().as_uri()}", highlight=False, soft_wrap=True
    )
    return 0
