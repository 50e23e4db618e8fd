"""Every file of an interrupted analysis, cut off: a sentence names it, or nothing is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_models

import reluflow
from reluflow import AnalysisOptions, PatternReport
from reluflow.data import RandomData
from reluflow.errors import Interrupted, OutputError
from reluflow.report import to_json

LONG = os.environ.get("RELUFLOW_LONG_TESTS") == "1"
N_INPUTS, BATCH = 12_000, 500
WAYS = {"one process": False, "divided": True}


def analysed(out: Path | None, divided: bool, **more: Any) -> PatternReport:
    """Counts in little memory, so that a checkpoint holds tables that went to disk."""
    options = AnalysisOptions(batch_size=BATCH, checkpoint_seconds=0, memory_limit_bytes=2**17)
    with ThreadPoolExecutor(1) as pool:
        if divided:
            more |= {"cluster": pool, "parts": 3}
        model, data = small_models.dense(units=60), RandomData(N_INPUTS, seed=3)
        return reluflow.analyze(model, data, out, options=options, **more)


def stop(stage: str, done: int, total: int | None) -> None:
    if done > N_INPUTS // 2:
        raise KeyboardInterrupt


def numbers(report: PatternReport, like: PatternReport) -> str:
    """Returns what a report tells of the model, without how it was counted."""
    return to_json(replace(report, run=like.run, notes=()))


def lengths(size: int) -> list[int]:
    return sorted({0, size // 2, size - 1}) if size else []


@pytest.mark.parametrize("way", WAYS)
def test_a_cut_file_is_refused_or_not_needed(
    way: str, tmp_path: Path, injected: Callable[..., None]
) -> None:
    divided = WAYS[way]
    whole = analysed(None, divided)
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        analysed(tmp_path / "out", divided, progress=stop)
    left, kept = tmp_path / "out.partial", tmp_path / "kept"
    shutil.copytree(left, kept)
    files = [path.relative_to(kept) for path in sorted(kept.rglob("*")) if path.is_file()]
    cuts = [
        (file, length)
        for file in (files if LONG else files[:: len(files) // 4])
        for length in lengths((kept / file).stat().st_size)
    ]
    refused = 0
    for file, length in cuts:
        os.truncate(left / file, length)
        try:
            report = analysed(tmp_path / "out", divided, resume=True)
        except OutputError as error:
            refused += 1
            assert file.parts[0] in str(error) or "out.partial cannot be read" in str(error), file
        else:
            assert numbers(report, whole) == numbers(whole, whole), file
            shutil.rmtree(tmp_path / "out")
        shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(kept, left)
    assert refused
    report = analysed(tmp_path / "out", divided, resume=True)
    assert numbers(report, whole) == numbers(whole, whole)
    injected("a file of an interrupted analysis cut off", len(cuts))
