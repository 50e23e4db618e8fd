"""The working folder of an analysis: its own files only, and nothing lost at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow._api import patterns
from reluflow.analysis import AnalysisOptions
from reluflow.cli import main
from reluflow.errors import DataError, OutputError

X = small_models.integers((40, 4))


def test_a_folder_of_someone_else_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds 'thesis.txt', which is no part of an analysis"):
        reluflow.analyze(small_models.dense(), X, tmp_path / "out")
    assert (tmp_path / "out.partial" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "full"), OutputError("full")])
def test_nothing_is_lost_after_the_last_batch(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report cannot be written: the analysis itself is kept, and read back completely."""

    def fail(*args: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(patterns, "write_report", fail)
        with pytest.raises(BaseException):  # noqa: B017
            reluflow.analyze(small_models.dense(), X, tmp_path / "out")
    found = reluflow.analyze(small_models.dense(), X, tmp_path / "out", resume=True)
    whole = reluflow.analyze(small_models.dense(), X)
    assert [s.patterns for s in found.sites] == [s.patterns for s in whole.sites]
    assert found.n_inputs == 40 and not (tmp_path / "out.partial").exists()


def test_other_external_weights_are_another_model(tmp_path: Path) -> None:
    def write(shift: int) -> None:
        proto = small_models.dense(shift=shift)
        (tmp_path / "w").unlink(missing_ok=True)
        onnx.save(
            proto, tmp_path / "m.onnx", save_as_external_data=True, location="w", size_threshold=0
        )

    def batches() -> Iterator[np.ndarray]:
        yield X[:20]
        yield np.zeros((1, 1), np.float32)

    options = AnalysisOptions(batch_size=20, checkpoint_seconds=0)
    write(0)
    with pytest.raises(DataError):
        reluflow.analyze(tmp_path / "m.onnx", batches, tmp_path / "out", options=options)
    write(1)
    with pytest.raises(OutputError, match="weights"):
        reluflow.analyze(
            tmp_path / "m.onnx", batches, tmp_path / "out", options=options, resume=True
        )


@pytest.mark.parametrize("text", ["N=²", "N=٣", "N=", "N=1.5"])
def test_sizes_are_written_in_plain_digits(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(small_models.dense(), tmp_path / "m.onnx")
    assert main(["analyze", str(tmp_path / "m.onnx"), "--random", "3", "--dim", text]) == 2
    assert f"--dim is {text!r}" in capsys.readouterr().err
