"""Pages made from existing files: the index of a folder of reports, a recorded training run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from reluflow._api.lock import locked
from reluflow._api.outputs import keep_inputs
from reluflow.report import write_index as write_index_of
from reluflow.report import write_recording_page as write_page


def write_index(
    folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
) -> tuple[Path, tuple[str, ...]]:
    """Write one page of past reports: links to all, sortable, with measures side by side.

    Args:
        folder: holds reports, at most three folders deep; or several. No other process may be
            writing into them.
        out: the page; by default "index.html" in the first folder.

    Returns:
        The page, and a sentence for each report that could not be read.

    Raises:
        OutputError: there is no such folder, no report in them, the page cannot be written or would
            replace a part of a report, or another process writes there.

    Example:
        >>> import tempfile
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:20]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = reluflow.analyze("models/fashion_resnet8.onnx", images, f"{folder}/first")
        ...     page, unread = reluflow.write_index(folder)
        >>> page.name, unread
        ('index.html', ())
    """
    folders = [folder] if isinstance(folder, str | os.PathLike) else list(folder)
    with ExitStack() as locks:
        for each in dict.fromkeys(Path(each) for each in folders):
            locks.enter_context(locked(each if each.is_dir() else None))
        return write_index_of(folders, out)


def write_recording_page(
    folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> Path:
    """Write the page of a recorded training run: every measure of every site over the steps.

    Args:
        folder: what `PatternMonitor` or `PatternRecorder` wrote.
        out: the page to write; "recording.html" in the folder by default.

    Returns:
        The page.

    Raises:
        DataError: the folder holds no recording.
        OutputError: `out` is a part of the recording or cannot be written, or another process
            writes into the folder.

    Example:
        >>> import tempfile
        >>> import reluflow
        >>> from reluflow.patterns import PatternRecorder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with PatternRecorder(folder) as recorder:
        ...         for step in range(3):
        ...             recorder.record(step, "relu_1", {"patterns": 12 - step})
        ...     reluflow.write_recording_page(folder).name
        'recording.html'
    """
    held = Path(folder)
    keep_inputs(out, *held.glob("*.parquet"), *held.glob("tables/*.npz"))
    with locked(held if held.is_dir() and out is None else None):
        return write_page(held, out)
