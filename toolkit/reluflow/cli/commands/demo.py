"""`reluflow demo`: the main job on the shipped model and images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import reluflow
from reluflow._api.patterns import analyze as run
from reluflow.analysis import holds_checkpoint
from reluflow.cli._progress import progress_bar
from reluflow.errors import ModelError
from reluflow.report import print_table

MODEL = "fashion_resnet8.onnx"
IMAGES = "fashion_mnist_test_2000.npz"


def demo(
    models: Annotated[
        Path | None,
        typer.Option(
            "--models", help="Folder with the model and the images, if not the shipped ones."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path(
        "demo-report"
    ),
) -> int:
    """Analyse the shipped FashionMNIST network on 2,000 test images."""
    models = models or shipped_models()
    missing = [name for name in (MODEL, IMAGES) if not (models / name).is_file()]
    if missing:
        raise ModelError(
            f"--models is {str(models)!r}, which lacks {' and '.join(missing)}; "
            "run the demo in the root of the repository, or name its models folder."
        )
    with progress_bar() as progress:
        interrupted = holds_checkpoint(out.with_name(f"{out.name}.partial"))
        report = run(models / MODEL, models / IMAGES, out, resume=interrupted, progress=progress)
    console = Console()
    print_table(report, console)
    console.print(
        f"Open {(out / 'report.html').resolve().as_uri()}", highlight=False, soft_wrap=True
    )
    return 0


def shipped_models() -> Path:
    """Return the folder of the installed package that holds the model and the images.

    A checkout that runs without installation has them in its own folder `models`.
    """
    installed = Path(reluflow.__file__).with_name("models")
    return installed if installed.is_dir() else Path("models")
