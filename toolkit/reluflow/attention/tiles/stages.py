"""Passes over a panorama one after another, each kept in a folder when the next begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.tiles.keep import is_begun
from reluflow.errors import DataError, Interrupted, OutputError
from reluflow.files import appearing
from reluflow.progress import Progress

Arrays = dict[str, NDArray[Any]]
Go = Callable[[dict[str, Path] | None, bool, Progress], Arrays]
"""Runs a stage: into files or arrays, whether it goes on, and whom it tells how far it is."""
_IDENTITY = "run.txt"


class Stages:
    """Runs stages, and keeps what they give until all are done.

    Args:
        folder: a new one for what is not finished; None: arrays in memory.
        identity: what tells this run from others.
        resume: go on with what an interrupted run left in the folder.
        progress: called with the stage and the tiles done.

    Attributes:
        earlier: stages of which an interrupted run did a part, or all.

    Raises:
        OutputError: there is an interrupted run, but `resume` is not set.
        DataError: there is none, or it is another run, but `resume` is set.
    """

    def __init__(
        self, folder: Path | None, identity: str, resume: bool, progress: Progress | None
    ) -> None:
        self._folder, self._progress = folder, progress
        self._at = (0, 0)
        self.earlier: set[str] = set()
        if folder is None:
            if resume:
                raise DataError("resume is True, but no folder is given; give that of the run.")
            return
        told = folder / _IDENTITY
        if resume:
            if not told.is_file():
                raise DataError(
                    f"there is nothing to resume in {str(folder)!r}; run without resume=True."
                )
            if told.read_text("utf-8") != identity:
                raise DataError(
                    f"the interrupted run in {str(folder)!r} had another model, picture or "
                    "options; run with those, or delete the folder to begin again."
                )
            return
        if folder.exists():
            raise OutputError(
                f"an interrupted run lies in {str(folder)!r}; go on with resume=True, or delete "
                "the folder to begin again."
            )
        folder.mkdir(parents=True)
        with appearing(told) as partial:
            partial.write_text(identity, encoding="utf-8")

    def run(self, stage: str, outputs: Sequence[str], go: Go) -> Arrays:
        """Run a stage, or the rest of it.

        Args:
            stage: its name.
            outputs: names of what it gives.
            go: runs it.

        Returns:
            Output -> values; in files, memory-mapped, where there is a folder.

        Raises:
            Interrupted: Ctrl-C was pressed; the sentence says what is kept.
        """
        self._at = (0, 0)

        def progress(_: str, done: int, total: int | None) -> None:
            self._at = done, total or 0
            if self._progress is not None:
                self._progress(stage, done, total)

        files = self._files(stage, outputs)
        if files and all(file.is_file() for file in files.values()):
            self.earlier.add(stage)
            return {name: np.load(file, mmap_mode="r") for name, file in files.items()}
        begun = files is not None and is_begun(files)
        if begun:
            self.earlier.add(stage)
        try:
            return go(files, begun, progress)
        except (Interrupted, KeyboardInterrupt):
            raise Interrupted(_how_to_go_on(stage, self._at, self._folder)) from None

    def finish(self) -> None:
        """Delete what was kept."""
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def _files(self, stage: str, outputs: Sequence[str]) -> dict[str, Path] | None:
        if self._folder is None:
            return None
        plain = stage.replace(" ", "-")
        return {name: self._folder / f"{plain}-{at}.npy" for at, name in enumerate(outputs)}


def _how_to_go_on(stage: str, at: tuple[int, int], folder: Path | None) -> str:
    done = f"interrupted in {stage} after {at[0]} of {at[1]} tiles"
    if folder is None:
        return f"{done}, and arrays in memory are gone; give a folder to keep them."
    return f"{done}; all of them are kept in {str(folder)!r}; go on with resume=True."
