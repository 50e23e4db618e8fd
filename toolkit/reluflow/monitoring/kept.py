"""Whole tables of counts, kept at chosen steps beside a recording: Jaccard to the final state."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reluflow.errors import OptionError, OutputError
from reluflow.monitoring.counts import SiteCounts
from reluflow.patterns import read, weighted_jaccard
from reluflow.patterns.tables.records import write_atomically

FINAL = "jaccard_final"
_FOLDER = "tables"
_NAME = re.compile(r"step-(\d+)\.npz")
_ARRAYS = ("keys", "counts", "active")


class KeptTables:
    """The counts of all sites at some steps, one file per step, in `tables` of a recording.

    A pattern takes 24 bytes. Keeping a step again replaces its file.

    Args:
        recording: the recording's directory.

    Example:
        >>> import tempfile
        >>> counts = SiteCounts.of(np.array([[0, 1], [0, 2]], np.uint64), np.array([1, 2]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kept = KeptTables(folder)
        ...     kept.keep(40, {"relu": counts})
        ...     kept.steps(), kept.load(40)["relu"].table.total, kept.jaccard_to(40)
        ...     kept.remove()
        ...     kept.steps()
        ([40], 2, {(40, 'relu'): 1.0})
        []

    Reference: docs/spec.md, section 3; docs/monitoring.md.
    """

    def __init__(self, recording: str | os.PathLike[str]) -> None:
        self._folder = Path(recording) / _FOLDER

    def keep(self, step: int, found: Mapping[str, SiteCounts]) -> None:
        """Write the counts of a step.

        Args:
            step: of the training, from 0.
            found: site -> its counts.

        Raises:
            OptionError: the step is negative.
            OutputError: the file cannot be written.
        """
        if step < 0:
            raise OptionError(f"step is {step}, but steps of a training start at 0; count from 0.")
        arrays: dict[str, Any] = {"sites": np.array([*found], np.str_)}
        for i, counts in enumerate(found.values()):
            arrays |= {f"{name}_{i}": values for name, values in counts.to_arrays().items()}
        write_atomically(
            self._file(step), lambda handle: np.savez(handle, **arrays), "the kept tables"
        )

    def steps(self) -> list[int]:
        """Return the steps that were kept, ascending."""
        found = [_NAME.fullmatch(path.name) for path in self._folder.glob("step-*.npz")]
        return sorted(int(match[1]) for match in found if match)

    def load(self, step: int) -> dict[str, SiteCounts]:
        """Return the counts of a step.

        Args:
            step: one that was kept.

        Returns:
            Site -> its counts, in the order in which the network ran them.

        Raises:
            OutputError: the step was not kept, or its file is damaged.
        """
        try:
            with (
                self._file(step).open("rb") as handle,
                np.load(handle, allow_pickle=False) as file,
            ):
                return {
                    str(site): SiteCounts.from_arrays({n: file[f"{n}_{i}"] for n in _ARRAYS})
                    for i, site in enumerate(file["sites"])
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            known = ", ".join(map(str, self.steps())) or "no step"
            raise OutputError(
                f"the tables of step {step} cannot be read from {self._folder} ({error}); give a "
                f"step that was kept ({known}), or remove its damaged file."
            ) from error

    def jaccard_to(self, step: int) -> dict[tuple[int, str], float]:
        """Return the weighted Jaccard index of every kept table to that of one step.

        Two steps are in memory at a time.

        Args:
            step: one that was kept.

        Returns:
            (step, site) -> index in [0, 1]; only sites that both steps have.

        Raises:
            OutputError: the step was not kept, or a file is damaged.

        Reference: docs/spec.md, section 3, weighted Jaccard; thesis eq. 3.7.
        """
        target = self.load(step)
        return {
            (at, site): weighted_jaccard(counts.table, target[site].table)
            for at in self.steps()
            for site, counts in self.load(at).items()
            if site in target
        }

    def remove(self) -> None:
        """Remove every kept table; a recording without them has no index to the final state.

        Raises:
            OutputError: a file cannot be removed.
        """
        try:
            for step in self.steps():
                self._file(step).unlink()
            if self._folder.exists():
                self._folder.rmdir()
        except OSError as error:
            raise OutputError(
                f"the kept tables in {self._folder} cannot be removed ({error.strerror or error}); "
                "remove the folder yourself."
            ) from error

    def _file(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}.npz"


def read_recording(recording: str | os.PathLike[str]) -> pa.Table:
    """Return a recording as `reluflow.patterns.read` does, with the index to the final state.

    Args:
        recording: the recording's directory.

    Returns:
        The table; where tables were kept, its column `jaccard_final` has the weighted Jaccard index
        of these steps to the last of them, null in other rows.

    Raises:
        OutputError: there is no recording, or a part of it is damaged.

    Example:
        >>> import tempfile
        >>> from reluflow.patterns import PatternRecorder
        >>> early = SiteCounts.of(np.array([[0, 1], [0, 2]], np.uint64), np.array([1, 2]))
        >>> late = SiteCounts.of(np.array([[0, 1], [0, 3]], np.uint64), np.array([1, 2]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with PatternRecorder(folder) as recorder:
        ...         for step, counts in ((0, early), (10, late)):
        ...             recorder.record(step, "relu", {"patterns": counts.table.total})
        ...             KeptTables(folder).keep(step, {"relu": counts})
        ...     [round(value, 2) for value in read_recording(folder)["jaccard_final"].to_pylist()]
        [0.33, 1.0]

    Reference: docs/spec.md, section 3; thesis Fig. 3.7.
    """
    table = read(Path(recording))
    kept = KeptTables(recording)
    steps = kept.steps()
    if not steps:
        return table
    index = kept.jaccard_to(steps[-1])
    table = table.drop_columns([name for name in table.column_names if name == FINAL])
    rows = zip(table["step"].to_pylist(), table["site"].to_pylist(), strict=True)
    return table.append_column(FINAL, pa.array([index.get(row) for row in rows], pa.float64()))
