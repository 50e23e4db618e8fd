"""Errors name the option that was typed, not the library's argument."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

from reluflow.cli import main
from reluflow.cli._words import in_options


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(small_models.dense(), tmp_path / "m.onnx")
    onnx.save(small_models.convolutional(size="side"), tmp_path / "free.onnx")
    np.savez(tmp_path / "d.npz", x=small_models.integers((50, 4)), label=np.arange(50) % 3)
    np.save(tmp_path / "x.npy", small_models.integers((50, 4)))
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["analyze", "free.onnx", "--random", "8"], "give it one: --dim side=224"),
        (["compare", "free.onnx", "free.onnx", "--random", "8"], "give it one: --dim side=224"),
        (["analyze", "m.onnx", "--random", "8", "--batch-size", "0"], "--batch-size is 0; give"),
        (["analyze", "m.onnx", "--random", "0"], "--random is 0; give"),
        (["analyze", "m.onnx", "--data", "x.npy", "--limit", "0"], "--limit is 0; give"),
        (["analyze", "m.onnx", "--random", "8", "--threads", "0"], "--threads is 0; give"),
        (["analyze", "m.onnx", "--random", "8", "--top", "-1"], "--top is -1; give"),
        (["analyze", "m.onnx", "--random", "8", "--hash", "md5"], "--hash is 'md5'; accepted"),
        (
            ["analyze", "m.onnx", "--random", "8", "--checkpoint-every", "-1"],
            "--checkpoint-every is -1.0; give seconds",
        ),
        (["analyze", "m.onnx", "--random", "8", "--seed", "-1"], "--seed is -1; give"),
        (["analyze", "m.onnx", "--data", "x.npy", "--mean", "1"], "--size, --mean, --std, --chan"),
        (["psb", "convert", "m.onnx", "-o", "p.onnx", "--x-bits", "1"], "--x-bits is 1; give"),
        (["psb", "convert", "m.onnx", "-o", "p.onnx", "--p-bits", "5"], "--p-bits is 5; accepted"),
        (["psb", "convert", "m.onnx", "-o", "p.onnx", "--prune", "2"], "--prune is 2.0; give"),
        (["psb", "convert", "m.onnx", "-o", "p.onnx", "--small", "no"], "--small is 'no'; acc"),
        (["sensitivity", "m.onnx", "--data", "d.npz", "--batches", "0"], "--batches is 0; give"),
    ],
)
def test_a_command_speaks_of_its_options(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_other_words_stay() -> None:
    names = "data for input 'batch_size' are float32 [3]; convert with x.batch_size"
    assert in_options(names) == names
    assert in_options("the size is a matter of taste") == "the size is a matter of taste"
