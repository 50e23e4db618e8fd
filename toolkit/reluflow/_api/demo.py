"""The main task on the model and the images that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

from reluflow._api.patterns import analyze, working_folder
from reluflow.analysis import PatternReport, holds_checkpoint
from reluflow.errors import ModelError
from reluflow.progress import Progress

MODEL = "fashion_resnet8.onnx"
IMAGES = "fashion_mnist_test_2000.npz"


def demo(
    out: str | os.PathLike[str] | None = None,
    *,
    models: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> PatternReport:
    """Analyse the shipped FashionMNIST network on 2,000 test images.

    Args:
        out: directory for the report; None writes nothing. An interrupted demo continues where it
            stopped.
        models: folder with the model and the images; the shipped ones by default.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        The measures of every site.

    Raises:
        ModelError: the model or the images are not in the folder.
        OutputError: the report cannot be written.

    Example:
        >>> import reluflow
        >>> report = reluflow.demo()
        >>> report.n_inputs, len(report.sites)
        (2000, 7)
    """
    folder = shipped_models() if models is None else Path(models)
    missing = [name for name in (MODEL, IMAGES) if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"models is {str(folder)!r}, which lacks {' and '.join(missing)}; "
            "run the demo in the root of the repository, or name its models folder."
        )
    interrupted = out is not None and holds_checkpoint(working_folder(Path(out)))
    return analyze(folder / MODEL, folder / IMAGES, out, resume=interrupted, progress=progress)


def shipped_models() -> Path:
    """Return the folder of the installed package that holds the model and the images.

    A checkout that runs without installation has them in its own folder `models`.
    """
    installed = Path(__file__).parents[1] / "models"
    return installed if installed.is_dir() else Path("models")
