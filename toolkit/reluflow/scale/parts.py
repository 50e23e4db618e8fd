"""A part of an analysis on disk: the exact counts of a stretch of inputs, complete or absent."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from reluflow.analysis import Pipeline
from reluflow.errors import OutputError
from reluflow.files import place_folder
from reluflow.patterns import PatternCounts, SketchCounts
from reluflow.patterns.tables.records import (
    FileSource,
    Moved,
    chunks,
    merge_sources,
    write_run,
)
from reluflow.patterns.tables.sketch import merge_snapshots
from reluflow.scale.states import Stretch, merge_stretches

_STATE, _SAMPLE, _FORMAT = "part.json", "sample", 1
_NAME = re.compile(r"inputs-(\d+)-(\d+)")
_DIGITS = 12
Table = FileSource | Path
"""Exact counts, sorted in a file; or the folder of a snapshot of `SketchCounts`."""
_CHUNK = 1 << 14
"""Records of each table that a merge holds at a time: half a megabyte, held about four times."""


@dataclass(frozen=True, order=True, slots=True)
class Part:
    """A stretch of inputs whose counts lie, or will lie, in a folder of their own.

    Attributes:
        start: number of its first input.
        end: number of the input behind its last one.
    """

    start: int
    end: int

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"inputs-{self.start:0{_DIGITS}d}-{self.end:0{_DIGITS}d}"


def find_parts(folder: Path) -> list[Part]:
    """Return the complete parts in a folder, disjoint, the largest ones where several overlap."""
    found = [_NAME.fullmatch(entry.name) for entry in folder.glob("inputs-*")]
    parts = [Part(int(each[1]), int(each[2])) for each in found if each]
    chosen: list[Part] = []
    for part in sorted(parts, key=lambda each: each.start - each.end):
        if all(part.end <= other.start or other.end <= part.start for other in chosen):
            chosen.append(part)
    return sorted(chosen)


def write_part(pipeline: Pipeline, part: Part, folder: Path) -> None:
    """Write what a pipeline has counted of a part.

    Args:
        pipeline: after its run over the part.
        part: the inputs.
        folder: of the job.

    Raises:
        OutputError: it cannot be written; then there is no such part.
    """
    counts = [*(site.counts for site in pipeline.sites), pipeline.global_counts]
    seconds = dict(pipeline.seconds)
    for stage in ("hashing", "counting"):
        seconds[stage] = sum(site.seconds[stage] for site in pipeline.sites)
    stretch = Stretch(
        part.start,
        part.end,
        [site.state() for site in pipeline.sites],
        pipeline.state(),
        seconds,
        [each.spilled_bytes for each in counts],
    )
    with _appearing(folder, part) as new:
        pipeline.sample.snapshot(new / _SAMPLE)
        _write_state(new, stretch, [_write_counts(new, i, c) for i, c in enumerate(counts)])


def _write_counts(folder: Path, index: int, counts: PatternCounts) -> Table:
    if isinstance(counts, SketchCounts):
        counts.snapshot(folder / _name(index))
        return folder / _name(index)
    return write_run(folder, chunks(counts.finish().source))


def _name(index: int) -> str:
    return f"table-{index:03d}"


def merge_parts(pipeline: Pipeline, parts: Sequence[Part], folder: Path) -> Part:
    """Merge adjacent parts into one; the parts are left where they are.

    Args:
        pipeline: of the same model, data and options; what it holds plays no part.
        parts: in order, each beginning where the one before ends.
        folder: of the job.

    Returns:
        The new part.

    Raises:
        OutputError: a part is missing or damaged, or the new one cannot be written.
    """
    whole = Part(parts[0].start, parts[-1].end)
    names = [site.tap.site.name for site in pipeline.sites]
    read = [_read_state(folder / part.name) for part in parts]
    stretches = [stretch for stretch, _ in read]
    merged = reduce(lambda a, b: merge_stretches(a, b, names), stretches)
    with _appearing(folder, whole) as new:
        sample = pipeline.empty_sample()
        for part in parts:
            other = pipeline.empty_sample()
            with _reading(folder / part.name):
                other.restore(folder / part.name / _SAMPLE)
            sample.merge(other)
        sample.snapshot(new / _SAMPLE)
        tables = []
        for index in range(len(names) + 1):
            moved = list(_offsets(index, stretches, len(names)))
            tables.append(_merge_counts(new, index, [each[index] for _, each in read], moved))
        _write_state(new, merged, tables)
    return whole


def _merge_counts(folder: Path, index: int, tables: list[Table], moved: list[int]) -> Table:
    """Write the sum of the tables, the samples of each moved by so many."""
    sketches = [each for each in tables if isinstance(each, Path)]
    if sketches:
        merge_snapshots(sketches, moved, folder / _name(index))
        return folder / _name(index)
    runs = [each for each in tables if isinstance(each, FileSource)]
    sources = [Moved(*each) for each in zip(runs, moved, strict=True)]
    return write_run(folder, merge_sources(sources, _CHUNK))


def _offsets(index: int, stretches: Sequence[Stretch], n_sites: int) -> Iterator[int]:
    """Yield by how much the samples of each part move: they come behind those before."""
    seen = 0
    for stretch in stretches:
        yield seen
        if index < n_sites:  # the global pattern is counted by input, and those have their numbers
            seen += stretch.sites[index]["samples"]


def take_over(pipeline: Pipeline, part: Part, folder: Path) -> None:
    """Let a pipeline hold the counts of a part, as if it had counted them.

    Args:
        pipeline: of the same model, data and options.
        part: all inputs.
        folder: of the job, which must stay until the pipeline is summarised.

    Raises:
        OutputError: the part is missing or damaged.
    """
    stretch, tables = _read_state(folder / part.name)
    pipeline.begin()
    pipeline.set_state(stretch.extra, stretch.sites)
    with _reading(folder / part.name):
        pipeline.sample.restore(folder / part.name / _SAMPLE)
        for index, (source, spilled) in enumerate(zip(tables, stretch.spilled, strict=True)):
            if isinstance(source, Path):
                pipeline.take_counts(index, SketchCounts.restore(source))
            else:
                pipeline.take_table(index, source, spilled)
    pipeline.seconds |= {stage: stretch.seconds.get(stage, 0.0) for stage in pipeline.seconds}
    for stage in ("hashing", "counting"):
        pipeline.sites[0].seconds[stage] = stretch.seconds.get(stage, 0.0)
    pipeline.done = part.end


@contextmanager
def _appearing(folder: Path, part: Part) -> Iterator[Path]:
    """Yield a new folder that is renamed to the part's name when it is complete.

    A part may be made twice, where a worker was thought lost: the first one stays, both are equal.
    """
    new = folder / f".{part.name}.{secrets.token_hex(4)}"
    target = folder / part.name
    try:
        new.mkdir()
        yield new
        place_folder(new, target)
    except OSError as error:
        if not (target / _STATE).is_file():
            raise OutputError(
                f"the counts of inputs {part.start} to {part.end} cannot be written to {folder} "
                f"({error.strerror or error}); free some space there and resume."
            ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write_state(folder: Path, stretch: Stretch, tables: Iterable[Table]) -> None:
    state: dict[str, Any] = {"format": _FORMAT, "stretch": asdict(stretch)}
    state["tables"] = [
        each.name if isinstance(each, Path) else [each.path.name, each.n] for each in tables
    ]
    (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Say of which part a file is missing or damaged."""
    try:
        yield
    except (OutputError, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).partition("; ")[0]
        raise OutputError(
            f"the part {folder} cannot be read ({reason}); delete it and resume."
        ) from error


def _read_state(folder: Path) -> tuple[Stretch, list[Table]]:
    with _reading(folder):
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        if state["format"] != _FORMAT:
            raise ValueError(f"its format is {state['format']}, not {_FORMAT}")
        tables: list[Table] = [
            folder / each if isinstance(each, str) else FileSource(folder / each[0], each[1])
            for each in state["tables"]
        ]
        for each in tables:
            if isinstance(each, FileSource):
                each.check()
        return Stretch(**state["stretch"]), tables
