"""The page of a recording: Jaccard to the final state, steps that struck, samples that flip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reluflow.cli import main
from reluflow.errors import OutputError
from reluflow.monitoring import KeptTables, SampleFlips, SiteCounts
from reluflow.patterns import PatternRecorder
from reluflow.report import write_recording_page


def record(folder: Path, strikes: tuple[int, ...], steps: int = 60) -> Path:
    kept = KeptTables(folder)
    with PatternRecorder(folder) as recorder:
        for step in range(steps):
            struck = step in strikes
            share = (0.2 + step / 1000) if struck else 0.01
            recorder.record(step, "mean", {"flip_fraction": share, "strike": int(struck)})
            recorder.record(step, "fc1", {"flip_fraction": share, "patterns": 2})
            if step % 20 == 0:
                keys = np.array([[0, 1], [0, 2 + (step < 40)]], np.uint64)
                kept.keep(step, {"fc1": SiteCounts.of(keys, np.array([1, 1]))})
    return folder


def words(page: Path) -> str:
    return (
        page.read_text()
        .replace("\N{NO-BREAK SPACE}", " ")
        .replace("\N{NARROW NO-BREAK SPACE}", " ")
    )


def test_strikes_samples_and_the_final_state_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record(tmp_path, (30, 41))
    flips = SampleFlips()
    flips.add([0.1, 0.5, 0.3])
    flips.add([0.1, 0.7, 0.3])
    flips.save(folder)
    assert main(["recording", str(folder)]) == 0
    assert capsys.readouterr().out == f"Wrote {folder / 'recording.html'}\n"
    text = words(folder / "recording.html")
    assert "Steps that struck" in text and "Step 30" in text and "Step 41" in text
    assert "23.0 %" in text and "24.1 %" in text
    assert text.index("Sample 1<") < text.index("Sample 2<") < text.index("Sample 0<")
    assert "60.0 %" in text and "Mean of 3 samples" in text and "over 2 steps" in text
    assert "Jaccard index to the final state" in text
    assert "33.3 % → 100" in text


@pytest.mark.parametrize("strikes", [(), tuple(range(10, 35))])
def test_none_are_left_out_and_many_are_cut(strikes: tuple[int, ...], tmp_path: Path) -> None:
    text = words(write_recording_page(record(tmp_path, strikes)))
    assert ("Steps that struck" in text) == bool(strikes)
    assert ("5 weaker strikes" in text) == bool(strikes)
    assert "Step 14<" not in text
    assert ("Step 15<" in text) == bool(strikes)
    assert "Samples that flip most" not in text


def test_recordings_of_before_there_were_flips_have_a_page(tmp_path: Path) -> None:
    with PatternRecorder(tmp_path) as recorder:
        for step in range(3):
            recorder.record(step, "fc1", {"patterns": step})
    text = words(write_recording_page(tmp_path))
    assert "Steps that struck" not in text and "final state" not in text


def test_only_ten_samples_are_named(tmp_path: Path) -> None:
    folder = record(tmp_path, ())
    flips = SampleFlips()
    flips.add(np.linspace(0, 0.5, 40))
    flips.save(folder)
    text = words(write_recording_page(folder))
    assert "Sample 30<" in text and "Sample 29<" not in text
    assert "Mean of 40 samples" in text and "over 1 step<" in text


def test_damaged_flips_are_named(tmp_path: Path) -> None:
    folder = record(tmp_path, ())
    (folder / "sample_flips.parquet").write_bytes(b"x")
    with pytest.raises(OutputError, match="the sample flips"):
        write_recording_page(folder)
