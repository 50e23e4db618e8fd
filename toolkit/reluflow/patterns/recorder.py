"""Measures over time: rows of (step, site, measures) appended to Parquet, safe against crashes."""

from __future__ import annotations

import numbers
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from reluflow.errors import OptionError, OutputError
from reluflow.patterns.tables.records import write_atomically

_FLUSH_ROWS = 4096
"""Rows in memory before a part file is written: what a crash may cost."""
_RANDOM_DIGITS = 8
"""Of a part's name, so that two processes that record into one folder overwrite nothing."""
_KEYS = ("step", "site")


class PatternRecorder:
    """Appends measures of sites at steps to a directory of Parquet files.

    Each flush writes one new part file, completely or not at all; a crash loses at most the rows
    that were not flushed. Opening the directory again continues it. A repeated (step, site)
    replaces the earlier row when read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with PatternRecorder(folder) as recorder:
        ...         recorder.record(0, "relu_1", {"patterns": 12, "entropy_bits": 3.5})
        ...         recorder.flush()  # on the disk now, not only when the block ends
        ...     read(folder).to_pylist()
        [{'step': 0, 'site': 'relu_1', 'patterns': 12, 'entropy_bits': 3.5}]

    Reference: docs/spec.md, section 3; thesis 3.1.3 (measures over training steps).
    """

    def __init__(self, path: Path | str) -> None:
        """Open or make a recording.

        Args:
            path: a directory, made if missing.

        Raises:
            OutputError: it cannot be made or written.
        """
        self._path = Path(path)
        self._rows: list[dict[str, Any]] = []
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._next = 1 + max((_number(p) for p in _parts(self._path)), default=-1)
        except OSError as error:
            raise OutputError(
                f"path {self._path} cannot be used for a recording ({error.strerror or error}); "
                "name a directory that you may write to."
            ) from error

    @property
    def path(self) -> Path:
        """The recording's directory."""
        return self._path

    def record(self, step: int, site: str, measures: Mapping[str, float | int]) -> None:
        """Append the measures of one site at one step.

        Args:
            step: training step or checkpoint number, any integer.
            site: name of the switch site.
            measures: name -> number; later rows may bring other names.

        Raises:
            OptionError: a measure is called "step" or "site" or is not a number.
            OutputError: the buffer was full and could not be written.
        """
        row: dict[str, Any] = {"step": int(step), "site": str(site)}
        for name, value in measures.items():
            if name in _KEYS:
                raise OptionError(
                    f"measures names one {name!r}, but step and site are the row's own columns; "
                    "rename the measure."
                )
            if not isinstance(value, numbers.Real):
                raise OptionError(
                    f"measure {name!r} is {value!r}, but numbers are recorded; "
                    "convert it to int or float."
                )
            row[name] = int(value) if isinstance(value, numbers.Integral) else float(value)
        self._rows.append(row)
        if len(self._rows) >= _FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered as one new part file.

        Raises:
            OutputError: it cannot be written; the rows stay buffered.
        """
        if not self._rows:
            return
        table = _to_table(self._rows)
        part = self._path / f"part-{self._next:08d}-{uuid.uuid4().hex[:_RANDOM_DIGITS]}.parquet"
        write_atomically(part, lambda handle: pq.write_table(table, handle), "the recording")
        self._next += 1
        self._rows = []

    def close(self) -> None:
        """Flush."""
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path | str) -> pa.Table:
    """Return a recording, sorted by step, then by the order in which sites first appeared.

    Args:
        path: the recording's directory.

    Returns:
        A table with columns step (int64), site (string) and one per measure (int64 or double;
        null where a row lacks it). Of a repeated (step, site) the last row counts.

    Raises:
        OutputError: there is no recording, or a part of it is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with PatternRecorder(folder) as recorder:
        ...         recorder.record(1, "relu_1", {"patterns": 12})
        ...         recorder.record(0, "relu_1", {"patterns": 9})
        ...     read(folder)["patterns"].to_pylist()
        [9, 12]

    Reference: docs/monitoring.md.
    """
    folder = Path(path)
    try:
        tables = [pq.read_table(part) for part in sorted(_parts(folder))]
    except (OSError, pa.ArrowException) as error:
        raise OutputError(
            f"the recording {folder} cannot be read ({error}); "
            "remove the damaged part file or name another recording."
        ) from error
    if not tables:
        raise OutputError(
            f"path {folder} holds no recording (no part-*.parquet); "
            "name the directory that a PatternRecorder wrote."
        )
    return _latest(pa.concat_tables(tables, promote_options="permissive"))


def _latest(table: pa.Table) -> pa.Table:
    """Keep the last row of each (step, site), sorted."""
    steps, sites = table["step"].to_pylist(), table["site"].to_pylist()
    order: dict[str, int] = {}
    last: dict[tuple[int, int], int] = {}
    for row, (step, site) in enumerate(zip(steps, sites, strict=True)):
        last[step, order.setdefault(site, len(order))] = row
    return table.take([row for _, row in sorted(last.items())])


def _to_table(rows: list[dict[str, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if any(isinstance(v, float) for v in values):
            values = [None if v is None else float(v) for v in values]
            columns[name] = pa.array(values, pa.float64())
        else:
            columns[name] = pa.array(values, pa.string() if name == "site" else pa.int64())
    return pa.table(columns)


def _parts(folder: Path) -> list[Path]:
    return list(folder.glob("part-*.parquet"))


def _number(part: Path) -> int:
    digits = part.name.split("-")[1]
    return int(digits) if digits.isdigit() else 0
